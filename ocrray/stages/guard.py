"""Proposed edits to the corrected text: what the guard accepts is made, what it refuses is kept beside it.

Where a record was sent on from the tagger to a language model, the tagger is heard again wherever the model's change was
refused: with everything sent on that makes 101 to 112 % of what five correctors remove alone (the right end of docs/routing.png).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.guard import GuardConfig, Judgement, judge
from ocrray.guard.evidence import ExternalEvidence
from ocrray.guard.spans import spans_of
from ocrray.records import Edit, Status, Verdict, edits_to_rows, verdicts_to_rows
from ocrray.stages.confidences import confidences
from ocrray.stages.tables import constant, with_columns
from ocrray.text.edits import apply_edits


class Guard:
    """Decides the status and the corrected text of every row still under way; a config of None accepts every edit."""

    name = "guard"

    def __init__(self, config: GuardConfig | None) -> None:
        self.config = config

    def __call__(self, table: pa.Table) -> pa.Table:
        under_way = pc.is_null(table["status"])
        table = with_columns(
            table,
            {
                "status": pc.if_else(under_way, constant(table, "status", "unchanged"), table["status"]),
                "corrected_text": pc.if_else(under_way, table["raw_text"], table["corrected_text"]),
            },
        )
        to_judge = pc.and_(under_way, pc.greater(pc.fill_null(pc.list_value_length(table["verdicts"]), 0), 0))
        rows = pc.indices_nonzero(to_judge).to_pylist()
        return self._judged(table, rows) if rows else table

    def _judged(self, table: pa.Table, rows: list[int]) -> pa.Table:
        names = ("status", "corrected_text", "edits", "refused_edits", "verdicts", "guard_reason", "tagger_edits")
        columns = {name: table[name].to_pylist() for name in names}
        read = confidences(table["lines"].take(rows)) if self.config else [None] * len(rows)
        correctors = table["corrector"].to_pylist()
        for row, shares in zip(rows, read, strict=True):
            raw = columns["corrected_text"][row]
            edits, tagger_edits = (_edits(columns[name][row]) for name in ("edits", "tagger_edits"))
            passages = [Verdict(**verdict) for verdict in columns["verdicts"][row]]
            known = None if shares is None or len(shares) != len(raw) else shares
            evidence = ExternalEvidence(known, tagger_edits, by_tagger=correctors[row] == "tagger")
            judgement = self._judge_row(raw, edits or [], evidence, passages)
            corrected = apply_edits(raw, judgement.accepted)
            reasons = [verdict.reason for verdict in judgement.verdicts if not verdict.accepted]
            status: Status = "corrected" if corrected != raw else "kept_raw" if reasons else "unchanged"
            columns["status"][row] = status
            columns["corrected_text"][row] = corrected
            columns["edits"][row] = edits_to_rows(judgement.accepted)
            columns["refused_edits"][row] = edits_to_rows(judgement.refused)
            columns["verdicts"][row] = verdicts_to_rows(judgement.verdicts)
            columns["guard_reason"][row] = max(sorted(set(reasons)), key=reasons.count) if status == "kept_raw" else None
        del columns["tagger_edits"]
        return with_columns(table, columns)

    def _judge_row(self, raw: str, edits: Sequence[Edit], evidence: ExternalEvidence, passages: Sequence[Verdict]) -> Judgement:
        accepted: list[Edit] = []
        refused: list[Edit] = []
        verdicts: list[Verdict] = []
        for passage in passages:
            place = (passage.start, passage.end)
            first = Judgement((), (), [passage])
            if passage.accepted:
                first = judge(raw, _within(passage, edits), place, self.config, evidence)
            instead = _instead(raw, first.verdicts, _within(passage, evidence.tagger_edits or ()))
            second = judge(raw, instead, place, self.config, replace(evidence, tagger_edits=None, by_tagger=True))
            accepted += sorted([*first.accepted, *second.accepted], key=_place)
            refused += first.refused
            verdicts += sorted([*first.verdicts, *(verdict for verdict in second.verdicts if verdict.accepted)], key=_place)
        return Judgement(accepted, refused, verdicts)


def _edits(rows: Sequence[dict[str, Any]] | None) -> list[Edit] | None:
    return None if rows is None else [Edit(**row) for row in rows]


def _within(passage: Verdict, edits: Sequence[Edit]) -> list[Edit]:
    first = bisect_left(edits, passage.start, key=attrgetter("start"))
    return list(edits[first : bisect_right(edits, passage.end, key=attrgetter("end"))])


def _instead(raw: str, verdicts: Sequence[Verdict], tagger_edits: Sequence[Edit]) -> list[Edit]:
    """The tagger's edits where only changes were refused: the model, too, found something wrong with these words."""
    edits: list[Edit] = []
    for span in spans_of(raw, tagger_edits) if tagger_edits else ():
        there = [verdict.accepted for verdict in verdicts if verdict.start <= span.end and span.start <= verdict.end]
        if there and not any(there):
            edits += span.edits
    return edits


def _place(changed: Edit | Verdict) -> tuple[int, int]:
    return changed.start, changed.end
