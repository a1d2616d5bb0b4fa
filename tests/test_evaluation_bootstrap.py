"""Confidence intervals and p-values against theory, exact tests and each other."""

import numpy as np
import pytest

from ocrray.evaluation.bootstrap import (
    BootstrapConfig,
    Interval,
    bootstrap_intervals,
    clopper_pearson,
    paired_p_value,
    pool_units,
    sum_by_block,
)


def interval_of_sum(values: np.ndarray, units: np.ndarray, max_blocks: int = 20_000, **config: float) -> Interval | None:
    """The interval of the sum of some values."""
    block_sums = sum_by_block({"sum": values}, pool_units(units, max_blocks, seed=5))
    return bootstrap_intervals(block_sums, lambda sums: np.moveaxis(sums, -1, 0), BootstrapConfig(seed=5, **config))[0]


def width(interval: Interval | None) -> float:
    """Its width."""
    assert interval is not None
    return interval.high - interval.low


def test_bootstrap_intervals_of_a_mean_have_the_width_that_theory_gives() -> None:
    """The bootstrap of a plain mean is as wide as the normal approximation of it, at any confidence."""
    values = np.random.default_rng(1).normal(3, 2, 4000)
    for confidence, quantile in ((0.95, 1.96), (0.8, 1.2816)):
        interval = interval_of_sum(values / 4000, np.arange(4000), resamples=2000, confidence=confidence)
        half = quantile * values.std() / np.sqrt(4000)
        assert interval is not None
        assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
        assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_bootstrap_intervals_of_pooled_units_keep_their_width() -> None:
    """Where there are more records than blocks, the interval stays as wide."""
    values = np.random.default_rng(2).exponential(1, 30_000)
    pooled, singly = (width(interval_of_sum(values, np.arange(30_000), blocks, resamples=600)) for blocks in (5_000, 100_000))
    assert pooled == pytest.approx(singly, rel=0.15)


def test_pool_units_more_than_blocks_makes_equally_large_blocks() -> None:
    """A unit is never split, and blocks differ by one unit at most."""
    units = np.repeat(np.arange(1003), 2)
    blocks = pool_units(units, 100, seed=0)
    assert np.array_equal(blocks[::2], blocks[1::2])
    assert set(np.bincount(blocks) // 2) == {10, 11}
    assert np.array_equal(pool_units(units, 1003, seed=0), units)


def test_bootstrap_intervals_documents_are_resampled_whole() -> None:
    """Lines that err alike in a document are not independent: the interval is wider than if they were."""
    values = np.repeat(np.random.default_rng(3).random(40), 25)
    documents, records = np.repeat(np.arange(40), 25), np.arange(1000)
    assert width(interval_of_sum(values, documents)) > 3 * width(interval_of_sum(values, records))


def test_bootstrap_intervals_same_seed_same_interval() -> None:
    """An evaluation repeated gives the same intervals."""
    block_sums = np.array([[3.0, 1.0], [4.0, 4.0], [0.0, 1.0], [2.0, 0.0]])

    def intervals(seed: int) -> list[Interval | None]:
        return bootstrap_intervals(block_sums, lambda sums: np.moveaxis(sums, -1, 0), BootstrapConfig(seed=seed))

    assert intervals(7) == intervals(7)
    assert intervals(7) != intervals(8)


@pytest.mark.parametrize("block_sums", [[[0.0, 0.0], [1.0, 2.0]], [[1.0, 2.0], [2.0, 4.0]], [[1.0, 3.0]]])
def test_bootstrap_intervals_undefined_or_constant_metric_has_none(block_sums: list[list[float]]) -> None:
    """A ratio that is 0 / 0 in some resample, one that never varies, and one from a single block have no honest interval."""

    def ratio(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return (sums[..., 0] / sums[..., 1])[np.newaxis]

    assert bootstrap_intervals(np.array(block_sums), ratio, BootstrapConfig(resamples=100)) == [None]


def test_clopper_pearson_none_or_all_is_the_closed_form() -> None:
    """For 0 of n the upper end solves (1 - p)^n = 2.5 %, for n of n the lower end p^n = 2.5 %."""
    none, every = clopper_pearson(0, 5, 0.95), clopper_pearson(5, 5, 0.95)
    assert (none.low, (1 - none.high) ** 5) == (0, pytest.approx(0.025))
    assert (every.low**5, every.high) == (pytest.approx(0.025), 1)


@pytest.mark.parametrize(("wins", "expected"), [(10, 2 / 1024), (5, 1.0)])
def test_paired_p_value_of_a_sign_test_is_the_exact_one(wins: int, expected: float) -> None:
    """Of ten records, each decided by one, there are 1024 ways to swap them: all are tried."""
    differences = np.array([-1] * wins + [1] * (10 - wins))
    assert paired_p_value(differences, np.arange(10), BootstrapConfig()) == pytest.approx(expected)


def test_paired_p_value_of_many_units_is_that_of_the_normal_approximation() -> None:
    """Randomly drawn and pooled assignments give about the p-value of a z-test of the same sum."""
    differences = np.random.default_rng(4).normal(0.017, 1, 5_000)
    deviations = abs(differences.sum()) / np.sqrt((differences**2).sum())
    from scipy.stats import norm

    found = paired_p_value(differences, np.arange(5_000), BootstrapConfig())
    assert found == pytest.approx(2 * norm.sf(deviations), rel=0.2)


@pytest.mark.parametrize("differences", [[0, 0, 0], [0, 5, 0]])
def test_paired_p_value_of_no_or_one_difference_is_one(differences: list[int]) -> None:
    """Two systems that agree are not found to differ, and one unit shows nothing."""
    assert paired_p_value(np.array(differences), np.arange(3), BootstrapConfig()) == 1.0
