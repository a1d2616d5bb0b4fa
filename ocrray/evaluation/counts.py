"""Counts of one record: integers from which every metric is computed, so that no texts are kept."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocrray.evaluation.confusions import Confusions, confusions_of
from ocrray.evaluation.detection import detect
from ocrray.text.metrics import distances, word_distances
from ocrray.text.normalise import for_hipe
from ocrray.text.words import words

Counts = dict[str, np.ndarray]
"""An int32 array with one value a record, for each name in COUNTS."""

COUNTS = {
    "truth_chars": "characters of the truth",
    "raw_distance": "Levenshtein distance in characters, raw text to truth",
    "corrected_distance": "the same from the corrected text",
    "truth_words": "words of the truth; each character of a script without spaces is one (`text.words`)",
    "raw_word_distance": "Levenshtein distance in words, raw text to truth",
    "corrected_word_distance": "the same from the corrected text",
    "wrong_tokens": "tokens of the raw text that are wrong (ICDAR; `evaluation.detection`)",
    "changed_tokens": "tokens of the raw text that the corrector changed",
    "wrong_changed_tokens": "tokens that are both",
    "truth_digits": "digits of the truth",
    "raw_digit_distance": "Levenshtein distance between the digits of the raw text and those of the truth, all else left out",
    "corrected_digit_distance": "the same from the corrected text",
    "changed_digits": "the same between raw and corrected text",
    "hipe_raw_errors": "substitutions, deletions and insertions from truth to raw text, after `for_hipe`",
    "hipe_raw_length": "those and the characters that agree",
    "hipe_corrected_errors": "the same from the corrected text",
    "hipe_corrected_length": "those and the characters that agree",
    "hipe_raw_word_errors": "substitutions, deletions and insertions of words from truth to raw text, after `for_hipe`",
    "hipe_raw_word_length": "those and the words that agree",
    "hipe_corrected_word_errors": "the same from the corrected text",
    "hipe_corrected_word_length": "those and the words that agree",
}
_IDENTITY: Callable[[str], str] = str
_NOT_DIGITS = re.compile(r"\D+")


class Counted(NamedTuple):
    """Counts of each record, and the character confusions of all of them."""

    counts: Counts
    confusions: Confusions


def count(raw: Sequence[str], corrected: Sequence[str], truth: Sequence[str], normalise: Callable[[str], str]) -> Counts:
    """Return the counts of each record; `normalise` is applied to all texts first, except for HIPE, which has its own rules."""
    return _count(*_normalised(raw, corrected, truth, normalise)) | _hipe(raw, corrected, truth)


def count_all(raw: Sequence[str], corrected: Sequence[str], truth: Sequence[str], normalise: Callable[[str], str]) -> Counted:
    """Return `count` of the same records, and their confusions."""
    texts = _normalised(raw, corrected, truth, normalise)
    return Counted(_count(*texts) | _hipe(raw, corrected, truth), confusions_of(*texts))


def _normalised(
    raw: Sequence[str], corrected: Sequence[str], truth: Sequence[str], normalise: Callable[[str], str]
) -> tuple[list[str], list[str], list[str]]:
    # A corrector leaves most texts of a corpus unchanged; these are normalised once.
    same = [left == right for left, right in zip(raw, corrected, strict=True)]
    true, before = [normalise(text) for text in truth], [normalise(text) for text in raw]
    return before, [old if alike else normalise(new) for old, new, alike in zip(before, corrected, same, strict=True)], true


def _count(before: Sequence[str], after: Sequence[str], true: Sequence[str]) -> Counts:
    counts = {"truth_chars": _lengths(true), "truth_words": _lengths([words(text) for text in true])}
    changed = np.flatnonzero([old != new for old, new in zip(before, after, strict=True)])
    for name, measure in (("distance", distances), ("word_distance", word_distances)):
        counts[f"raw_{name}"] = measure(before, true, _IDENTITY)
        counts[f"corrected_{name}"] = _where_changed(counts[f"raw_{name}"], changed, after, true, measure)
    found = [detect(*texts) for texts in zip(before, after, true, strict=True)]
    columns = np.array(found, dtype=np.int32).reshape(-1, 3).T
    counts |= dict(zip(("wrong_tokens", "changed_tokens", "wrong_changed_tokens"), columns, strict=True))
    return counts | _digits(before, after, true)


def concatenated(parts: Sequence[Counts]) -> Counts:
    """Return the counts of all records of all parts, in their order."""
    return {name: np.concatenate([np.zeros(0, np.int32), *(part[name] for part in parts)]) for name in COUNTS}


def _where_changed(
    before: np.ndarray, changed: np.ndarray, after: Sequence[str], true: Sequence[str], measure: Callable[..., np.ndarray]
) -> np.ndarray:
    values = before.copy()
    if len(changed):
        values[changed] = measure([after[row] for row in changed], [true[row] for row in changed], _IDENTITY)
    return values


def _digits(before: Sequence[str], after: Sequence[str], true: Sequence[str]) -> Counts:
    old, new, right = ([_NOT_DIGITS.sub("", text) for text in texts] for texts in (before, after, true))
    return {
        "truth_digits": _lengths(right),
        "raw_digit_distance": distances(old, right, _IDENTITY),
        "corrected_digit_distance": distances(new, right, _IDENTITY),
        "changed_digits": distances(old, new, _IDENTITY),
    }


def _hipe(raw: Sequence[str], corrected: Sequence[str], truth: Sequence[str]) -> Counts:
    """Count as jiwer does, which the official scorer uses."""
    rows = []
    for old, new, true in zip(raw, corrected, truth, strict=True):
        right = for_hipe(true)
        before = _hipe_errors(right, for_hipe(old))
        rows.append((*before, *(before if old == new else _hipe_errors(right, for_hipe(new)))))
    columns = np.array(rows, dtype=np.int32).reshape(-1, 2 * len(_HIPE_NAMES)).T
    names = [f"hipe_{text}_{name}" for text in ("raw", "corrected") for name in _HIPE_NAMES]
    return dict(zip(names, columns, strict=True))


_HIPE_NAMES = ("errors", "length", "word_errors", "word_length")


def _hipe_errors(truth: str, text: str) -> tuple[int, int, int, int]:
    """Return errors and length in characters, then in words."""
    return (*_errors_and_length(truth, text), *_errors_and_length(truth.split(), text.split()))


def _errors_and_length(truth: Sequence[str], text: Sequence[str]) -> tuple[int, int]:
    if truth == text:
        return 0, len(truth)
    edits = Levenshtein.editops(truth, text)
    return len(edits), len(truth) + sum(edit.tag == "insert" for edit in edits)


def _lengths(values: Sequence[Sequence[str]]) -> np.ndarray:
    return np.fromiter(map(len, values), np.int32, len(values))
