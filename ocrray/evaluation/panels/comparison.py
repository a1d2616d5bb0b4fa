"""Panel of the comparison with a baseline, record by record."""

from dataclasses import asdict

from ocrray.evaluation.comparison import ComparedMetrics, Comparison
from ocrray.evaluation.documents import DOCUMENT_METRICS
from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.metrics import METRICS, Metric
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table
from ocrray.evaluation.results import as_json

_DIGITS = {"score": 3}


def _row(metric: Metric, comparison: Comparison | ComparedMetrics, numbers: NumberFormat) -> Row:
    digits = _DIGITS.get(metric.kind, 2)
    difference = comparison.differences[metric.name]
    values = (comparison.baseline[metric.name].value, comparison.system[metric.name].value, difference.value)
    cells = (numbers.metric(metric, value, digits) for value in values)
    interval = numbers.interval(metric, difference.interval, digits)
    return Row(metric.name, (*cells, interval), metric.meaning, detail=not metric.headline)


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    if not (comparison := evaluation.comparison):
        return []
    has_raw = evaluation.has_raw_text
    compared = [metric for metric in METRICS.values() if metric.is_of_answers or (has_raw and metric.column != "raw")]
    rows = [_row(metric, comparison, numbers) for metric in compared]
    if comparison.documents:
        rows = [_row(metric, comparison.documents, numbers) for metric in DOCUMENT_METRICS.values()] + rows
    return [Table("metric", ("baseline", "this", "difference", "interval"), rows)]


def _lead(evaluation: Evaluation, numbers: NumberFormat) -> str:
    if not (comparison := evaluation.comparison):
        return ""
    metric = METRICS["micro_corrected_cer"]
    difference = comparison.differences[metric.name]
    skipped = {
        "only in this system": comparison.only_in_system,
        "only in the baseline": comparison.only_in_baseline,
        "with different truths": comparison.other_truth,
    }
    left_out = ", ".join(f"{number:,} {words}" for words, number in skipped.items() if number)
    return (
        f"against {evaluation.baseline_name}, on {comparison.records:,} records of both: micro CER differs by "
        f"{numbers.metric(metric, difference.value)}, p = {comparison.p_value:.4f} (approximate randomisation)"
        f"{f'; not compared: {left_out}' if left_out else ''}"
    )


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    comparison, answers_only = evaluation.comparison, not evaluation.has_raw_text
    return {
        "baseline": evaluation.baseline_name,
        "comparison": as_json(asdict(comparison), answers_only=answers_only) if comparison else None,
    }


PANEL = Panel("comparison", "Comparison with the baseline", _tables, _as_json, _lead)
