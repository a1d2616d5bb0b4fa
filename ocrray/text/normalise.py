"""The few normalisations that ocrray applies, each under one name."""

import re
import unicodedata

# C0 and C1 controls other than tab and line feed, and lone surrogates, which no UTF-8 file can hold.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def sanitise(text: str) -> str:
    """Text as a corpus may hold it: line ends as LF, and each control character or lone surrogate as one U+FFFD."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("\ufffd", text)


def for_scoring(text: str) -> str:
    """Text as CER and WER see it: NFC, every run of white space one space, none at the ends; case and punctuation stay."""
    return " ".join(unicodedata.normalize("NFC", text).split())
