"""Panel of all metrics over all records, as METRICS registers them, with BLEU and TER."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.metrics import METRICS, Metric
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table, ratio
from ocrray.evaluation.results import as_json
from ocrray.evaluation.translation import DEFAULT_TOKENIZER, TranslationScores

_ERROR_RATES = (
    "Error rates by kind of average. They can disagree, even in sign: micro weights every character alike, macro every record, "
    "and the mean of ratios gives a short record that lost its one error as much weight as a page that lost a hundred."
)


def _error_rate_rows(evaluation: Evaluation, numbers: NumberFormat) -> Iterator[Row]:
    rows: dict[str, dict[str, Metric]] = {}
    for metric in METRICS.values():
        if metric.table == "error_rates":
            rows.setdefault(metric.row, {})[metric.column] = metric
    values = evaluation.results.overall.metrics
    if not evaluation.has_raw_text:
        answers = [(label, columns["corrected"]) for label, columns in rows.items() if "corrected" in columns]
        yield from (Row(label, numbers.estimate(metric, values[metric.name]), metric.meaning) for label, metric in answers)
        rows = {}
    for label, by_column in rows.items():
        main = by_column.get("reduction") or by_column["corrected"]
        cells = (
            numbers.metric(by_column[column], values[by_column[column].name].value) if column in by_column else ""
            for column in ("raw", "corrected", "reduction")
        )
        note = by_column.get("corrected", main).meaning
        yield Row(label, (*cells, numbers.interval(main, values[main.name].interval)), note)
    if scores := evaluation.translation:
        for row in _translation_rows(scores, numbers):
            yield row if evaluation.has_raw_text else replace(row, cells=row.cells[1:3])


def _translation_rows(scores: TranslationScores, numbers: NumberFormat) -> Iterator[Row]:
    """Return the rows of BLEU and TER; tokenizers are named where they are not those of languages with spaces alone."""
    used = list(scores.tokenizers)
    tokens = f", {'+'.join(used)}" if used != [DEFAULT_TOKENIZER] else ""
    by_tokenizer = ", ".join(f"{name} ({number:,})" for name, number in scores.tokenizers.items())
    for label, raw, corrected, signature in (
        ("BLEU", scores.raw_bleu, scores.bleu, scores.bleu_signature),
        ("TER", scores.raw_ter, scores.ter, scores.ter_signature),
    ):
        scored = (numbers.decimal(raw), numbers.decimal(corrected), "", "")
        note = f"of randomly drawn records, by tokenizer: {by_tokenizer}; {signature}"
        yield Row(f"{label} ({scores.records:,} records{tokens})", scored, note)


def _outcome_rows(evaluation: Evaluation, numbers: NumberFormat) -> Iterator[Row]:
    overall = evaluation.results.overall
    for metric in METRICS.values():
        if metric.table == "outcomes":
            is_share = metric.kind == "share"
            counts = ratio(overall.sums[metric.numerator], overall.sums[metric.denominator]) if is_share else ""
            yield Row(metric.row, (counts, *numbers.estimate(metric, overall.metrics[metric.name])), metric.meaning)


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    if not evaluation.has_raw_text:
        return [Table("error rate", ("value", "interval"), list(_error_rate_rows(evaluation, numbers)))]
    rates = ("raw", "corrected", "reduction", "interval")
    return [
        Table("error rate", rates, list(_error_rate_rows(evaluation, numbers)), _ERROR_RATES),
        Table("outcome", ("records", "value", "interval"), list(_outcome_rows(evaluation, numbers))),
    ]


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    translation = evaluation.translation
    return {
        "meanings": {metric.name: metric.meaning for metric in METRICS.values()},
        "overall": as_json(asdict(evaluation.results.overall), answers_only=not evaluation.has_raw_text),
        "bleu_ter": asdict(translation) if translation else None,
    }


PANEL = Panel("metrics", "Metrics", _tables, _as_json)
