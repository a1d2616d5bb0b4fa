"""Panel of the strata of a checked sample."""

from dataclasses import asdict

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table

_CAPTION = (
    "Records were drawn at random within each stratum and checked by hand; each is weighted by the records of its stratum. The "
    "intervals cover the chance of the draw, not errors of checking."
)


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:  # noqa: ARG001 - every panel is called alike
    if not evaluation.sample:
        return []
    rows = [Row(stratum.name, (f"{stratum.records:,}", f"{stratum.checked:,}")) for stratum in evaluation.sample.strata]
    return [Table("stratum", ("records", "checked"), rows, _CAPTION)]


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    return {"estimated_from": [asdict(stratum) for stratum in evaluation.sample.strata] if evaluation.sample else []}


PANEL = Panel("strata", "Checked sample", _tables, _as_json)
