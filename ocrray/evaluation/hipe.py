"""Headline of HIPE-OCRepair 2026: its metrics by data set, and their mean over data sets, in which each weighs the same.

A data set is what `primary_dataset_name` is to hipe-ocrepair-scorer: here the records with one value in `source_column`. The
competition's ranking weighted the three test sets of dta19 by a third each; the scorer, and this mean, do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ocrray.evaluation.bootstrap import (
    MAX_BLOCKS,
    BootstrapConfig,
    bootstrap_samples,
    pool_units,
    sum_by_block,
    usable_interval,
)
from ocrray.evaluation.metrics import HIPE_METRICS, METRICS, summands
from ocrray.evaluation.results import MetricValue
from ocrray.evaluation.scoring import Scores

_NO_SOURCE = "(none)"


@dataclass(frozen=True, slots=True)
class HipeScores:
    """Metrics by name in `HIPE_METRICS`: of each data set, and their means over data sets with intervals."""

    records: dict[str, int]
    """Number of records by data set."""
    datasets: dict[str, dict[str, float]]
    means: dict[str, MetricValue]

    def as_json(self) -> dict[str, object]:
        """Return means and data sets by name."""
        means = {
            name: {"value": mean.value, "low": mean.interval and mean.interval.low, "high": mean.interval and mean.interval.high}
            for name, mean in self.means.items()
        }
        datasets = {name: {"records": self.records[name], **metrics} for name, metrics in self.datasets.items()}
        return {"mean_over_datasets": means, "datasets": datasets}


def hipe_scores(scores: Scores, config: BootstrapConfig) -> HipeScores:
    """Return HIPE's metrics of each data set and their means; intervals come from resampling within data sets."""
    values, units = summands(scores.counts), scores.units
    needed = {name for metric in HIPE_METRICS for name in (METRICS[metric].numerator, METRICS[metric].denominator)}
    values = {name: column for name, column in values.items() if name in needed}
    rows_of: dict[str, list[int]] = {}
    for row, source in enumerate(scores.sources):
        rows_of.setdefault(_NO_SOURCE if source is None else source, []).append(row)
    datasets: dict[str, dict[str, float]] = {}
    samples = []
    for number, (name, rows) in enumerate(rows_of.items()):
        of_dataset = {key: column[rows] for key, column in values.items()}
        totals = np.array([column.sum() for column in of_dataset.values()], dtype=np.float64)
        datasets[name] = dict(zip(HIPE_METRICS, _metrics(totals, values).tolist(), strict=True))
        blocks = pool_units(np.unique(units[rows], return_inverse=True)[1], MAX_BLOCKS, config.seed)
        own = config.model_copy(update={"seed": config.seed + number})  # equal data sets must not be resampled alike
        samples.append(bootstrap_samples(sum_by_block(of_dataset, blocks), lambda sums: _metrics(sums, values), own))
    tail = (1 - config.confidence) / 2
    ends = np.quantile(np.mean(samples, axis=0), [tail, 1 - tail], axis=1).T
    means = np.mean([list(metrics.values()) for metrics in datasets.values()], axis=0).tolist()
    return HipeScores(
        {name: len(rows) for name, rows in rows_of.items()},
        {name: {key: value for key, value in metrics.items() if not np.isnan(value)} for name, metrics in datasets.items()},
        {
            name: MetricValue(None if np.isnan(mean) else mean, usable_interval(low, high))
            for name, mean, (low, high) in zip(HIPE_METRICS, means, ends, strict=True)
        },
    )


def _metrics(sums: np.ndarray, names: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the metrics of sums shaped (..., summands), shaped (metrics, ...)."""
    by_name = dict(zip(names, np.moveaxis(sums, -1, 0), strict=True))
    return np.stack([METRICS[name].compute(by_name) for name in HIPE_METRICS])
