"""Panel of extracted fields."""

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.fields import FieldScore, FieldTable
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table

_CAPTION = (
    "Values are compared after the same normalisation as texts. Exact match and similarity are over the records that have the "
    "field in answer, truth or both; a field that one of them lacks is no match."
)


def _fields(evaluation: Evaluation) -> FieldTable | None:
    return evaluation.scores.fields if evaluation.scores else None


def _row(name: str, score: FieldScore, numbers: NumberFormat) -> Row:
    counts = (f"{number:,}" for number in (score.both, score.missed, score.invented))
    rates = (score.exact_frac, score.similarity, score.precision, score.recall, score.f1)
    return Row(name, (*counts, *(numbers.percent(rate, 1) for rate in rates)))


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    if not (fields := _fields(evaluation)):
        return []
    columns = ("both", "missed", "invented", "exact", "similar", "prec.", "recall", "F1")
    rows = [_row(name, score, numbers) for name, score in fields.rows]
    return [Table("field", columns, rows, _CAPTION, max_label_chars=16)]  # 80 columns in all


def _lead(evaluation: Evaluation, numbers: NumberFormat) -> str:  # noqa: ARG001 - every panel is called alike
    if not (fields := _fields(evaluation)):
        return ""
    unreadable = f"; {fields.unanswered:,} without a readable answer" if fields.unanswered else ""
    return f"{fields.records_exact:,} of {fields.records:,} records are right in every field{unreadable}"


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    fields = _fields(evaluation)
    return {"fields": fields.as_json() if fields else None}


PANEL = Panel("fields", "Fields", _tables, _as_json, _lead)
