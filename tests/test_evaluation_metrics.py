"""Metrics from counts: against the totals of a run, worked examples, and the registry's own rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.evaluation.counts import COUNTS, Counts
from ocrray.evaluation.metrics import METRICS, summands
from ocrray.text.metrics import cer_totals

RECORDS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60)), max_size=12)


def counts_of(**columns: list[int]) -> Counts:
    """Counts with these columns, 0 in all others."""
    length = len(next(iter(columns.values())))
    return {name: np.array(columns.get(name, [0] * length), dtype=np.int32) for name in COUNTS}


def distances(records: list[tuple[int, int, int]]) -> Counts:
    """Counts of records given as characters of truth, raw and corrected distance."""
    columns = [list(column) for column in zip(*records, strict=True)] or [[], [], []]
    return counts_of(**dict(zip(("truth_chars", "raw_distance", "corrected_distance"), columns, strict=True)))


def computed(counts: Counts) -> dict[str, float]:
    """Every metric over all records."""
    sums = {name: column.sum() for name, column in summands(counts).items()}
    return {name: float(metric.compute(sums)) for name, metric in METRICS.items()}


@given(RECORDS)
def test_metrics_any_records_equal_a_runs_own_totals(records: list[tuple[int, int, int]]) -> None:
    """The corpus's summary and the evaluation say the same of the same distances."""
    found = computed(distances(records))
    totals = cer_totals(*([record[column] for record in records] for column in range(3)))
    names = {
        "micro_raw_cer": totals.micro_raw_cer,
        "micro_corrected_cer": totals.micro_corrected_cer,
        "micro_cer_reduction": totals.micro_cer_reduction,
        "macro_raw_cer": totals.macro_raw_cer,
        "macro_corrected_cer": totals.macro_corrected_cer,
        "macro_cer_reduction": totals.macro_cer_reduction,
        "mean_relative_cer_reduction": totals.mean_relative_reduction,
        "made_worse_frac": totals.made_worse_frac,
        "broke_clean_frac": totals.broke_clean_frac,
    }
    for name, value in names.items():
        assert found[name] == pytest.approx(np.nan if value is None else value, nan_ok=True), name


def test_metrics_detection_and_preference_are_what_they_are_named() -> None:
    """Precision, recall and F by hand; one record better, one worse, one level, one much better: preference a quarter."""
    counts = counts_of(
        wrong_tokens=[4, 6, 0, 0],
        changed_tokens=[3, 1, 0, 1],
        wrong_changed_tokens=[3, 1, 0, 0],
        hipe_raw_errors=[1, 0, 5, 8],
        hipe_raw_length=[10, 10, 10, 10],
        hipe_corrected_errors=[0, 1, 5, 0],
        hipe_corrected_length=[10, 11, 10, 10],
    )
    found = computed(counts)
    assert found["detection_precision"] == pytest.approx(4 / 5)
    assert found["detection_recall"] == pytest.approx(4 / 10)
    assert found["detection_f1"] == pytest.approx(2 * 0.8 * 0.4 / 1.2)
    assert found["hipe_preference"] == pytest.approx(1 / 4)
    assert found["hipe_raw_cmer"] == pytest.approx(14 / 40)
    assert found["hipe_cmer"] == pytest.approx(6 / 41)


def test_metrics_every_one_names_summands_that_exist() -> None:
    """No metric lacks its sums, every one has a meaning, and no two of one row stand in the same column."""
    known = summands(distances([(10, 1, 1)]))
    assert all({metric.numerator, metric.denominator} <= set(known) and metric.meaning for metric in METRICS.values())
    places = [(metric.table, metric.row, metric.column) for metric in METRICS.values()]
    assert len(set(places)) == len(places)
