"""Results of an evaluation: metrics with intervals, for all records and by group, and the comparison with a baseline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ocrray.errors import ConfigError
from ocrray.evaluation.bootstrap import (
    MAX_BLOCKS,
    BootstrapConfig,
    Interval,
    bootstrap_intervals,
    clopper_pearson,
    paired_p_value,
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
class Comparison:
    """Two systems on the records that both have with the same truth; a difference is the system's metric less the baseline's."""

    records: int
    only_in_system: int
    only_in_baseline: int
    other_truth: int
    system: dict[str, MetricValue]
    baseline: dict[str, MetricValue]
    differences: dict[str, MetricValue]
    p_value: float
    """Of the difference in micro CER, by approximate randomisation."""


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
    overall = Group("estimated", {name: round(float(sums[name])) for name in whole}, _values(metric_array(sums), intervals))
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
    intervals = bootstrap_intervals(sum_by_block(values, blocks), lambda sums: _metric_array(sums, values, metrics), config)
    found = _values(metric_array(_totals(values), metrics), intervals, metrics)
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


def compare(system: Scores, baseline: Scores, config: BootstrapConfig) -> Comparison:
    """Compare two systems on the records that they share.

    Raises: ConfigError: when ids are not unique, or no record is shared.
    """
    system_rows, baseline_rows = _shared_rows(system, baseline)
    shared = len(system_rows)
    same_truth = system.truth_hashes[system_rows] == baseline.truth_hashes[baseline_rows]
    system_rows, baseline_rows = system_rows[same_truth], baseline_rows[same_truth]
    if not len(system_rows):
        why = "have the same truth" if shared else "are in both"
        raise ConfigError(f"baseline: no records {why}, so the two cannot be compared; set id_column in both")
    pair = [
        summands({name: column[rows] for name, column in scores.counts.items()})
        for scores, rows in ((system, system_rows), (baseline, baseline_rows))
    ]
    units = np.unique(system.units[system_rows], return_inverse=True)[1]
    values = _compare_metrics(pair[0], pair[1], units, config)
    return Comparison(
        len(system_rows),
        len(system) - shared,
        len(baseline) - shared,
        shared - len(system_rows),
        *values,
        p_value=paired_p_value(pair[0]["corrected_distance"] - pair[1]["corrected_distance"], units, config),
    )


def _compare_metrics(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], units: np.ndarray, config: BootstrapConfig
) -> tuple[dict[str, MetricValue], dict[str, MetricValue], dict[str, MetricValue]]:
    """Return the metrics of two systems and their differences, from the same resamples for all three."""
    blocks = pool_units(units, MAX_BLOCKS, config.seed)

    def both_and_difference(sums: np.ndarray) -> np.ndarray:
        left, right = (_metric_array(half, first) for half in np.split(sums, 2, axis=-1))
        return np.concatenate([left, right, left - right])

    block_sums = np.concatenate([sum_by_block(values, blocks) for values in (first, second)], axis=1)
    intervals = bootstrap_intervals(block_sums, both_and_difference, config)
    left, right = (metric_array(_totals(values)) for values in (first, second))
    size = len(METRICS)
    return (
        _values(left, intervals[:size]),
        _values(right, intervals[size : 2 * size]),
        _values(left - right, intervals[2 * size :]),
    )


def _shared_rows(system: Scores, baseline: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the same records in either system, in the order of the first."""
    for name, scores in (("input", system), ("baseline", baseline)):
        if repeated := [record for record, times in Counter(scores.ids).items() if times > 1]:
            raise ConfigError(
                f"{name}: to compare two systems every record needs an id of its own (id_column); "
                f"{len(repeated):,} occur more than once, {repeated[0]} for instance"
            )
    row_of = {record: row for row, record in enumerate(baseline.ids)}
    baseline_rows = np.array([row_of.get(record, -1) for record in system.ids], dtype=np.int64)
    system_rows = np.flatnonzero(baseline_rows >= 0)
    return system_rows, baseline_rows[system_rows]


def value_as_json(value: MetricValue) -> dict[str, float | None]:
    """Return `{"value", "low", "high"}`, null where there is none."""
    interval = value.interval
    return {"value": value.value, "low": interval.low if interval else None, "high": interval.high if interval else None}


def as_json(part: Group | Comparison) -> dict[str, Any]:
    """Return the part with every metric as `{"value", "low", "high"}`, null where there is none."""
    return {name: _plain(value) for name, value in asdict(part).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"value", "interval"}:
        return {"value": value["value"], **(value["interval"] or {"low": None, "high": None})}
    return {name: _plain(part) for name, part in value.items()} if isinstance(value, dict) else value


def _group(name: str, counts: Counts, units: np.ndarray, config: BootstrapConfig) -> Group:
    values = summands(counts)
    units = np.unique(units, return_inverse=True)[1]
    metrics = metrics_with_intervals(values, units, config)
    sums = {key: int(column.sum()) for key, column in values.items() if column.dtype != np.float64}
    return Group(name, sums, metrics)


def _totals(values: Mapping[str, np.ndarray]) -> Sums:
    return {name: column.sum() for name, column in values.items()}


def _metric_array(sums: np.ndarray, names: Mapping[str, np.ndarray], metrics: Mapping[str, Metric] = METRICS) -> np.ndarray:
    """Return `metric_array` of sums shaped (..., summands)."""
    return metric_array(dict(zip(names, np.moveaxis(sums, -1, 0), strict=True)), metrics)


def _values(
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
