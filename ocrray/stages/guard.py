"""Proposed edits to the corrected text: what the guard accepts is made, what it refuses is kept beside it."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.guard import GuardConfig, Judgement, judge
from ocrray.records import Edit, Status, Verdict, edits_to_rows, verdicts_to_rows
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
        names = ("status", "corrected_text", "edits", "refused_edits", "verdicts", "guard_reason")
        columns = {name: table[name].to_pylist() for name in names}
        for row in rows:
            raw = columns["corrected_text"][row]
            judgement = self._judge_row(raw, columns["edits"][row], columns["verdicts"][row])
            corrected = apply_edits(raw, judgement.accepted)
            reasons = [verdict.reason for verdict in judgement.verdicts if not verdict.accepted]
            status: Status = "corrected" if corrected != raw else "kept_raw" if reasons else "unchanged"
            columns["status"][row] = status
            columns["corrected_text"][row] = corrected
            columns["edits"][row] = edits_to_rows(judgement.accepted)
            columns["refused_edits"][row] = edits_to_rows(judgement.refused)
            columns["verdicts"][row] = verdicts_to_rows(judgement.verdicts)
            columns["guard_reason"][row] = max(sorted(set(reasons)), key=reasons.count) if status == "kept_raw" else None
        return with_columns(table, columns)

    def _judge_row(self, raw: str, edit_rows: list[dict[str, Any]], passage_rows: list[dict[str, Any]]) -> Judgement:
        edits = [Edit(**row) for row in edit_rows]
        accepted, refused, verdicts, judged = [], [], [], 0
        for passage in (Verdict(**row) for row in passage_rows):
            first = judged
            while judged < len(edits) and edits[judged].end <= passage.end:
                judged += 1
            if not passage.accepted:
                verdicts.append(passage)
                continue
            judgement = judge(raw, edits[first:judged], (passage.start, passage.end), self.config)
            accepted += judgement.accepted
            refused += judgement.refused
            verdicts += judgement.verdicts
        return Judgement(accepted, refused, verdicts)
