"""Text normalisations, each under one name."""

import re
import unicodedata

# C0 and C1 controls other than tab and line feed, and lone surrogates, which no UTF-8 file can hold.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def sanitise(text: str) -> str:
    """Return text as a corpus may hold it: line ends as LF, each control character and lone surrogate as U+FFFD."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("\ufffd", text)


def for_scoring(text: str) -> str:
    """Return text as CER and WER compare it: NFC, white space collapsed and stripped; case and punctuation stay."""
    return " ".join(unicodedata.normalize("NFC", text).split())


# What HIPE-OCRepair 2026 writes out before it compares.
_HIPE_LETTERS = {"ß": "ss", "ꝛ": "r", "œ": "oe", "æ": "ae", "a\u0364": "ä", "o\u0364": "ö", "u\u0364": "ü"}
_HIPE_LINE_ENDS = ("—\n", "¬\n")  # in this order, as the scorer removes them


def for_hipe(text: str) -> str:
    """Return text as the HIPE-OCRepair 2026 scorer compares it: lower case, each run of other than letters and digits one space.

    Meant for Latin script: combining marks do not count as letters. The rule is `norm` of hipe-ocrepair-scorer 0.9.7 to 0.9.9
    (PyPI), which joins words over `—` and `¬` at a line end; the tests compare with that package.
    """
    text = text.lower()
    for letters, written_out in _HIPE_LETTERS.items():
        text = text.replace(letters, written_out)
    for line_end in _HIPE_LINE_ENDS:
        text = text.replace(line_end, "")
    return re.sub(r"[\W_]+", " ", text).strip()


def without_accents(text: str) -> str:
    """Return `text` without combining marks: `e` for `é`, in any normal form."""
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))
