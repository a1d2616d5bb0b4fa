"""Panel of documents: scores of whole answers, then of each field."""

from collections.abc import Mapping

from ocrray.evaluation.documents import DOCUMENT_METRICS, DocumentScores
from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.fields import FieldScore
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table, ratio
from ocrray.evaluation.results import MetricValue, value_as_json

_CAPTION = (
    "Values are compared after the same normalisation as texts. Rows of a list are assigned to one another, wherever they stand, "
    "and each of their values counts. Exact match and similarity are over the values that answer, truth or both have; a value "
    "that one of them lacks is no match."
)


def _scores(evaluation: Evaluation) -> DocumentScores | None:
    return evaluation.scores.document_scores if evaluation.scores else None


def _field_row(name: str, score: FieldScore, numbers: NumberFormat) -> Row:
    counts = (f"{number:,}" for number in (score.both, score.missed, score.invented))
    rates = (score.exact_frac, score.similarity, score.precision, score.recall, score.f1)
    return Row(name, (*counts, *(numbers.percent(rate, 1) for rate in rates)))


def _document_rows(found: Mapping[str, MetricValue], scores: DocumentScores, numbers: NumberFormat) -> list[Row]:
    sums = {name: int(values.sum()) for name, values in scores.summands().items()}
    rows = []
    for metric in DOCUMENT_METRICS.values():
        counts = ratio(sums[metric.numerator], sums[metric.denominator]) if metric.kind == "share" else ""
        rows.append(Row(metric.row, (counts, *numbers.estimate(metric, found[metric.name])), metric.meaning))
    return rows


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    if not (scores := _scores(evaluation)) or not (found := evaluation.documents):
        return []
    columns = ("both", "missed", "invented", "exact", "similar", "prec.", "recall", "F1")
    rows = [_field_row(name, score, numbers) for name, score in scores.fields.rows]
    return [
        Table("documents", ("records", "value", "interval"), _document_rows(found, scores, numbers)),
        Table("field", columns, rows, _CAPTION, max_label_chars=16),  # 80 columns in all
    ]


def _lead(evaluation: Evaluation, numbers: NumberFormat) -> str:  # noqa: ARG001 - every panel is called alike
    if not (scores := _scores(evaluation)):
        return ""
    documents = scores.documents
    malformed = sum(not score.valid for score in documents)
    too_large = sum(score.nted is None for score in documents)
    parts = [f"{scores.records_exact:,} of {len(documents):,} records are right in every field"]
    parts += [f"{malformed:,} without a readable answer"] if malformed else []
    parts += [f"{too_large:,} too large for nTED"] if too_large else []
    return "; ".join(parts)


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    if not (scores := _scores(evaluation)) or not (found := evaluation.documents):
        return {"fields": None}
    documents, fields = scores.documents, scores.fields
    return {
        "fields": {
            "records": len(documents),
            "right_in_all": scores.records_exact,
            "unreadable": sum(not score.valid for score in documents),
            "too_large_for_nted": sum(score.nted is None for score in documents),
            "documents": {name: value_as_json(value) for name, value in found.items()},
            "overall": fields.overall.as_json(),
            "by_name": {name: score.as_json() for name, score in fields.fields.items()},
        }
    }


PANEL = Panel("fields", "Fields", _tables, _as_json, _lead)
