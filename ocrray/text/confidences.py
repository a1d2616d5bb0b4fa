"""A recognizer's confidences, per character and per word of the text that it read."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ocrray.records import Line

_WORD = re.compile(r"\S+")


def char_confidences(lines: Iterable[Line]) -> NDArray[np.float32]:
    """Return one confidence (0..1) per character of the lines' texts joined by line feeds, NaN where unknown.

    A character has the confidence of its word, or else of its line. Words that do not occur in their line's text are skipped.
    """
    parts = []
    for line in lines:
        confidences = np.full(len(line.text) + 1, np.nan if line.confidence is None else line.confidence, dtype=np.float32)
        confidences[-1] = np.nan  # the line feed
        end = 0
        for word in line.words:
            start = line.text.find(word.text, end) if word.text else -1
            if start >= 0:
                end = start + len(word.text)
                if word.confidence is not None:
                    confidences[start:end] = word.confidence
        parts.append(confidences)
    return np.concatenate(parts)[:-1] if parts else np.zeros(0, np.float32)


def word_confidences(text: str, chars: NDArray[np.floating]) -> list[float | None]:
    """Return the lowest confidence among the characters of each word (a run without white space), None where unknown."""
    words = (chars[match.start() : match.end()] for match in _WORD.finditer(text))
    return [None if np.isnan(word).all() else float(np.nanmin(word)) for word in words]


def spread_to_chars(text: str, words: Sequence[float | None]) -> NDArray[np.float32]:
    """Return the confidences of the characters, given those of the words; NaN in white space and where unknown.

    Raises: ValueError: when there is not one confidence per word of `text`.
    """
    chars = np.full(len(text), np.nan, dtype=np.float32)
    for match, confidence in zip(_WORD.finditer(text), words, strict=True):
        if confidence is not None:
            chars[match.start() : match.end()] = confidence
    return chars
