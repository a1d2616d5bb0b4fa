"""Panel of the main metrics by raw CER, language and source."""

from collections.abc import Sequence
from dataclasses import asdict

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.metrics import METRICS
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table
from ocrray.evaluation.results import Group, as_json

_COLUMNS = ("records", "CER raw", "corrected", "reduction", "interval", "made worse")
_RAW, _CORRECTED, _REDUCTION, _MADE_WORSE = (
    METRICS[name] for name in ("micro_raw_cer", "micro_corrected_cer", "micro_cer_reduction", "made_worse_frac")
)


_OF_ANSWERS = ("records", "CER", "interval", "exact")
_EXACT = METRICS["exact_frac"]


def _groups(evaluation: Evaluation) -> dict[str, Sequence[Group]]:
    results = evaluation.results
    by_cer = "raw CER" if evaluation.has_raw_text else "CER"
    return {by_cer: results.by_raw_cer, "language": results.by_language, "source": results.by_source}


def _row(group: Group, numbers: NumberFormat, *, has_raw_text: bool) -> Row:
    values = group.metrics
    if not has_raw_text:
        rates = numbers.estimate(_CORRECTED, values[_CORRECTED.name])
        return Row(group.name, (f"{group.records:,}", *rates, numbers.metric(_EXACT, values[_EXACT.name].value)))
    return Row(
        group.name,
        (
            f"{group.records:,}",
            *(numbers.metric(metric, values[metric.name].value) for metric in (_RAW, _CORRECTED)),
            *numbers.estimate(_REDUCTION, values[_REDUCTION.name]),
            numbers.metric(_MADE_WORSE, values[_MADE_WORSE.name].value),
        ),
    )


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    has_raw_text = evaluation.has_raw_text
    columns = _COLUMNS if has_raw_text else _OF_ANSWERS
    return [
        Table(kind, columns, [_row(group, numbers, has_raw_text=has_raw_text) for group in of_kind])
        for kind, of_kind in _groups(evaluation).items()
        if of_kind
    ]


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    answers_only = not evaluation.has_raw_text
    return {
        f"by_{kind.lower().replace(' ', '_')}": [as_json(asdict(group), answers_only=answers_only) for group in of_kind]
        for kind, of_kind in _groups(evaluation).items()
    }


PANEL = Panel("groups", "By kind of record", _tables, _as_json)
