"""The evaluation as one HTML file: every figure with its interval, and the records' diffs to page through and filter."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

import ocrray
from ocrray.corpus.diff import Segment, segments
from ocrray.corpus.templates import environment
from ocrray.evaluation.fields import FieldTable
from ocrray.evaluation.guard_spans import GuardSpans
from ocrray.evaluation.metrics import METRICS
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.report_records import ReportRecord
from ocrray.evaluation.results import Comparison, Results
from ocrray.evaluation.sampling import Stratum
from ocrray.evaluation.translation import TranslationScores
from ocrray.folder import Folder
from ocrray.records import Edit, edits_from_rows
from ocrray.text.edits import edits_between
from ocrray.text.normalise import sanitise

NAME = "report.html"
_MAX_RECORDS_BYTES = 13_000_000
_TEXT_CHARS = (6_000, 3_000, 1_500, 800, 400, 200, 100)
"""A record's texts are cut to the first of these that lets all of them fit."""
_MAX_COMPARED_CHARS = 20_000
_MARKS = {"deleted": "-", "inserted": "+", "gap": "…"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is told of one system, and of a second one where there is one."""

    name: str
    results: Results
    report_records: list[ReportRecord]
    normalise: Normalisation
    confidence: float
    unit: str = "records"
    """What is drawn anew for the intervals."""
    tally: Mapping[str, int] = field(default_factory=Counter)
    """How many records are in the figures, and how many are in none for which reason; see `scoring.score`."""
    first_problem: str | None = None
    """What is wrong with the first row that cannot be read."""
    refused: int = 0
    guard_spans: GuardSpans | None = None
    translation: TranslationScores | None = None
    fields: FieldTable | None = None
    from_nothing: bool = False
    """Whether there is no raw text that was corrected, only answers."""
    baseline_name: str | None = None
    comparison: Comparison | None = None
    strata: Sequence[Stratum] = ()
    """Where the figures are an estimate: the parts that checked records were drawn in."""


def write_report(output: Folder, evaluation: Evaluation, *, config_yaml: str, title: str) -> None:
    """Write `report.html`, self-contained and under 15 MB, into the output folder."""
    env = environment(True, "ocrray.evaluation")
    script = Markup(env.get_template("report.js.jinja").render())
    page = env.get_template("report.html.jinja").render(
        title=title,
        evaluation=evaluation,
        overall=evaluation.results.overall,
        meanings={name: metric.meaning for name, metric in METRICS.items()},
        records_json=Markup(_records_json(evaluation)),
        config_yaml=config_yaml,
        version=ocrray.__version__,
        written=datetime.now(UTC),
        style=Markup(env.get_template("report.css.jinja").render()),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    output.write_text(NAME, page)


def _records_json(evaluation: Evaluation) -> str:
    """The shown records, worst change first, as JSON that may stand inside HTML; their texts as long as there is room for all."""
    compared = [_Compared(record, evaluation.normalise) for record in evaluation.report_records]
    compared.sort(key=lambda entry: entry.gain)
    for max_chars in _TEXT_CHARS:
        rows = [as_json(entry.row(max_chars)) for entry in compared]
        if sum(len(row.encode()) + 1 for row in rows) <= _MAX_RECORDS_BYTES:
            break
    return f"[{','.join(_within(rows))}]"


def _within(rows: Sequence[str]) -> Iterator[str]:
    """The first rows for which there is room: all, unless what stands in them beside their texts is immense."""
    room = _MAX_RECORDS_BYTES
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            return
        yield row


def as_json(row: Any) -> str:
    """JSON that may stand inside HTML."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


class _Compared:
    """A record and its edits, from which its diffs are cut."""

    def __init__(self, record: ReportRecord, normalise: Normalisation) -> None:
        self.record = record
        self.refused = edits_from_rows(record.guard.get("refused_edits"))
        self._corrected, self._truth = normalise(record.corrected), normalise(record.truth)
        self._changes = _edits(record.raw, record.corrected)
        self._remaining = _edits(self._corrected, self._truth)

    @property
    def gain(self) -> int:
        """Wrong characters that correction removed."""
        return self.record.counts["raw_distance"] - self.record.counts["corrected_distance"]

    def row(self, max_chars: int) -> dict[str, Any]:
        """What the report's script reads; see `report.js.jinja`."""
        record = self.record
        counts = [record.counts[name] for name in ("truth_chars", "raw_distance", "corrected_distance", "changed_digits")]
        row: dict[str, Any] = {"id": sanitise(record.id[:300]), "counts": counts}
        row["changes"] = _shown(record.raw, self._changes, max_chars)
        if record.counts["corrected_distance"]:
            row["remaining"] = _shown(self._corrected, self._remaining, max_chars)
        if record.is_refused:
            row["refused"] = _shown(record.raw, self.refused, max_chars) if self.refused else []
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
    """None where the texts are too long to be compared for a picture of the difference."""
    return None if max(len(left), len(right)) > _MAX_COMPARED_CHARS else edits_between(left, right)


def difference(left: str, right: str, max_chars: int = _TEXT_CHARS[0]) -> list[Any]:
    """What becomes of `left` on its way to `right`, as `diff.js.jinja` shows it, cut to about so many characters."""
    return _shown(left, _edits(left, right), max_chars)


def _shown(text: str, edits: Sequence[Edit] | None, max_chars: int) -> list[Any]:
    """Segments as the script reads them: a string stays, a pair says with its first what becomes of its second."""
    if edits is None:
        parts: Sequence[Segment] = [Segment("gap", f"{len(text):,} characters, too many to be shown")]
    else:
        parts = segments(text, edits, max_chars)
    return [sanitise(part.visible) if part.kind == "equal" else [_MARKS[part.kind], sanitise(part.visible)] for part in parts]
