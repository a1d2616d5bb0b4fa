"""Figures from counts, and how sure they are: against the totals of a run, worked examples and known distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.evaluation import bootstrap
from ocrray.evaluation.bootstrap import Resampling, figures_of, totals
from ocrray.evaluation.counts import COUNTS, Counts
from ocrray.evaluation.figures import FIGURES, addends
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


@given(RECORDS)
def test_figures_any_records_equal_a_runs_own_totals(records: list[tuple[int, int, int]]) -> None:
    """The corpus's summary and the evaluation say the same of the same distances."""
    found = figures_of(totals(addends(distances(records))))
    told = cer_totals(*([record[column] for record in records] for column in range(3)))
    names = {
        "micro_raw_cer": told.micro_raw_cer,
        "micro_corrected_cer": told.micro_corrected_cer,
        "micro_cer_reduction": told.micro_cer_reduction,
        "macro_raw_cer": told.macro_raw_cer,
        "macro_corrected_cer": told.macro_corrected_cer,
        "macro_cer_reduction": told.macro_cer_reduction,
        "mean_relative_cer_reduction": told.mean_relative_reduction,
        "made_worse_frac": told.made_worse_frac,
        "broke_clean_frac": told.broke_clean_frac,
    }
    for name, value in names.items():
        assert float(found[name]) == pytest.approx(np.nan if value is None else value, nan_ok=True), name


def test_figures_detection_and_preference_are_what_they_are_named() -> None:
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
    found = figures_of(totals(addends(counts)))
    assert float(found["detection_precision"]) == pytest.approx(4 / 5)
    assert float(found["detection_recall"]) == pytest.approx(4 / 10)
    assert float(found["detection_f1"]) == pytest.approx(2 * 0.8 * 0.4 / 1.2)
    assert float(found["hipe_preference"]) == pytest.approx(1 / 4)
    assert float(found["hipe_raw_cmer"]) == pytest.approx(14 / 40)
    assert float(found["hipe_cmer"]) == pytest.approx(6 / 41)


def test_figures_every_one_names_sums_that_exist() -> None:
    """No figure lacks its sums, and every one says what it means."""
    sums = totals(addends(distances([(10, 1, 1)])))
    assert all({figure.part, figure.whole} <= set(sums) and figure.meaning for figure in FIGURES.values())


def test_resampling_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    """The bootstrap of a plain mean is as wide as the normal approximation of it."""
    rng = np.random.default_rng(1)
    values = {"part": rng.normal(3, 2, 4000), "whole": np.ones(4000)}
    resampling = Resampling(np.arange(4000), resamples=2000, confidence=0.95, seed=5)
    sums = resampling.sums(values)
    interval = resampling.interval(sums["part"] / sums["whole"])
    half = 1.96 * values["part"].std() / np.sqrt(4000)
    assert interval.low == pytest.approx(values["part"].mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values["part"].mean() + half, abs=0.1 * half)


def test_resampling_many_records_in_lots_keeps_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are more records than are drawn singly, the interval stays as wide."""
    values = {"part": np.random.default_rng(2).exponential(1, 30_000)}

    def width() -> float:
        resampling = Resampling(np.arange(30_000), resamples=600, confidence=0.95, seed=5)
        interval = resampling.interval(resampling.sums(values)["part"])
        return interval.high - interval.low

    in_lots = width()
    monkeypatch.setattr(bootstrap, "MAX_UNITS", 100_000)
    assert in_lots == pytest.approx(width(), rel=0.15)


def test_resampling_documents_are_drawn_whole() -> None:
    """Lines that err alike in a document are no independent witnesses: the interval is wider than if they were."""
    documents = np.repeat(np.arange(40), 25)
    values = {"part": np.repeat(np.random.default_rng(3).random(40), 25)}

    def width(units: np.ndarray) -> float:
        resampling = Resampling(units, resamples=500, confidence=0.95, seed=5)
        interval = resampling.interval(resampling.sums(values)["part"])
        return interval.high - interval.low

    assert width(documents) > 3 * width(np.arange(1000))


def test_resampling_same_seed_same_interval() -> None:
    """An evaluation done again says the same."""
    values = addends(distances([(10, 3, 1), (20, 4, 4), (5, 0, 1), (9, 2, 0)]))

    def intervals(seed: int) -> dict:
        resampling = Resampling(np.arange(4), resamples=200, confidence=0.9, seed=seed)
        return {name: resampling.interval(values) for name, values in figures_of(resampling.sums(values)).items()}

    assert intervals(7) == intervals(7)
    assert intervals(7) != intervals(8)


def test_resampling_figure_that_a_resample_lacks_has_no_interval() -> None:
    """One clean record among two: some resamples have none, so the share of broken ones has no honest interval."""
    values = addends(distances([(10, 0, 1), (10, 2, 0)]))
    resampling = Resampling(np.arange(2), resamples=100, confidence=0.95, seed=0)
    assert resampling.interval(figures_of(resampling.sums(values))["broke_clean_frac"]) is None


@pytest.mark.parametrize(("wins", "expected"), [(10, 2 / 1024), (5, 1.0)])
def test_resampling_p_value_of_a_sign_test_is_the_exact_one(wins: int, expected: float) -> None:
    """Ten records, each decided by one: of the 1024 ways to swap them, those as extreme are counted out by hand."""
    resampling = Resampling(np.arange(10), resamples=10, confidence=0.95, seed=0)
    differences = np.array([-1] * wins + [1] * (10 - wins))
    assert resampling.p_value(differences, 50_000) == pytest.approx(expected, abs=0.0008)


def test_resampling_p_value_of_no_difference_is_one() -> None:
    """Two systems that say the same are not found to differ."""
    assert Resampling(np.arange(3), resamples=10, confidence=0.95, seed=0).p_value(np.zeros(3), 100) == 1.0
