"""Pixels to text, one page at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from ocrray.engines.base import Recognizer
from ocrray.engines.blank import is_suspicious_without_text
from ocrray.errors import RecordError
from ocrray.records import Line, Word, lines_to_rows, merge_warnings
from ocrray.stages.base import CountAttempt, RowStage

OpenPage = Callable[[str, int], tuple[Image.Image, str]]

MAX_ATTEMPTS = 3  # a page that was begun this often and never ended is taken to be what kills its process


class Recognize(RowStage):
    """Read the lines of every page without text with `recognizer`.

    `open_page(uri, page)` returns the image and the sha256 of its file. Boxes are in the pixels of the upright page as it is
    stored, also where its pixels were not square and it was resampled; of a PDF, in those of the page rendered at 300 dpi. A page
    without any text that has ink, or whose pixels are no picture of paper, gets the warning `no_text`. A page that kills its
    process fails after MAX_ATTEMPTS attempts instead of killing the next process for ever.
    """

    name = "recognize"
    reads = ("page", "warnings")
    writes = ("raw_text", "content_hash", "lines", "recognize_s", "recognizer", "warnings")
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
        lines = in_stored_pixels(self.recognizer.recognize(image), image.info.get("scale"))
        text = "\n".join(line.text for line in lines)
        suspicious = not text.strip() and is_suspicious_without_text(image)
        return {
            "raw_text": text,
            "content_hash": content_hash,
            "lines": lines_to_rows(lines),
            "warnings": merge_warnings(row["warnings"], ["no_text"] if suspicious else []),
        }


def in_stored_pixels(lines: Sequence[Line], scale: tuple[float, float] | None) -> Sequence[Line]:
    """Convert boxes on an image that was resampled by `scale` (x, y) to pixels of the image as it is stored."""
    if scale is None:
        return lines
    return [replace(_scaled(line, *scale), words=[_scaled(word, *scale) for word in line.words]) for line in lines]


BoxT = TypeVar("BoxT", Line, Word)


def _scaled(box: BoxT, x: float, y: float) -> BoxT:
    def divided(value: int | None, by: float) -> int | None:
        return None if value is None else round(value / by)

    return replace(
        box, left=divided(box.left, x), top=divided(box.top, y), right=divided(box.right, x), bottom=divided(box.bottom, y)
    )
