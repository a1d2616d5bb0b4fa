"""Panel of the guard's refusals, against the truth."""

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table, ratio


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    scores = evaluation.scores
    if not scores or not scores.refused:
        return []
    records, spans = len(scores), scores.guard_spans
    rows = [
        Row("records refused, whole or in part", (ratio(scores.refused, records), numbers.percent(scores.refused / records))),
        Row(
            "spans rightly refused",
            (ratio(spans.refused_wrong, spans.refused), numbers.percent(spans.precision)),
            "refused spans that, applied alone, increase the distance to the truth: precision of the guard",
        ),
        Row(
            "wrong spans refused",
            (ratio(spans.refused_wrong, spans.wrong), numbers.percent(spans.recall)),
            "of all spans that increase the distance to the truth: recall of the guard",
        ),
        Row(
            "accepted spans wrong",
            (ratio(spans.accepted_wrong, spans.accepted), numbers.percent(spans.accepted_wrong_frac)),
            "of all accepted spans",
        ),
    ]
    return [Table("refused by the guard", ("count", "share"), rows[: 4 if spans.refused else 1])]


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    scores = evaluation.scores
    return {"refused_spans": scores.guard_spans.as_json() if scores and scores.guard_spans.refused else None}


PANEL = Panel("guard", "Guard", _tables, _as_json)
