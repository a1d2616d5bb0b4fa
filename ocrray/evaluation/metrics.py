"""Registry of the metrics of an evaluation: name, meaning, definition, and place in the tables.

Every metric is a ratio of two sums over records, or 1 minus such a ratio: sums of parts add up, and sums of resampled records
are all that a bootstrap needs. Results, `evaluation.json`, terminal tables and report take their metrics from `METRICS`.
Averages are named by their kind, because they can disagree in sign: see `text.metrics`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from ocrray.evaluation.counts import Counts

Sums = Mapping[str, np.ndarray]
"""Sum over records of each of `summands`: scalars, or arrays with one value a resample."""

Kind = Literal["rate", "reduction", "share", "score"]
"""`rate`: numerator / denominator. `reduction`: 1 minus that ratio. `share`: a ratio of counted records, shown with both
counts. `score`: a ratio that may be negative, shown with its sign."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `numerator` and `denominator` name summands."""

    name: str
    numerator: str
    denominator: str
    meaning: str
    kind: Kind
    table: Literal["error_rates", "outcomes", "documents"]
    row: str
    """Label of its row; metrics with the same label stand in one row."""
    column: Literal["raw", "corrected", "reduction"] = "corrected"
    headline: bool = False
    """Shown in the terminal's comparison with a baseline; the report shows all whose column is not `raw`."""

    @property
    def is_of_answers(self) -> bool:
        """True where it needs no raw text."""
        return self.table != "outcomes" and self.column == "corrected"

    def compute(self, sums: Sums) -> np.ndarray:
        """Return the metric for each entry of the sums, NaN where the denominator is 0."""
        numerator, denominator = (np.asarray(sums[name], dtype=np.float64) for name in (self.numerator, self.denominator))
        undefined = np.full(np.shape(denominator), np.nan)
        ratio: np.ndarray = np.divide(numerator, denominator, out=undefined, where=denominator != 0)
        return 1 - ratio if self.kind == "reduction" else ratio


_error_rate = partial(Metric, kind="rate", table="error_rates")
_outcome = partial(Metric, kind="share", table="outcomes")


def _averages(unit: str, distance: str, length: str, things: str) -> tuple[Metric, ...]:
    """Return micro and macro rate before and after correction, and the three kinds of reduction."""
    name, records = unit.upper(), f"{unit}_records"
    raw, corrected, raw_sum, corrected_sum = (
        f"raw_{distance}",
        f"corrected_{distance}",
        f"raw_{unit}_sum",
        f"corrected_{unit}_sum",
    )
    micro = partial(_error_rate, row=f"{name}, micro")
    macro = partial(_error_rate, row=f"{name}, macro")
    micro_rate, macro_rate = (
        f"wrong {things} per {things[:-1]} of truth, all records together",
        f"mean of the records' own {name}s",
    )
    removed = f"share of all wrong {things} that correction removed"
    fell = f"relative reduction of the mean of the records' {name}s"
    mean = f"mean, over the records that had errors, of the share of its wrong {things} that each lost"
    return (
        micro(f"micro_raw_{unit}", raw, length, f"{micro_rate}, before correction", column="raw"),
        micro(f"micro_corrected_{unit}", corrected, length, f"{micro_rate}, after correction", headline=True),
        micro(f"micro_{unit}_reduction", corrected, raw, removed, kind="reduction", column="reduction"),
        macro(f"macro_raw_{unit}", raw_sum, records, f"{macro_rate}, before correction", column="raw"),
        macro(f"macro_corrected_{unit}", corrected_sum, records, f"{macro_rate}, after correction", headline=unit == "cer"),
        macro(f"macro_{unit}_reduction", corrected_sum, raw_sum, fell, kind="reduction", column="reduction"),
        _error_rate(
            f"mean_relative_{unit}_reduction",
            f"relative_{unit}_reduction_sum",
            f"{unit}_wrong_records",
            mean,
            row=f"{name}, mean of ratios",
            column="reduction",
        ),
    )


_digits = partial(_error_rate, row="digits wrong")
_exact = partial(_error_rate, kind="share", row="exact match")
_detection = partial(_outcome, kind="rate")
_TEXTS = ("raw", "corrected")
_SHARE = "share of records whose"
_HIPE = "HIPE-OCRepair 2026:"


def _match_error_rates(unit: Literal["cmer", "wmer"], prefix: str, things: str) -> tuple[Metric, ...]:
    """Return HIPE's match error rate before and after correction, micro and macro; `prefix` is that of the names of counts."""
    name = f"{unit[0]}MER"
    rate = f"{_HIPE} {things} match error rate, errors / (hits + errors) after its own normalisation"
    micro = partial(_error_rate, row=f"{name} (HIPE), micro")
    macro = partial(_error_rate, row=f"{name} (HIPE), macro")
    errors, length = f"{prefix}errors", f"{prefix}length"
    return (
        micro(f"hipe_raw_{unit}", f"hipe_raw_{errors}", f"hipe_raw_{length}", f"{rate}, raw text, micro", column="raw"),
        micro(
            f"hipe_{unit}",
            f"hipe_corrected_{errors}",
            f"hipe_corrected_{length}",
            f"{rate}, corrected text, micro",
            headline=unit == "cmer",
        ),
        macro(f"hipe_macro_raw_{unit}", f"hipe_raw_{unit}_sum", "records", f"{rate}, raw text, mean of records", column="raw"),
        macro(f"hipe_macro_{unit}", f"hipe_corrected_{unit}_sum", "records", f"{rate}, corrected text, mean of records"),
    )


def _hipe_scores(unit: Literal["cmer", "wmer"], name: str, words: str) -> tuple[Metric, ...]:
    """Return HIPE's preference score and PCIS by one of its error rates."""
    better = f"mean of +1, 0 or −1 for each record whose {name} fell, stayed or rose"
    gain = f"mean of each record's relative gain in 1 − {name}: (after − before) / before, or after where before is 0 (PCIS)"
    score = partial(_outcome, kind="score")
    suffix = "" if unit == "cmer" else "_wmer"
    return (
        score(
            f"hipe_preference{suffix}",
            f"hipe_preference_{unit}_sum",
            "records",
            f"{_HIPE} {better}",
            row=f"preference{words} (HIPE)",
            headline=unit == "cmer",
        ),
        score(f"hipe_pcis{suffix}", f"hipe_pcis_{unit}_sum", "records", f"{_HIPE} {gain}", row=f"PCIS{words} (HIPE)"),
    )


_REGISTERED = (
    *_averages("cer", "distance", "truth_chars", "characters"),
    *_averages("wer", "word_distance", "truth_words", "words"),
    *_match_error_rates("cmer", "", "character"),
    *_match_error_rates("wmer", "word_", "word"),
    _digits(
        "raw_digit_error_rate", "raw_digit_distance", "truth_digits", "wrong digits per digit of truth, raw text", column="raw"
    ),
    _digits("digit_error_rate", "corrected_digit_distance", "truth_digits", "wrong digits per digit of truth, corrected text"),
    _exact("raw_exact_frac", "clean", "records", f"{_SHARE} raw text equals the truth", column="raw"),
    _exact("exact_frac", "exact", "records", f"{_SHARE} corrected text equals the truth", headline=True),
    _outcome(
        "made_worse_frac",
        "made_worse",
        "records",
        "share of records further from the truth after correction",
        row="made worse",
        headline=True,
    ),
    _outcome(
        "broke_clean_frac",
        "broke_clean",
        "clean",
        "share of records without an error that correction broke",
        row="broke clean input",
    ),
    _outcome("improved_frac", "improved", "records", "share of records nearer to the truth after correction", row="improved"),
    _outcome("digits_changed_frac", "digits_changed", "records", f"{_SHARE} digits the corrector changed", row="digits changed"),
    _outcome(
        "digits_made_worse_frac",
        "digits_made_worse",
        "records",
        f"{_SHARE} digits are further from those of the truth after correction",
        row="digits made worse",
    ),
    _detection(
        "detection_precision",
        "wrong_changed_tokens",
        "changed_tokens",
        "share of the changed tokens that were wrong (ICDAR Task 1)",
        row="detection precision (ICDAR)",
    ),
    _detection(
        "detection_recall",
        "wrong_changed_tokens",
        "wrong_tokens",
        "share of the wrong tokens that were changed (ICDAR Task 1)",
        row="detection recall (ICDAR)",
    ),
    _detection(
        "detection_f1",
        "wrong_changed_tokens",
        "mean_wrong_changed_tokens",
        "harmonic mean of detection precision and recall (ICDAR Task 1)",
        row="detection F1 (ICDAR)",
    ),
    *_hipe_scores("cmer", "cMER", ""),
    *_hipe_scores("wmer", "wMER", ", words"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _REGISTERED}
HIPE_METRICS = tuple(name for name in METRICS if name.startswith("hipe_"))
"""Names of the metrics of HIPE-OCRepair 2026."""


def summands(counts: Counts) -> dict[str, np.ndarray]:
    """Return everything that is summed over records: counts as integers, flags as booleans, ratios per record as float64."""
    raw, corrected = counts["raw_distance"], counts["corrected_distance"]
    return {
        **counts,
        **_per_record("cer", "distance", "truth_chars", counts),
        **_per_record("wer", "word_distance", "truth_words", counts),
        "records": np.ones(len(raw), dtype=bool),
        "clean": raw == 0,
        "exact": corrected == 0,
        "improved": corrected < raw,
        "made_worse": corrected > raw,
        "broke_clean": (raw == 0) & (corrected > 0),
        "mean_wrong_changed_tokens": (counts["wrong_tokens"] + counts["changed_tokens"]) / 2,
        **_hipe_per_record("cmer", "", counts),
        **_hipe_per_record("wmer", "word_", counts),
        "digits_changed": counts["changed_digits"] > 0,
        "digits_made_worse": counts["corrected_digit_distance"] > counts["raw_digit_distance"],
    }


def _per_record(unit: str, distance: str, length: str, counts: Counts) -> dict[str, np.ndarray]:
    raw, corrected, whole = counts[f"raw_{distance}"], counts[f"corrected_{distance}"], counts[length]
    return {
        f"{unit}_records": whole > 0,
        f"raw_{unit}_sum": _ratio(raw, whole),
        f"corrected_{unit}_sum": _ratio(corrected, whole),
        f"{unit}_wrong_records": raw > 0,
        f"relative_{unit}_reduction_sum": _ratio(raw - corrected, raw),
    }


def _hipe_per_record(unit: str, prefix: str, counts: Counts) -> dict[str, np.ndarray]:
    raw, corrected = (_ratio(counts[f"hipe_{text}_{prefix}errors"], counts[f"hipe_{text}_{prefix}length"]) for text in _TEXTS)
    before, after = 1 - raw, 1 - corrected
    return {
        f"hipe_raw_{unit}_sum": raw,
        f"hipe_corrected_{unit}_sum": corrected,
        f"hipe_preference_{unit}_sum": np.sign(raw - corrected),
        f"hipe_pcis_{unit}_sum": np.divide(after - before, before, out=after.copy(), where=before != 0),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the ratio, 0 where the denominator is 0: such records are in no mean of ratios."""
    zeros = np.zeros(len(denominator), dtype=np.float64)
    ratio: np.ndarray = np.divide(numerator, denominator, out=zeros, where=denominator > 0)
    return ratio
