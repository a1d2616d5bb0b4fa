"""Text to typed fields: what a print's two sides tell becomes `fields`, and the description among them the text to use."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ocrray.engines.extract import Extraction, Extractor, Photo
from ocrray.records import Edit, Status, Verdict, edits_to_rows, verdicts_to_rows
from ocrray.stages.base import Stage, table_of
from ocrray.stages.busy import BusyClock


class Extract(Stage):
    """Decides the status of every row with text: a description is no correction of single words, so no guard judges it.

    A row's own text is the print's back; `front_column` names the table's column with the text of its front, if it has one.
    """

    name = "extract"
    reads: Sequence[str] = ("raw_text",)
    writes = (
        *(
            "status",
            "corrected_text",
            "edits",
            "verdicts",
            "guard_reason",
            "fields",
            "field_candidates",
            "input_tokens",
            "output_tokens",
        ),
        *("corrector", "model", "model_revision", "adapter", "prompt_version", "input_tokens", "output_tokens", "correct_s"),
    )

    def __init__(self, extractor: Extractor, front_column: str | None) -> None:
        self.extractor = extractor
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
        photos = list(map(Photo, rows["record_id"].to_pylist(), backs, self._fronts(rows)))
        extractions = self.extractor.extract(photos)
        seconds = self._clock.stop(started) / len(photos)
        outcomes = [_outcome(back, extraction) for back, extraction in zip(backs, extractions, strict=True)]
        info = self.extractor.info
        return table_of(
            rows,
            {
                **{name: [outcome[name] for outcome in outcomes] for name in outcomes[0]},
                "corrector": info.engine,
                "model": info.model,
                "model_revision": info.revision,
                "adapter": info.adapter,
                "prompt_version": info.prompt_version,
                "correct_s": [seconds] * len(photos),
            },
        )

    def _fronts(self, table: pa.Table) -> list[str]:
        if not self.front_column:
            return [""] * len(table)
        return [front or "" for front in table[self.front_column].cast(pa.string()).to_pylist()]


def _outcome(raw: str, extraction: Extraction) -> dict[str, Any]:
    """What an extraction makes of its row: the description, where there is one, takes the place of the whole raw text."""
    fields = extraction.fields
    corrected = (fields and fields.description) or raw
    status: Status = "kept_raw" if fields is None else "corrected" if corrected != raw else "unchanged"
    verdict = Verdict(0, len(raw), accepted=fields is not None, reason=extraction.reason)
    return {
        "status": status,
        "corrected_text": corrected,
        "edits": edits_to_rows([Edit(0, len(raw), raw, corrected)] if corrected != raw else []),
        "verdicts": verdicts_to_rows([verdict]),
        "guard_reason": extraction.reason or None,
        "fields": fields and fields.to_row(),
        "field_candidates": [candidate.to_row() for candidate in extraction.candidates],
        "input_tokens": extraction.input_tokens,
        "output_tokens": extraction.output_tokens,
    }
