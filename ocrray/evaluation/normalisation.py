"""Normalisation of texts before they are compared: set in the config and recorded in every result."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Annotated, Literal, Self

import regex
from pydantic import Field, model_validator

from ocrray.config import StrictModel

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_QUOTES = dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟″«»", '"')
_DASHES = dict.fromkeys("‐‑‒–—―−⸗⹀⹝﹣－", "-")
# Marks that divide a word at a line end: hyphens and dashes, the equals sign and double hyphen of Fraktur, ¬, soft hyphens.
_DIVIDED_WORD = regex.compile(
    r"([\w\p{M}])[-¬=‐‑‒–—−⸗⹀⹝֊﹣－᠆\xad][^\S\r\n]*(?:\r\n|[\n\r\v\f\x85\u2028\u2029])\s*(?=([\w\p{M}]))"
)
_SOFT_HYPHEN = "\xad"  # within a line it only says where a word may be divided
_SPACE = re.compile(r"\s+")
Group = Annotated[tuple[str, ...], Field(min_length=2)]


class Normalisation(StrictModel):
    """Normalisation of raw, corrected and true text before they are compared; the default is `for_scoring`."""

    unicode_form: Literal["NFC", "NFKC", "none"] = "NFC"
    """Unicode normal form; NFKC also replaces ligatures, long s, superscripts and full-width letters by plain letters."""
    collapse_space: bool = True
    """Replace every run of white space by one space and strip both ends."""
    fold_case: bool = False
    """Ignore case, by Unicode case folding."""
    long_s: bool = False
    """Replace ſ by s."""
    ligatures: bool = False
    """Replace ligatures by their letters: ﬁ by fi, and so on."""
    quotes: bool = False
    """Replace every single quotation mark by ' and every double one by "."""
    dashes: bool = False
    """Replace every dash by a hyphen."""
    join_lines: bool = False
    """Join words that are divided over the end of a line by a hyphen or dash, `=`, `⸗`, `¬` or a soft hyphen, also with a space
    before the line end; figures are not joined. Soft hyphens within lines are removed."""
    ignore_punctuation: bool = False
    """Remove all punctuation (Unicode categories P*)."""
    equivalences: tuple[Group, ...] = ()
    """Groups of strings that count as the same, as `[[ſ, s], [vv, w], ["&", und, vnd]]`: each is replaced by the first of its
    group, the longest first, inside words too. An empty string at the beginning of a group removes the others."""

    @model_validator(mode="after")
    def _one_group_each(self) -> Self:
        times = Counter(member for group in self.equivalences for member in {self._prepared(member) for member in group})
        if repeated := [member for member, groups in times.items() if member and groups > 1]:
            raise ValueError(f"equivalences: {', '.join(map(repr, repeated))} may stand in one group only")
        if any(not member for group in self.equivalences for member in group[1:]):
            raise ValueError("equivalences: an empty string may only stand at the beginning of a group")
        return self

    def __call__(self, text: str) -> str:
        """Return the normalised text."""
        if self.unicode_form != "none":
            text = unicodedata.normalize(self.unicode_form, text)
        if self.join_lines:
            text = _DIVIDED_WORD.sub(_without_division, text).replace(_SOFT_HYPHEN, "")
        if self.equivalences:
            pattern, replacements = _replacements(self)
            text = pattern.sub(lambda found: replacements[found[0]], self._prepared(text))
        if letters := self._letters():
            text = text.translate(letters)
        if self.ignore_punctuation:
            text = "".join(char for char in text if not unicodedata.category(char).startswith("P"))
        if self.fold_case:
            text = text.casefold()
        return " ".join(text.split()) if self.collapse_space else text

    def _prepared(self, text: str) -> str:
        """Return `text` as equivalences are looked up in it: in the same Unicode form, case and spacing."""
        if self.unicode_form != "none":
            text = unicodedata.normalize(self.unicode_form, text)
        if self.fold_case:
            text = text.casefold()
        return _SPACE.sub(" ", text) if self.collapse_space else text

    def _letters(self) -> dict[int, str]:
        long_s = {"ſ": "s"} if self.long_s else {}
        ligatures = _LIGATURES if self.ligatures else {}
        quotes = _QUOTES if self.quotes else {}
        return str.maketrans(long_s | ligatures | quotes | (_DASHES if self.dashes else {}))

    def description(self) -> str:
        """Return the settings in words, for results and reports."""
        switches = {
            "white space collapsed": self.collapse_space,
            "case ignored": self.fold_case,
            "long s as s": self.long_s,
            "ligatures written out": self.ligatures,
            "quotation marks alike": self.quotes,
            "dashes alike": self.dashes,
            "words joined over line ends": self.join_lines,
            "punctuation ignored": self.ignore_punctuation,
            f"alike: {'; '.join(' = '.join(member or '(nothing)' for member in group) for group in self.equivalences)}": bool(
                self.equivalences
            ),
        }
        form = [] if self.unicode_form == "none" else [self.unicode_form]
        return ", ".join([*form, *(words for words, on in switches.items() if on)]) or "none: the texts as they are"


@lru_cache(maxsize=16)
def _replacements(normalise: Normalisation) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return the pattern of all strings that are replaced, the longest first, and what replaces each."""
    members = [[normalise._prepared(member) for member in group] for group in normalise.equivalences]
    replacements = {member: group[0] for group in members for member in group}
    pattern = re.compile("|".join(map(re.escape, sorted(replacements, key=len, reverse=True))))
    return pattern, replacements


def _without_division(found: regex.Match[str]) -> str:
    before, after = found[1], found[2]
    return found[0] if before.isdigit() and after.isdigit() else str(before)  # 1848-49 is no divided word
