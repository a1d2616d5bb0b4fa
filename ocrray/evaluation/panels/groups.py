"""Panel of the main metrics by raw CER, language and source."""

from collections.abc import Sequence

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.metrics import METRICS
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table
from ocrray.evaluation.results import Group, as_json

_COLUMNS = ("records", "CER raw", "corrected", "reduction", "interval", "made worse")
_RAW, _CORRECTED, _REDUCTION, _MADE_WORSE = (
    METRICS[name] for name in ("micro_raw_cer", "micro_corrected_cer", "micro_cer_reduction", "made_worse_frac")
)


def _groups(evaluation: Evaluation) -> dict[str, Sequence[Group]]:
    results = evaluation.results
    return {"raw CER": results.by_raw_cer, "language": results.by_language, "source": results.by_source}


def _row(group: Group, numbers: NumberFormat) -> Row:
    values = group.metrics
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
    groups = _groups(evaluation).items()
    return [Table(kind, _COLUMNS, [_row(group, numbers) for group in of_kind]) for kind, of_kind in groups if of_kind]


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    return {
        f"by_{kind.lower().replace(' ', '_')}": [as_json(group) for group in of_kind]
        for kind, of_kind in _groups(evaluation).items()
    }


PANEL = Panel("groups", "By kind of record", _tables, _as_json)
