"""Text to typed fields: what a print's two sides tell becomes `fields`, and the description among them the text to use."""

from typing import Any

import pyarrow as pa

from ocrray.engines.extract import Extraction, Extractor, Photo
from ocrray.records import Edit, Status, Verdict, edits_to_rows, verdicts_to_rows
from ocrray.stages.busy import BusyClock
from ocrray.stages.tables import under_way, with_columns


class Extract:
    """Decides the status of every row with text: a description is no correction of single words, so no guard judges it.

    A row's own text is the print's back; `front_column` names the table's column with the text of its front, if it has one.
    """

    name = "extract"

    def __init__(self, extractor: Extractor, front_column: str | None) -> None:
        self.extractor = extractor
        self.front_column = front_column
        self._clock = BusyClock()

    def __call__(self, table: pa.Table) -> pa.Table:
        started = self._clock.start()
        photos = self._photos(table)
        extractions = self.extractor.extract(list(photos.values()))
        seconds = self._clock.stop(started) / max(1, len(photos))
        info = self.extractor.info
        made_by = {
            "corrector": info.engine,
            "model": info.model,
            "model_revision": info.revision,
            "adapter": info.adapter,
            "prompt_version": info.prompt_version,
            "correct_s": seconds,
        }
        rows = {
            row: {**made_by, **_outcome(photo.back, extraction)}
            for (row, photo), extraction in zip(photos.items(), extractions, strict=True)
        }
        names = next(iter(rows.values()), {})
        columns = {name: table[name].to_pylist() for name in names}
        for row, values in rows.items():
            for name, value in values.items():
                columns[name][row] = value
        return with_columns(table, columns)

    def _photos(self, table: pa.Table) -> dict[int, Photo]:
        """The photos of the rows under way that have any text, by position."""
        ids, backs = table["record_id"].to_pylist(), table["raw_text"].to_pylist()
        fronts = table[self.front_column].cast(pa.string()).to_pylist() if self.front_column else [None] * len(table)
        photos = {row: Photo(ids[row], backs[row], fronts[row] or "") for row in under_way(table) if backs[row] is not None}
        return {row: photo for row, photo in photos.items() if photo.back.strip() or photo.front.strip()}


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
