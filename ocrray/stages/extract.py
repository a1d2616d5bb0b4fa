"""Text to typed fields: answers of a language model become `fields`, and one of them, if the config names it, the text."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ocrray.engines.extract import ExtractionResult, Extractor, Source
from ocrray.records import Edit, Status, Verdict, edits_to_rows, verdicts_to_rows
from ocrray.stages.base import Stage, table_of
from ocrray.stages.busy import BusyClock
from ocrray.stages.tables import CORRECTOR_COLUMNS, corrector_columns


class Extract(Stage):
    """Extract the fields of every row with text and decide its status; the guard judges corrections of words only.

    A row's own text is the back of a print; `front_column` is the table's column with the text of its front, None without one.
    The field `text_field` takes the place of the whole text; with None, or where it has no value, the text stays.
    """

    name = "extract"
    reads: Sequence[str] = ("raw_text",)
    writes = (
        *("status", "corrected_text", "edits", "verdicts", "guard_reason", "fields", "field_candidates", "answers"),
        *("input_tokens", "output_tokens", "correct_s"),
        *CORRECTOR_COLUMNS,
    )

    def __init__(self, extractor: Extractor, front_column: str | None, text_field: str | None) -> None:
        self.extractor = extractor
        self.text_field = text_field
        self.front_column = front_column
        self.reads = ("raw_text", front_column) if front_column else ("raw_text",)
        self._clock = BusyClock()

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Select rows under way that have text on either side."""
        under_way = super().select(table).to_pylist()
        sides = zip(under_way, table["raw_text"].to_pylist(), self._fronts(table), strict=True)
        return pa.chunked_array([[begun and back is not None and bool(f"{back}{front}".strip()) for begun, back, front in sides]])

    def process(self, rows: pa.Table) -> pa.Table:
        """Extract the fields of all rows in one call."""
        started = self._clock.start()
        backs = rows["raw_text"].to_pylist()
        sources = list(map(Source, rows["record_id"].to_pylist(), backs, self._fronts(rows)))
        results = self.extractor.extract(sources)
        seconds = self._clock.stop(started) / len(sources)
        outcomes = [_outcome(back, result, self.text_field) for back, result in zip(backs, results, strict=True)]
        return table_of(
            rows,
            {
                **{name: [outcome[name] for outcome in outcomes] for name in outcomes[0]},
                **corrector_columns(self.extractor.info),
                "correct_s": [seconds] * len(sources),
            },
        )

    def _fronts(self, table: pa.Table) -> list[str]:
        if not self.front_column:
            return [""] * len(table)
        return [front or "" for front in table[self.front_column].cast(pa.string()).to_pylist()]


def _outcome(raw: str, result: ExtractionResult, text_field: str | None) -> dict[str, Any]:
    fields = result.fields
    corrected = (fields[text_field] if fields and text_field else None) or raw
    status: Status = "kept_raw" if fields is None else "corrected" if corrected != raw else "unchanged"
    verdict = Verdict(0, len(raw), accepted=fields is not None, reason=result.reason)
    return {
        "status": status,
        "corrected_text": corrected,
        "edits": edits_to_rows([Edit(0, len(raw), raw, corrected)] if corrected != raw else []),
        "verdicts": verdicts_to_rows([verdict]),
        "guard_reason": result.reason or None,
        "fields": fields,
        "field_candidates": result.candidates,
        "answers": result.answers,
        "input_tokens": result.input_tokens,
        "output_tokens": result.output_tokens,
    }
