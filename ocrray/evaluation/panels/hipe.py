"""Panel of HIPE-OCRepair 2026: its metrics by data set, and their mean over data sets."""

from collections.abc import Mapping

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.metrics import METRICS
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table

_COLUMNS = {
    "cMER raw": "hipe_raw_cmer",
    "cMER": "hipe_cmer",
    "macro": "hipe_macro_cmer",
    "wMER": "hipe_wmer",
    "pref.": "hipe_preference",
    "PCIS": "hipe_pcis",
}
_CAPTION = (
    "One data set is the records of one source. The last row is the headline of the competition's scorer: the mean over data "
    "sets, in which each weighs the same, however many records it has."
)


def _row(name: str, records: int, metrics: Mapping[str, float | None], numbers: NumberFormat) -> Row:
    cells = (numbers.metric(METRICS[metric], metrics.get(metric)) for metric in _COLUMNS.values())
    return Row(name, (f"{records:,}", *cells))


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    hipe = evaluation.hipe
    if not hipe or len(hipe.datasets) < 2:
        return []  # of one data set the metrics are in the table of all metrics
    rows = [_row(name, hipe.records[name], metrics, numbers) for name, metrics in hipe.datasets.items()]
    means = {name: mean.value for name, mean in hipe.means.items()}
    rows.append(_row("mean over data sets", sum(hipe.records.values()), means, numbers))
    return [Table("data set (HIPE)", ("records", *_COLUMNS), rows, _CAPTION, max_label_chars=22)]


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    return {"hipe": evaluation.hipe.as_json() if evaluation.hipe else None}


PANEL = Panel("hipe", "HIPE-OCRepair 2026", _tables, _as_json)
