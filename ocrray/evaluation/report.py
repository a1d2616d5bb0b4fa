"""HTML report of an evaluation in one file: its panels, and the records' diffs to page through and filter."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

import ocrray
from ocrray.corpus.diff import Segment, segments
from ocrray.corpus.templates import environment
from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.metrics import METRICS
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.panels import PANELS
from ocrray.evaluation.panels.base import PAGE
from ocrray.evaluation.report_records import ReportRecord
from ocrray.records import Edit, edits_from_rows
from ocrray.storage import Location
from ocrray.text.edits import edits_between
from ocrray.text.normalise import sanitise

NAME = "report.html"
_MAX_RECORDS_BYTES = 13_000_000
_TEXT_CHARS = (6_000, 3_000, 1_500, 800, 400, 200, 100)
"""Texts of all records are cut to the first of these lengths with which they fit into the file."""
_MAX_COMPARED_CHARS = 20_000
_MARKS = {"deleted": "-", "inserted": "+", "gap": "…"}


def write_report(output: Location, evaluation: Evaluation, *, config_yaml: str, title: str) -> None:
    """Write `report.html`, self-contained and under 15 MB, into the output folder."""
    env = environment(True, "ocrray.evaluation")
    script = Markup(env.get_template("report.js.jinja").render())
    panels = [(panel, panel.lead(evaluation, PAGE), panel.tables(evaluation, PAGE)) for panel in PANELS]
    page = env.get_template("report.html.jinja").render(
        title=title,
        evaluation=evaluation,
        overall=evaluation.results.overall,
        panels=[entry for entry in panels if entry[-1]],
        metrics=METRICS.values(),
        records_json=Markup(_records_json(evaluation)),
        config_yaml=config_yaml,
        version=ocrray.__version__,
        written=datetime.now(UTC),
        style=Markup(env.get_template("report.css.jinja").render()),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    output.write_text(NAME, page)


def as_json(value: object) -> str:
    """Return JSON that is safe inside HTML."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def difference(left: str, right: str, max_chars: int = _TEXT_CHARS[0]) -> list[str | list[str]]:
    """Return the edits from `left` to `right` as `diff.js.jinja` shows them, cut to about `max_chars` characters."""
    return _marked(left, _edits(left, right), max_chars)


def _records_json(evaluation: Evaluation) -> str:
    """Return the records as JSON, those made worst first, their texts as long as all fit."""
    compared = [_ComparedRecord(record, evaluation.normalise) for record in evaluation.report_records]
    compared.sort(key=lambda entry: entry.gain)
    rows: list[str] = []
    for max_chars in _TEXT_CHARS:
        rows = [as_json(entry.row(max_chars)) for entry in compared]
        if sum(len(row.encode()) + 1 for row in rows) <= _MAX_RECORDS_BYTES:
            break
    return f"[{','.join(_fitting(rows))}]"


def _fitting(rows: Sequence[str]) -> Iterator[str]:
    """Yield the first rows that fit: all, unless ids or labels are immense."""
    left_bytes = _MAX_RECORDS_BYTES
    for row in rows:
        left_bytes -= len(row.encode()) + 1
        if left_bytes < 0:
            return
        yield row


class _ComparedRecord:
    """A record with its edits, from which diffs of any length are cut."""

    def __init__(self, record: ReportRecord, normalise: Normalisation) -> None:
        self._record = record
        self._refused = edits_from_rows(record.guard.get("refused_edits"))
        self._corrected, self._truth = normalise(record.corrected), normalise(record.truth)
        self._changes = _edits(record.raw, record.corrected)
        self._remaining = _edits(self._corrected, self._truth)

    @property
    def gain(self) -> int:
        """Number of wrong characters that correction removed."""
        return self._record.counts["raw_distance"] - self._record.counts["corrected_distance"]

    def row(self, max_chars: int) -> dict[str, Any]:
        """Return what `report.js.jinja` reads."""
        record = self._record
        counts = [record.counts[name] for name in ("truth_chars", "raw_distance", "corrected_distance", "changed_digits")]
        row: dict[str, Any] = {"id": sanitise(record.id[:300]), "counts": counts}
        row["changes"] = _marked(record.raw, self._changes, max_chars)
        if record.counts["corrected_distance"]:
            row["remaining"] = _marked(self._corrected, self._remaining, max_chars)
        if record.is_refused:
            row["refused"] = _marked(record.raw, self._refused, max_chars) if self._refused else []
            row["reasons"] = _reasons(record)
        if record.wrong_fields:
            row["wrong_fields"] = [sanitise(name[:100]) for name in record.wrong_fields]
        row["labels"] = [sanitise(label[:100]) for label in record.labels]
        return row


def _reasons(record: ReportRecord) -> list[str]:
    refused = (verdict["reason"] for verdict in record.guard.get("verdicts") or () if not verdict["accepted"])
    reasons = dict.fromkeys(filter(None, (record.guard.get("guard_reason"), *refused)))
    return [sanitise(reason[:100]) for reason in reasons]


def _edits(left: str, right: str) -> list[Edit] | None:
    """Return the edits, None where the texts are too long to be compared for a report."""
    return None if max(len(left), len(right)) > _MAX_COMPARED_CHARS else edits_between(left, right)


def _marked(text: str, edits: Sequence[Edit] | None, max_chars: int) -> list[str | list[str]]:
    """Return segments as the script reads them: an unchanged string, or a pair of mark and string."""
    if edits is None:
        parts: Sequence[Segment] = [Segment("gap", f"{len(text):,} characters, too many to be shown")]
    else:
        parts = segments(text, edits, max_chars)
    return [sanitise(part.visible) if part.kind == "equal" else [_MARKS[part.kind], sanitise(part.visible)] for part in parts]
