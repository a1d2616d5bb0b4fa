"""Comparison of two systems, record by record."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ocrray.errors import ConfigError
from ocrray.evaluation.bootstrap import MAX_BLOCKS, BootstrapConfig, bootstrap_intervals, paired_p_value, pool_units, sum_by_block
from ocrray.evaluation.documents import DOCUMENT_METRICS
from ocrray.evaluation.metrics import METRICS, Metric, summands
from ocrray.evaluation.results import MetricValue, metric_array, metric_values, metrics_of_sums, totals
from ocrray.evaluation.scoring import Scores


@dataclass(frozen=True, slots=True)
class ComparedMetrics:
    """Metrics of two systems over the same records; a difference is the system's metric less the baseline's."""

    system: dict[str, MetricValue]
    baseline: dict[str, MetricValue]
    differences: dict[str, MetricValue]


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
    documents: ComparedMetrics | None = None
    """DOCUMENT_METRICS, where both systems' fields are scored."""


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
    texts = _compared(pair[0], pair[1], units, config)
    documents = None
    if system.document_scores and baseline.document_scores:
        first, second = (
            {name: column[rows] for name, column in scores.summands().items()}
            for scores, rows in ((system.document_scores, system_rows), (baseline.document_scores, baseline_rows))
        )
        documents = _compared(first, second, units, config, DOCUMENT_METRICS)
    return Comparison(
        len(system_rows),
        len(system) - shared,
        len(baseline) - shared,
        shared - len(system_rows),
        texts.system,
        texts.baseline,
        texts.differences,
        p_value=paired_p_value(pair[0]["corrected_distance"] - pair[1]["corrected_distance"], units, config),
        documents=documents,
    )


def _compared(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    units: np.ndarray,
    config: BootstrapConfig,
    metrics: Mapping[str, Metric] = METRICS,
) -> ComparedMetrics:
    """Return the metrics of two systems from their summands, and their differences, from the same resamples for all three."""
    blocks = pool_units(units, MAX_BLOCKS, config.seed)

    def both_and_difference(sums: np.ndarray) -> np.ndarray:
        left, right = (metrics_of_sums(half, first, metrics) for half in np.split(sums, 2, axis=-1))
        return np.concatenate([left, right, left - right])

    block_sums = np.concatenate([sum_by_block(values, blocks) for values in (first, second)], axis=1)
    intervals = bootstrap_intervals(block_sums, both_and_difference, config)
    left, right = (metric_array(totals(values), metrics) for values in (first, second))
    size = len(metrics)
    return ComparedMetrics(
        metric_values(left, intervals[:size], metrics),
        metric_values(right, intervals[size : 2 * size], metrics),
        metric_values(left - right, intervals[2 * size :], metrics),
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
