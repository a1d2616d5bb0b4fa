"""Normalisation of texts before they are compared: set in the config and recorded in every result."""

import re
import unicodedata
from typing import Literal

from ocrray.config import StrictModel

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_QUOTES = dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟″«»", '"')
_DASHES = dict.fromkeys("‐‑‒–—―−⸗", "-")
_LINE_END_HYPHEN = re.compile(r"(?<=\w)[-¬‐⸗]\n\s*(?=\w)")


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
    """Join words that are hyphenated over the end of a line."""
    ignore_punctuation: bool = False
    """Remove all punctuation (Unicode categories P*)."""

    def __call__(self, text: str) -> str:
        """Return the normalised text."""
        if self.unicode_form != "none":
            text = unicodedata.normalize(self.unicode_form, text)
        if self.join_lines:
            text = _LINE_END_HYPHEN.sub("", text)
        if letters := self._letters():
            text = text.translate(letters)
        if self.ignore_punctuation:
            text = "".join(char for char in text if not unicodedata.category(char).startswith("P"))
        if self.fold_case:
            text = text.casefold()
        return " ".join(text.split()) if self.collapse_space else text

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
        }
        form = [] if self.unicode_form == "none" else [self.unicode_form]
        return ", ".join([*form, *(words for words, on in switches.items() if on)]) or "none: the texts as they are"
