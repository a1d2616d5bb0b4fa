"""Levenshtein distances and character error rates, each named by how it is averaged: averages can disagree in sign.

A corrector can lower the mean of per-record ratios while it makes the corpus worse. Micro, macro and mean of ratios are
therefore reported side by side, with the numbers of records that were made worse and of clean records that were broken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from ocrray.text.normalise import for_scoring
from ocrray.text.words import words

# OCR, its correction and the truth are similar, so a small first guess lets rapidfuzz compute a narrow band of the matrix
# (16 times faster on a page of 200,000 characters); it widens the band where the guess was too low.
_EXPECTED_DISTANCE = 64


def distance(left: str, right: str) -> int:
    """Return the Levenshtein distance in characters between the texts after `for_scoring`."""
    return Levenshtein.distance(for_scoring(left), for_scoring(right), score_hint=_EXPECTED_DISTANCE)


def distances(left: Sequence[str], right: Sequence[str], normalise: Callable[[str], str] = for_scoring) -> np.ndarray:
    """Return `distance` of each pair as int32.

    Raises: ValueError: when the sequences differ in length.
    """
    return _pairwise([normalise(text) for text in left], [normalise(text) for text in right])


def word_distances(left: Sequence[str], right: Sequence[str], normalise: Callable[[str], str] = for_scoring) -> np.ndarray:
    """Return the Levenshtein distance of each pair in `words`, as for the word error rate.

    Raises: ValueError: when the sequences differ in length.
    """
    return _pairwise([words(normalise(text)) for text in left], [words(normalise(text)) for text in right])


def _pairwise(left: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> np.ndarray:
    if len(left) != len(right):
        raise ValueError(f"{len(left)} texts on the left, {len(right)} on the right")
    scorer, hint = Levenshtein.distance, _EXPECTED_DISTANCE
    pairwise: np.ndarray = process.cpdist(left, right, scorer=scorer, score_hint=hint, dtype=np.int32, workers=1)
    return pairwise


@dataclass(frozen=True, slots=True)
class CerTotals:
    """Sums over records with ground truth, and the rates that follow; totals of parts add up with `+`.

    Rates are fractions, None where the denominator is 0.
    """

    records: int = 0
    truth_chars: int = 0
    raw_distance: int = 0
    corrected_distance: int = 0
    improved: int = 0  # records whose distance fell
    made_worse: int = 0  # records whose distance rose
    clean: int = 0  # records whose raw text was already the truth ...
    broke_clean: int = 0  # ... and those of them whose corrected text is not
    with_truth_chars: int = 0  # records whose truth is not empty: the only ones with a CER of their own ...
    raw_cer_sum: float = 0.0  # ... which these two add up
    corrected_cer_sum: float = 0.0
    relative_reduction_sum: float = 0.0  # over the records that are not clean

    def __add__(self, other: "CerTotals") -> "CerTotals":
        return CerTotals(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def micro_raw_cer(self) -> float | None:
        """Wrong characters per character of truth in the whole corpus, before correction."""
        return _ratio(self.raw_distance, self.truth_chars)

    @property
    def micro_corrected_cer(self) -> float | None:
        """Wrong characters per character of truth in the whole corpus, after correction."""
        return _ratio(self.corrected_distance, self.truth_chars)

    @property
    def micro_cer_reduction(self) -> float | None:
        """Fraction of all wrong characters that correction removed; negative when it added more than it removed."""
        return _reduction(self.raw_distance, self.corrected_distance)

    @property
    def macro_raw_cer(self) -> float | None:
        """Mean of the records' own CERs before correction: every record has the same weight."""
        return _ratio(self.raw_cer_sum, self.with_truth_chars)

    @property
    def macro_corrected_cer(self) -> float | None:
        """Mean of the records' own CERs after correction."""
        return _ratio(self.corrected_cer_sum, self.with_truth_chars)

    @property
    def macro_cer_reduction(self) -> float | None:
        """Relative reduction of the mean of the records' CERs."""
        return _reduction(self.raw_cer_sum, self.corrected_cer_sum)

    @property
    def mean_relative_reduction(self) -> float | None:
        """Mean, over the records that had errors, of the fraction of its errors that each lost."""
        return _ratio(self.relative_reduction_sum, self.records - self.clean)

    @property
    def made_worse_frac(self) -> float | None:
        """Fraction of all records with truth whose distance to it increased."""
        return _ratio(self.made_worse, self.records)

    @property
    def broke_clean_frac(self) -> float | None:
        """Fraction of the clean records that correction broke."""
        return _ratio(self.broke_clean, self.clean)


def cer_totals(truth_chars: npt.ArrayLike, raw_distance: npt.ArrayLike, corrected_distance: npt.ArrayLike) -> CerTotals:
    """Return totals from arrays of equal length: characters of the truth, and distances of raw and corrected text to it."""
    chars, raw, corrected = (np.asarray(values, dtype=np.int64) for values in (truth_chars, raw_distance, corrected_distance))
    scored, wrong = chars > 0, raw > 0
    return CerTotals(
        records=len(chars),
        truth_chars=int(chars.sum()),
        raw_distance=int(raw.sum()),
        corrected_distance=int(corrected.sum()),
        improved=int((corrected < raw).sum()),
        made_worse=int((corrected > raw).sum()),
        clean=int((~wrong).sum()),
        broke_clean=int((~wrong & (corrected > 0)).sum()),
        with_truth_chars=int(scored.sum()),
        raw_cer_sum=float((raw[scored] / chars[scored]).sum()),
        corrected_cer_sum=float((corrected[scored] / chars[scored]).sum()),
        relative_reduction_sum=float(((raw[wrong] - corrected[wrong]) / raw[wrong]).sum()),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _reduction(before: float, after: float) -> float | None:
    return 1 - after / before if before else None
