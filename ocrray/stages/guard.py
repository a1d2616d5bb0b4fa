"""Proposed edits to the corrected text: accepted edits are applied, refused edits are kept beside them.

Where a record was sent on from the tagger to a language model and the model's change is refused, the tagger's edits of the same
words are judged instead: with everything sent on that removes 101 to 112 % of the errors that five correctors remove alone (the
right end of docs/routing.png).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.engines.registry import tags_characters
from ocrray.guard import GuardConfig, Judgement, judge, knows_language
from ocrray.guard.evidence import ExternalEvidence
from ocrray.guard.spans import spans_of
from ocrray.records import (
    Edit,
    Passage,
    Status,
    Verdict,
    edits_from_rows,
    edits_to_rows,
    merge_warnings,
    passages_from_rows,
    verdicts_to_rows,
)
from ocrray.stages.base import RowStage, table_of
from ocrray.stages.confidences import confidences
from ocrray.stages.tables import scatter, with_columns
from ocrray.text.edits import apply_edits


class Guard(RowStage):
    """Decide the status and the corrected text of every row still under way; a config of None accepts every edit."""

    name = "guard"
    reads = ("raw_text", "edits", "tagger_edits", "_passages", "_sent_on", "lines", "corrector", "warnings")
    writes = ("status", "corrected_text", "edits", "refused_edits", "verdicts", "guard_reason", "warnings")
    cleared_on_failure = ("edits",)  # proposals that nobody judged

    def __init__(self, config: GuardConfig | None) -> None:
        self.config = config

    def process(self, rows: pa.Table) -> pa.Table:
        """Judge the rows with proposals one by one; all others are unchanged."""
        unchanged = {
            "status": "unchanged",
            "corrected_text": rows["raw_text"],
            "verdicts": pc.if_else(pc.is_valid(rows["_passages"]), pa.scalar([], rows.schema.field("verdicts").type), None),
        }
        decided = with_columns(rows, table_of(rows, unchanged).drop_columns("record_id"))
        to_judge = pc.greater(pc.fill_null(pc.list_value_length(rows["_passages"]), 0), 0)
        if pc.any(to_judge).as_py():
            decided = scatter(decided, to_judge, super().process(rows.filter(to_judge)).drop_columns("record_id"))
        return decided.select(["record_id", *self.writes, "failed_stage", "error_kind", "error"])

    def row_values(self, rows: pa.Table) -> Iterator[Mapping[str, Any]]:
        """Convert rows, and add `confidences`: those of their characters, None where `lines` does not give them."""
        values = super().row_values(with_columns(rows, {"lines": [None] * len(rows)}))
        shares = confidences(rows["lines"]) if self.config else repeat(None, len(rows))
        for row, of_row in zip(values, shares, strict=True):
            known = of_row is not None and len(of_row) == len(row["raw_text"])
            yield {**row, "confidences": of_row if known else None}

    def process_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Judge the edits of one row, passage by passage."""
        raw = row["raw_text"]
        tagger_edits = edits_from_rows(row["tagger_edits"]) if row["_sent_on"] else None
        evidence = ExternalEvidence(row["confidences"], tagger_edits, by_tagger=tags_characters(row["corrector"]))
        passages = passages_from_rows(row["_passages"])
        judgement = self._judge(raw, edits_from_rows(row["edits"]), evidence, passages)
        corrected = apply_edits(raw, judgement.accepted)
        reasons = [verdict.reason for verdict in judgement.verdicts if not verdict.accepted]
        status: Status = "corrected" if corrected != raw else "kept_raw" if reasons else "unchanged"
        return {
            "status": status,
            "corrected_text": corrected,
            "edits": edits_to_rows(judgement.accepted),
            "refused_edits": edits_to_rows(judgement.refused),
            "verdicts": verdicts_to_rows(judgement.verdicts),
            "guard_reason": max(sorted(set(reasons)), key=reasons.count) if status == "kept_raw" else None,
            "warnings": merge_warnings(row["warnings"], self._warnings(raw, passages)),
        }

    def _warnings(self, raw: str, passages: Sequence[Passage]) -> list[str]:
        judged = [raw[passage.start : passage.end] for passage in passages if not passage.reason] if self.config else []
        return [] if all(knows_language(text, self.config) for text in judged if self.config) else ["guard_not_fitted"]

    def _judge(self, raw: str, edits: Sequence[Edit], evidence: ExternalEvidence, passages: Sequence[Passage]) -> Judgement:
        accepted: list[Edit] = []
        refused: list[Edit] = []
        verdicts: list[Verdict] = []
        for passage in passages:
            place = (passage.start, passage.end)
            if passage.reason:
                first = Judgement((), (), [Verdict(*place, accepted=False, reason=passage.reason)])
            else:
                first = judge(raw, _within(passage, edits), place, self.config, evidence)
            instead = _instead(raw, first.verdicts, _within(passage, evidence.tagger_edits or ()))
            second = judge(raw, instead, place, self.config, replace(evidence, tagger_edits=None, by_tagger=True))
            accepted += sorted([*first.accepted, *second.accepted], key=_place)
            refused += first.refused
            verdicts += sorted([*first.verdicts, *(verdict for verdict in second.verdicts if verdict.accepted)], key=_place)
        return Judgement(accepted, refused, verdicts)


def _within(passage: Passage, edits: Sequence[Edit]) -> list[Edit]:
    first = bisect_left(edits, passage.start, key=attrgetter("start"))
    return list(edits[first : bisect_right(edits, passage.end, key=attrgetter("end"))])


def _instead(raw: str, verdicts: Sequence[Verdict], tagger_edits: Sequence[Edit]) -> list[Edit]:
    """Return the tagger's edits of words where every change of the model was refused: both found these words wrong."""
    edits: list[Edit] = []
    for span in spans_of(raw, tagger_edits) if tagger_edits else ():
        there = [verdict.accepted for verdict in verdicts if verdict.start <= span.end and span.start <= verdict.end]
        if there and not any(there):
            edits += span.edits
    return edits


def _place(changed: Edit | Verdict) -> tuple[int, int]:
    return changed.start, changed.end
