"""Confidence intervals and tests for metrics: percentile bootstrap, Clopper-Pearson, and approximate randomisation, by SciPy.

Units of resampling are records, or documents where it is known which record belongs to which. `scipy.stats` is imported where
it is used: that takes half a second, and planning an evaluation does not need it.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from ocrray.config import StrictModel

MAX_BLOCKS = 20_000
"""Most blocks of a bootstrap: more units are pooled at random, which keeps the expected variance of sums."""
MAX_PERMUTED_BLOCKS = 2_000
"""Most blocks of a permutation test: SciPy takes 1.4 s for 10,000 permutations of 2,000 blocks, and 36 s for 20,000."""
_CELLS_PER_BATCH = 4_000_000

Statistic = Callable[[np.ndarray], np.ndarray]
"""Maps sums, shaped (..., summands), to metrics, shaped (metrics, ...)."""


class BootstrapConfig(StrictModel):
    """Confidence intervals and significance tests."""

    resamples: int = Field(1_000, ge=100, le=100_000)
    """Resamples of the bootstrap."""
    permutations: int = Field(10_000, ge=100, le=1_000_000)
    """Permutations of the paired test against a baseline."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals, a fraction."""
    seed: int = Field(0, ge=0)
    """Seed of every random choice of an evaluation."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a two-sided confidence interval."""

    low: float
    high: float


def pool_units(units: np.ndarray, max_blocks: int, seed: int) -> np.ndarray:
    """Return the block of each record, numbered from 0, from its unit, numbered from 0 without gaps.

    Each unit is a block of its own, or goes into a random one of `max_blocks` equally large blocks where there are more units.
    """
    number = int(units.max(initial=-1)) + 1
    if number <= max_blocks:
        return units
    pooled: np.ndarray = (np.random.default_rng(seed).permutation(number) % max_blocks)[units]
    return pooled


def sum_by_block(values: Mapping[str, np.ndarray], blocks: np.ndarray) -> np.ndarray:
    """Return the sums of each block: float64, shaped (blocks, values)."""
    number = int(blocks.max(initial=-1)) + 1
    columns = [np.bincount(blocks, weights=column, minlength=number) for column in values.values()]
    return np.stack(columns, axis=1)


def bootstrap_intervals(block_sums: np.ndarray, statistic: Statistic, config: BootstrapConfig) -> list[Interval | None]:
    """Return a percentile interval for each metric of `statistic`, from blocks resampled with replacement.

    None where a resample has no such metric (NaN), or where resamples show no spread.
    """
    if len(block_sums) < 2:  # one block, resampled, is always the same
        return [None] * len(statistic(block_sums.sum(axis=0)))
    result = _bootstrap(block_sums, statistic, config)
    return [usable_interval(*ends) for ends in zip(*result.confidence_interval, strict=True)]


def bootstrap_samples(block_sums: np.ndarray, statistic: Statistic, config: BootstrapConfig) -> np.ndarray:
    """Return each metric of `statistic` of each resample of blocks, shaped (metrics, resamples); one block has no spread."""
    if len(block_sums) < 2:
        return np.repeat(statistic(block_sums.sum(axis=0))[:, None], config.resamples, axis=1)
    samples: np.ndarray = _bootstrap(block_sums, statistic, config).bootstrap_distribution
    return samples


def _bootstrap(block_sums: np.ndarray, statistic: Statistic, config: BootstrapConfig) -> Any:
    from scipy import stats

    number = len(block_sums)

    def of_resamples(sampled: np.ndarray, axis: int) -> np.ndarray:  # noqa: ARG001 - SciPy passes it to vectorised statistics
        # Multiplicities times sums: the sums of a resample without a copy of its blocks, which would not fit into memory.
        multiplicities = np.stack([np.bincount(row, minlength=number) for row in np.atleast_2d(sampled)])
        metrics = statistic(multiplicities @ block_sums)
        return metrics if sampled.ndim > 1 else metrics[:, 0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # a metric that is NaN gets no interval
        return stats.bootstrap(
            (np.arange(number),),
            of_resamples,
            n_resamples=config.resamples,
            batch=max(1, _CELLS_PER_BATCH // number),
            vectorized=True,
            confidence_level=config.confidence,
            method="percentile",
            rng=config.seed,
        )


def usable_interval(low: float, high: float) -> Interval | None:
    """Return the interval, or None where an end is not defined or there is no width."""
    return Interval(float(low), float(high)) if high - low > 1e-12 else None


def clopper_pearson(successes: int, trials: int, confidence: float) -> Interval:
    """Return the exact interval of a share of independent trials; it has a width even where the share is 0 or 1."""
    from scipy import stats

    ends = stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return Interval(float(ends.low), float(ends.high))


def paired_p_value(differences: np.ndarray, units: np.ndarray, config: BootstrapConfig) -> float:
    """Return the two-sided p-value of the sum of `differences`, one a record, by swapping the two systems within units.

    Approximate randomisation (Noreen, 1989); all assignments are tried where they are no more than `config.permutations`.
    """
    from scipy import stats

    sums = sum_by_block({"difference": differences}, pool_units(units, MAX_PERMUTED_BLOCKS, config.seed))[:, 0]
    sums = sums[sums != 0]  # swapping equal units changes nothing
    if len(sums) < 2:  # the one unit that differs is as extreme either way
        return 1.0

    def absolute_sum(values: np.ndarray, axis: int) -> np.ndarray:
        total: np.ndarray = np.abs(values.sum(axis=axis))
        return total

    result = stats.permutation_test(
        (sums,),
        absolute_sum,
        permutation_type="samples",  # of a single sample: its signs
        n_resamples=config.permutations,
        batch=max(1, _CELLS_PER_BATCH // len(sums)),
        vectorized=True,
        alternative="greater",
        rng=config.seed,
    )
    return float(result.pvalue)
