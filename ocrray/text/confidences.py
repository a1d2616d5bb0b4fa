"""How sure a recognizer was of its words, character by character of the text that it read."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from ocrray.records import Line

_WORD = re.compile(r"\S+")


def char_confidences(lines: Iterable[Line]) -> np.ndarray:
    """One confidence (0..1, float32) for each character of the lines' texts joined by line feeds; NaN where none is known.

    A character has its word's, or else its line's. A word that its line's text does not hold is passed over.
    """
    parts = []
    for line in lines:
        shares = np.full(len(line.text) + 1, np.nan if line.confidence is None else line.confidence, dtype=np.float32)
        shares[-1] = np.nan  # the line feed
        at = 0
        for word in line.words:
            found = line.text.find(word.text, at) if word.text else -1
            if found >= 0:
                at = found + len(word.text)
                if word.confidence is not None:
                    shares[found:at] = word.confidence
        parts.append(shares)
    return np.concatenate(parts)[:-1] if parts else np.zeros(0, np.float32)


def word_confidences(text: str, chars: np.ndarray) -> list[float | None]:
    """Of each run of characters without white space the least of its characters' confidences; None where none is known."""
    runs = (chars[match.start() : match.end()] for match in _WORD.finditer(text))
    return [None if np.isnan(run).all() else float(np.nanmin(run)) for run in runs]


def spread(text: str, words: Sequence[float | None]) -> np.ndarray:
    """The confidences of characters again, from those of words; raises ValueError unless there is one for each word."""
    chars = np.full(len(text), np.nan, dtype=np.float32)
    for match, share in zip(_WORD.finditer(text), words, strict=True):
        if share is not None:
            chars[match.start() : match.end()] = share
    return chars
