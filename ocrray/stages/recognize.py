"""Pixels to text, one page at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from ocrray.engines.base import Recognizer
from ocrray.errors import RecordError
from ocrray.records import lines_to_rows
from ocrray.stages.base import CountAttempt, RowStage

OpenPage = Callable[[str, int], tuple[Image.Image, str]]

MAX_ATTEMPTS = 3  # a page that was begun this often and never ended is taken to be what kills its process


class Recognize(RowStage):
    """Read the lines of every page without text with `recognizer`.

    `open_page(uri, page)` returns the image and the sha256 of its file. A page that kills its process fails after MAX_ATTEMPTS
    attempts instead of killing the next process for ever.
    """

    name = "recognize"
    reads = ("page",)
    writes = ("raw_text", "content_hash", "lines", "recognize_s", "recognizer")
    seconds_column = "recognize_s"

    def __init__(self, recognizer: Recognizer, open_page: OpenPage, count_attempt: CountAttempt) -> None:
        self.recognizer = recognizer
        self.open_page = open_page
        self.count_attempt = count_attempt

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Select rows without text."""
        return pc.and_(super().select(table), pc.is_null(table["raw_text"]))

    def process(self, rows: pa.Table) -> pa.Table:
        """Recognize page after page; failed ones name the recognizer too."""
        info = self.recognizer.info
        results = super().process(rows)
        recognizers = pa.repeat(f"{info.engine} {info.model} {info.revision}", len(rows))
        return results.set_column(results.schema.get_field_index("recognizer"), "recognizer", recognizers)

    def process_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Read one page."""
        if self.count_attempt(row["record_id"]) > MAX_ATTEMPTS:
            raise RecordError(f"its process died {MAX_ATTEMPTS} times on this page; look at the scan", kind="crashed")
        image, content_hash = self.open_page(row["source_uri"], row["page"])
        lines = self.recognizer.recognize(image)
        return {"raw_text": "\n".join(line.text for line in lines), "content_hash": content_hash, "lines": lines_to_rows(lines)}
