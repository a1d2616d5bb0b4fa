"""Every figure of an evaluation: what it means, and how it follows from sums over records.

A figure is a fraction of two sums, or one less it. Sums of parts add up, and sums of resampled records are all that a bootstrap
needs. The averages are named for what they are, because they can disagree in sign: see `text.metrics`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ocrray.evaluation.counts import COUNTS, Counts

Sums = Mapping[str, np.ndarray]
"""For each name in `addends` the sum over records: a scalar, or one value for each resample."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`part / whole`, or `1 - part / whole` for a reduction; both name sums. `higher_is_better` is None for mere facts."""

    part: str
    whole: str
    meaning: str
    is_reduction: bool = False
    higher_is_better: bool | None = None

    def of(self, sums: Sums) -> np.ndarray:
        """The figure, NaN where there is nothing to divide by."""
        part, whole = (np.asarray(sums[name], dtype=np.float64) for name in (self.part, self.whole))
        ratio = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0)
        return 1 - ratio if self.is_reduction else ratio


def _rates(unit: str, distance: str, length: str, words: str) -> dict[str, Figure]:
    """Micro and macro rate before and after, and the three reductions."""
    name = unit.upper()
    micro, macro = f"wrong {words} per {words[:-1]} of truth, all records together", f"mean of the records' own {name}s"
    return {
        f"micro_raw_{unit}": Figure(f"raw_{distance}", length, f"{micro}, before correction"),
        f"micro_corrected_{unit}": Figure(f"corrected_{distance}", length, f"{micro}, after correction", False, False),
        f"micro_{unit}_reduction": Figure(
            f"corrected_{distance}", f"raw_{distance}", f"share of all wrong {words} that correction removed", True, True
        ),
        f"macro_raw_{unit}": Figure(f"raw_{unit}_sum", f"{unit}_records", f"{macro}, before correction"),
        f"macro_corrected_{unit}": Figure(f"corrected_{unit}_sum", f"{unit}_records", f"{macro}, after correction", False, False),
        f"macro_{unit}_reduction": Figure(
            f"corrected_{unit}_sum", f"raw_{unit}_sum", f"by what share the mean of the records' {name}s fell", True, True
        ),
        f"mean_relative_{unit}_reduction": Figure(
            f"relative_{unit}_reduction_sum",
            f"{unit}_wrong_records",
            f"mean, over the records that had errors, of the share of its wrong {words} that each lost",
            False,
            True,
        ),
    }


FIGURES: dict[str, Figure] = {
    **_rates("cer", "distance", "truth_chars", "characters"),
    **_rates("wer", "word_distance", "truth_words", "words"),
    "raw_exact_frac": Figure("clean", "records", "share of records whose raw text is the truth"),
    "exact_frac": Figure("exact", "records", "share of records whose corrected text is the truth", False, True),
    "improved_frac": Figure("improved", "records", "share of records nearer to the truth after correction", False, True),
    "made_worse_frac": Figure("made_worse", "records", "share of records further from the truth after correction", False, False),
    "broke_clean_frac": Figure(
        "broke_clean", "clean", "share of the records without an error that correction broke", False, False
    ),
    "detection_precision": Figure(
        "wrong_changed_tokens", "changed_tokens", "share of the tokens changed that were wrong (ICDAR Task 1)", False, True
    ),
    "detection_recall": Figure(
        "wrong_changed_tokens", "wrong_tokens", "share of the wrong tokens that were changed (ICDAR Task 1)", False, True
    ),
    "detection_f1": Figure(
        "twice_wrong_changed_tokens", "wrong_or_changed_tokens", "harmonic mean of these two (ICDAR Task 1)", False, True
    ),
    "hipe_raw_cmer": Figure("hipe_raw_errors", "hipe_raw_length", "character match error rate of HIPE-OCRepair 2026, raw text"),
    "hipe_cmer": Figure("hipe_corrected_errors", "hipe_corrected_length", "the same, micro, of the corrected text", False, False),
    "hipe_preference": Figure(
        "hipe_preference_sum", "records", "mean of +1, 0 or −1 for each record's cMER fallen, equal or risen", False, True
    ),
    "raw_digit_error_rate": Figure("raw_digit_distance", "truth_digits", "wrong digits per digit of truth, before correction"),
    "digit_error_rate": Figure("corrected_digit_distance", "truth_digits", "the same after correction", False, False),
    "digits_changed_frac": Figure("digits_changed", "records", "share of records whose digits the corrector changed"),
    "digits_made_worse_frac": Figure(
        "digits_made_worse", "records", "share of records whose digits are further from the truth's", False, False
    ),
}


SHARES = tuple(name for name, figure in FIGURES.items() if name.endswith("_frac") and figure.whole in ("records", "clean"))
"""The figures that say how many records of some are one thing or another."""


def addends(counts: Counts) -> dict[str, np.ndarray]:
    """What is added up over records: the counts themselves, and what follows from them record by record, as float64."""
    values = {name: counts[name].astype(np.float64) for name in COUNTS}
    raw, corrected = counts["raw_distance"], counts["corrected_distance"]
    digits_before, digits_after = counts["raw_digit_distance"], counts["corrected_digit_distance"]
    cmer = {
        text: _over(counts[f"hipe_{text}_errors"], np.maximum(counts[f"hipe_{text}_length"], 1)) for text in ("raw", "corrected")
    }
    return {
        **values,
        **_per_record("cer", "distance", "truth_chars", values),
        **_per_record("wer", "word_distance", "truth_words", values),
        "records": np.ones(len(raw)),
        "clean": _ones(raw == 0),
        "exact": _ones(corrected == 0),
        "improved": _ones(corrected < raw),
        "made_worse": _ones(corrected > raw),
        "broke_clean": _ones((raw == 0) & (corrected > 0)),
        "twice_wrong_changed_tokens": 2 * values["wrong_changed_tokens"],
        "wrong_or_changed_tokens": values["wrong_tokens"] + values["changed_tokens"],
        "hipe_preference_sum": np.sign(cmer["raw"] - cmer["corrected"]),
        "digits_changed": _ones(counts["changed_digits"] > 0),
        "digits_made_worse": _ones(digits_after > digits_before),
    }


def _per_record(unit: str, distance: str, length: str, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    raw, corrected, whole = values[f"raw_{distance}"], values[f"corrected_{distance}"], values[length]
    return {
        f"{unit}_records": _ones(whole > 0),
        f"raw_{unit}_sum": _over(raw, whole),
        f"corrected_{unit}_sum": _over(corrected, whole),
        f"{unit}_wrong_records": _ones(raw > 0),
        f"relative_{unit}_reduction_sum": _over(raw - corrected, raw),
    }


def _ones(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.float64)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The ratio, 0 where there is nothing to divide by: such records are not among those that it is averaged over."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
