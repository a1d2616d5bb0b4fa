"""Which differences between two texts count as errors: said in the config, and written into every result."""

import re
import unicodedata
from typing import Literal

from ocrray.config import StrictModel

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_QUOTES = dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟″«»", '"')
_DASHES = dict.fromkeys("‐‑‒–—―−⸗", "-")
_LINE_END_HYPHEN = re.compile(r"(?<=\w)[-¬‐⸗]\n\s*(?=\w)")


class Normalisation(StrictModel):
    """What is done to raw, corrected and true text alike before they are compared; as given, it is `for_scoring`."""

    unicode_form: Literal["NFC", "NFKC", "none"] = "NFC"
    """NFKC also takes ligatures, long s, superscripts and full-width letters for the plain ones."""
    collapse_space: bool = True
    """Every run of white space is one space, and there is none at the ends."""
    fold_case: bool = False
    long_s: bool = False
    """ſ counts as s."""
    ligatures: bool = False
    """ﬁ counts as fi, and so on."""
    quotes: bool = False
    """Every kind of single quotation mark is the same, and every kind of double one."""
    dashes: bool = False
    """Every kind of dash is a hyphen."""
    join_lines: bool = False
    """A hyphen at the end of a line joins what stands before and after it."""
    ignore_punctuation: bool = False
    """Everything that Unicode calls punctuation counts as nothing."""

    def __call__(self, text: str) -> str:
        """`text` as it is compared."""
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

    def described(self) -> str:
        """The choices in words, for whoever reads the figures."""
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
