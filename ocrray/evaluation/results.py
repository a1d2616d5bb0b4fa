"""Results of an evaluation: metrics with intervals, for all records and by group, and the comparison with a baseline."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocrray.evaluation.bootstrap import (
    MAX_BLOCKS,
    BootstrapConfig,
    Interval,
    bootstrap_intervals,
    clopper_pearson,
    pool_units,
    sum_by_block,
    usable_interval,
)
from ocrray.evaluation.counts import Counts
from ocrray.evaluation.metrics import METRICS, Metric, Sums, summands
from ocrray.evaluation.sampling import CheckedSample
from ocrray.evaluation.scoring import Scores

BUCKETS = ("0 %", "up to 2 %", "2 to 5 %", "5 to 10 %", "over 10 %")
_BUCKET_ENDS = (0.0, 0.02, 0.05, 0.10)
_MAX_GROUPS = 30
OTHERS = "(all others)"


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A metric, None where its denominator is 0, and its interval, None where a resample has no value or all have the same."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Group:
    """Records with something in common: integer sums over them, and metrics, by name."""

    name: str
    sums: dict[str, int]
    metrics: dict[str, MetricValue]

    @property
    def records(self) -> int:
        """Number of records."""
        return self.sums["records"]


@dataclass(frozen=True, slots=True)
class Results:
    """Metrics of one system, over all records and by group."""

    overall: Group
    by_raw_cer: list[Group]
    by_language: list[Group]
    by_source: list[Group]
    units: int
    in_blocks: bool
    """True where units were pooled into blocks for resampling, because there are more than `MAX_BLOCKS`."""


def compute_results(scores: Scores, config: BootstrapConfig) -> Results:
    """Return the metrics over all scored records and by group; each group is resampled by itself."""
    units = scores.units

    def group(name: str, rows: np.ndarray) -> Group:
        return _group(name, {key: values[rows] for key, values in scores.counts.items()}, units[rows], config)

    number = int(units.max(initial=-1)) + 1
    buckets = raw_cer_buckets(scores.counts)
    return Results(
        overall=group("all", np.arange(len(scores))),
        by_raw_cer=[group(name, rows) for i, name in enumerate(BUCKETS) if len(rows := np.flatnonzero(buckets == i))],
        by_language=[group(name, rows) for name, rows in _rows_by_label(scores.languages)],
        by_source=[group(name, rows) for name, rows in _rows_by_label(scores.sources)],
        units=number,
        in_blocks=number > MAX_BLOCKS,
    )


def estimate_results(sample: CheckedSample, config: BootstrapConfig) -> Results:
    """Return estimates for all records without ground truth from those that were checked; sums are rounded to integers."""
    sums = sample.estimated_sums()
    whole = [name for name, values in summands(sample.counts).items() if values.dtype != np.float64]
    resampled = metric_array(sample.resampled_sums(config.resamples, config.seed))
    tail = (1 - config.confidence) / 2
    intervals = [usable_interval(*ends) for ends in np.quantile(resampled, [tail, 1 - tail], axis=1).T]
    overall = Group("estimated", {name: round(float(sums[name])) for name in whole}, metric_values(metric_array(sums), intervals))
    return Results(overall, [], [], [], units=len(sample.stratum_of), in_blocks=False)


def metric_array(sums: Sums, metrics: Mapping[str, Metric] = METRICS) -> np.ndarray:
    """Return all metrics in their order, shaped (metrics, *shape of each sum)."""
    return np.stack([metric.compute(sums) for metric in metrics.values()])


def metrics_with_intervals(
    values: Mapping[str, np.ndarray], units: np.ndarray, config: BootstrapConfig, metrics: Mapping[str, Metric] = METRICS
) -> dict[str, MetricValue]:
    """Return every metric over records from their summands, with bootstrap intervals from resampling units.

    Shares of 0 or 1 get exact intervals: every resample is the same, though other records may differ.
    """
    blocks = pool_units(units, MAX_BLOCKS, config.seed)
    intervals = bootstrap_intervals(sum_by_block(values, blocks), lambda sums: metrics_of_sums(sums, values, metrics), config)
    found = metric_values(metric_array(totals(values), metrics), intervals, metrics)
    for metric in metrics.values():
        share = found[metric.name].value
        if metric.kind == "share" and share in (0, 1):
            trials = len(np.unique(units[values[metric.denominator].astype(bool)]))
            found[metric.name] = MetricValue(share, clopper_pearson(trials if share else 0, trials, config.confidence))
    return found


def raw_cer_buckets(counts: Counts) -> np.ndarray:
    """Return the index in BUCKETS of each record, by the CER of its raw text; of an empty truth it is 1 or more."""
    cer = counts["raw_distance"] / np.maximum(counts["truth_chars"], 1)
    return np.searchsorted(_BUCKET_ENDS, cer, side="left")


def value_as_json(value: MetricValue) -> dict[str, float | None]:
    """Return `{"value", "low", "high"}`, null where there is none."""
    interval = value.interval
    return {"value": value.value, "low": interval.low if interval else None, "high": interval.high if interval else None}


def as_json(part: Mapping[str, object], *, answers_only: bool = False) -> dict[str, Any]:
    """Return what `asdict` gave of results, metrics as `{"value", "low", "high"}`; with `answers_only` none of raw texts."""
    left_out = {name for name, metric in METRICS.items() if not metric.is_of_answers} if answers_only else set()
    return {name: _plain(value, left_out) for name, value in part.items()}


def _plain(value: Any, left_out: Set[str]) -> Any:
    if isinstance(value, dict) and set(value) == {"value", "interval"}:
        return {"value": value["value"], **(value["interval"] or {"low": None, "high": None})}
    if isinstance(value, dict):
        return {name: _plain(part, left_out) for name, part in value.items() if name not in left_out}
    return value


def _group(name: str, counts: Counts, units: np.ndarray, config: BootstrapConfig) -> Group:
    values = summands(counts)
    units = np.unique(units, return_inverse=True)[1]
    metrics = metrics_with_intervals(values, units, config)
    sums = {key: int(column.sum()) for key, column in values.items() if column.dtype != np.float64}
    return Group(name, sums, metrics)


def totals(values: Mapping[str, np.ndarray]) -> Sums:
    return {name: column.sum() for name, column in values.items()}


def metrics_of_sums(sums: np.ndarray, names: Mapping[str, np.ndarray], metrics: Mapping[str, Metric] = METRICS) -> np.ndarray:
    """Return `metric_array` of sums shaped (..., summands)."""
    return metric_array(dict(zip(names, np.moveaxis(sums, -1, 0), strict=True)), metrics)


def metric_values(
    values: np.ndarray, intervals: Sequence[Interval | None], metrics: Mapping[str, Metric] = METRICS
) -> dict[str, MetricValue]:
    return {
        name: MetricValue(None if np.isnan(value) else float(value), interval)
        for name, value, interval in zip(metrics, values, intervals, strict=True)
    }


def _rows_by_label(labels: Sequence[str | None]) -> list[tuple[str, np.ndarray]]:
    """Return the rows of each label, the most frequent first, the rarest pooled; nothing where no record has a label."""
    frequent = Counter("(none)" if label is None else label for label in labels)
    if set(frequent) <= {"(none)"}:
        return []
    names = [name for name, _ in frequent.most_common()]
    kept = names if len(names) <= _MAX_GROUPS else [*names[: _MAX_GROUPS - 1], OTHERS]
    number = {name: i for i, name in enumerate(kept)}
    last = len(kept) - 1
    codes = np.array([number.get("(none)" if label is None else label, last) for label in labels])
    return [(name, np.flatnonzero(codes == i)) for i, name in enumerate(kept)]
