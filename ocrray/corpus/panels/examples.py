"""Panel of example records, character by character."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocrray.corpus.diff import Segment, segments
from ocrray.corpus.examples import Place, Rows
from ocrray.corpus.fields import flattened
from ocrray.corpus.groups import GROUPS
from ocrray.corpus.summary import Summary
from ocrray.records import SCHEMA, Edit, Verdict, edits_from_rows, verdicts_from_rows
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.text.edits import edits_between
from ocrray.text.normalise import for_scoring

Scan = tuple[str, int]
"""URI of an image and 0-based page in it."""

_MAX_TEXT_CHARS = 6_000
_MAX_COMPARED_CHARS = 20_000
_MAX_REFUSALS = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """A span that the guard refused to change: its text, and the proposed text (None if the corrector proposed none)."""

    verdict: Verdict
    raw: str
    proposed: str | None


@dataclass(frozen=True, slots=True)
class Example:
    """One record as the report shows it."""

    row: Mapping[str, Any]
    ranks: Mapping[str, int]  # position in each of its groups
    changes: Sequence[Segment]  # from raw to corrected text
    has_edits: bool
    refused: Sequence[Segment]  # the raw text with the refused edits; empty if there are none
    remaining: Sequence[Segment] | None  # from corrected text to ground truth; None if either is missing or too long
    refusals: Sequence[Refusal]
    scan: Scan | None
    values: Mapping[str, str]  # extracted fields, then passthrough columns

    @property
    def made_worse(self) -> bool:
        """True if correction increased the distance to the ground truth."""
        return bool((self.row["corrected_distance"] or 0) > (self.row["raw_distance"] or 0))

    def cer(self, distance: str) -> float | None:
        """Return the record's CER from the column `raw_distance` or `corrected_distance`; None without ground truth."""
        return self.row[distance] / self.row["ground_truth_chars"] if self.row["ground_truth_chars"] else None


def data(summary: Summary, rows: Rows) -> Mapping[str, Any] | None:
    """Return the example records and the groups that have any; None without records."""
    examples = _examples(summary, rows)
    groups = [group for group in GROUPS if any(group.name in example.ranks for example in examples)]
    return {"examples": examples, "groups": groups, "max_refusals": _MAX_REFUSALS} if examples else None


def _examples(summary: Summary, rows: Rows) -> list[Example]:
    """Return the chosen records, each once, in the order of the groups."""
    ranks: dict[Place, dict[str, int]] = {}
    for group in GROUPS:
        for rank, place in enumerate(summary.groups[group.name].places):
            ranks.setdefault(place, {})[group.name] = rank
    return [_example(rows[place], ranks[place]) for place in ranks]


def _example(row: Mapping[str, Any], ranks: Mapping[str, int]) -> Example:
    raw = row["raw_text"] or ""
    edits, refused = edits_from_rows(row["edits"]), edits_from_rows(row["refused_edits"])
    verdicts = [verdict for verdict in verdicts_from_rows(row["verdicts"]) if not verdict.accepted]
    passthrough = {name: value for name, value in row.items() if name not in SCHEMA.names}
    return Example(
        row=row,
        ranks=ranks,
        changes=segments(raw, edits, _MAX_TEXT_CHARS),
        has_edits=bool(edits),
        refused=segments(raw, refused, _MAX_TEXT_CHARS) if refused else (),
        remaining=_remaining(row["corrected_text"], row["ground_truth"]),
        refusals=[_refusal(verdict, raw, refused) for verdict in verdicts],
        scan=_scan(row),
        values=dict(flattened({"fields": row["fields"], **passthrough})),
    )


def _refusal(verdict: Verdict, raw: str, refused: Sequence[Edit]) -> Refusal:
    proposed, done = "", verdict.start
    edits = [edit for edit in refused if verdict.start <= edit.start and edit.end <= verdict.end]
    for edit in edits:
        proposed += raw[done : edit.start] + edit.corrected
        done = edit.end
    return Refusal(verdict, raw[verdict.start : verdict.end], proposed + raw[done : verdict.end] if edits else None)


def _remaining(corrected: str | None, truth: str | None) -> list[Segment] | None:
    if corrected is None or truth is None or max(len(corrected), len(truth)) > _MAX_COMPARED_CHARS:
        return None
    left, right = for_scoring(corrected), for_scoring(truth)
    return segments(left, edits_between(left, right), _MAX_TEXT_CHARS)


def _scan(row: Mapping[str, Any]) -> Scan | None:
    if row["source_kind"] in IMAGE_KINDS:
        return row["source_uri"], row["page"] or 0
    return (row["image_uri"], 0) if row["image_uri"] else None
