"""Pixels to text, or to fields: pages are opened one by one, and read several at once where the recognizer can."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, replace
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from ocrray.engines.base import EngineInfo, Recognition, Recognizer
from ocrray.engines.blank import is_suspicious_without_text
from ocrray.errors import RecordError
from ocrray.records import Line, Status, Word, lines_to_rows, merge_warnings
from ocrray.stages.base import CountAttempt, Stage, attempt, failed, located, table_of
from ocrray.stages.busy import BusyClock

OpenPage = Callable[[str, int], tuple[Image.Image, str]]

MAX_ATTEMPTS = 3  # a page that was begun this often and never ended is taken to be what kills its process


class Recognize(Stage):
    """Read every page without text with `recognizer`, `pages_at_once` in one call.

    `open_page(uri, page)` returns the image and the sha256 of its file. Boxes are in the pixels of the upright page as it is
    stored, also where its pixels were not square and it was resampled; of a PDF, in those of the page rendered at 300 dpi. A page
    without any text that has ink, or whose pixels are no picture of paper, gets the warning `no_text`. A page that kills its
    process fails after MAX_ATTEMPTS attempts instead of killing the next process for ever.

    A page that counts as not read fails; its `raw_text` then shows what the recognizer wrote, and it has no `corrected_text`.
    """

    name = "recognize"
    reads = ("page", "warnings")
    writes = (
        *("raw_text", "content_hash", "lines", "fields", "recognize_s", "recognizer", "warnings"),
        *("corrected_text", "guard_reason"),
    )

    def __init__(
        self, recognizer: Recognizer, open_page: OpenPage, count_attempt: CountAttempt, *, pages_at_once: int = 1
    ) -> None:
        self.recognizer = recognizer
        self.open_page = open_page
        self.count_attempt = count_attempt
        self.pages_at_once = pages_at_once
        self._clock = BusyClock()

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Select rows without text."""
        return pc.and_(super().select(table), pc.is_null(table["raw_text"]))

    def process(self, rows: pa.Table) -> pa.Table:
        """Recognize the pages; failed ones name the recognizer too."""
        pages = rows.select(["record_id", "source_uri", *self.reads]).to_pylist()
        outcomes: list[dict[str, Any]] = []
        for first in range(0, len(pages), self.pages_at_once):
            some = pages[first : first + self.pages_at_once]
            started = self._clock.start()
            read = self._read(some)
            seconds = self._clock.stop(started) / len(some)
            outcomes += [{**outcome, "recognize_s": seconds} for outcome in read]
        names = dict.fromkeys(name for outcome in outcomes for name in outcome)
        return table_of(rows, {name: [outcome.get(name) for outcome in outcomes] for name in names})

    def _read(self, pages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Open and read pages; return the values of their columns."""
        opened = [attempt(partial(self._open, page), _where(page)) for page in pages]
        images = {number: found[0] for number, found in enumerate(opened) if not isinstance(found, RecordError)}
        read = dict(zip(images, self._recognize([*images.values()], [_where(pages[number]) for number in images]), strict=True))
        outcomes = []
        for number, (page, found) in enumerate(zip(pages, opened, strict=True)):
            if isinstance(found, RecordError):
                outcomes.append(self._columns(page, found))
            else:
                outcomes.append({**self._columns(page, read[number], found[0]), "content_hash": found[1]})
        return outcomes

    def _open(self, page: Mapping[str, Any]) -> tuple[Image.Image, str]:
        if self.count_attempt(page["record_id"]) > MAX_ATTEMPTS:
            raise RecordError(f"its process died {MAX_ATTEMPTS} times on this page; look at the scan", kind="crashed")
        return self.open_page(page["source_uri"], page["page"])

    def _recognize(self, images: Sequence[Image.Image], places: Sequence[str]) -> list[Recognition | RecordError]:
        """Read images; where several at once raise an error that is none of the engine's, one by one."""
        if not images:
            return []
        read = attempt(partial(self.recognizer.recognize_pages, images), places[0])
        if not isinstance(read, RecordError):
            return read
        if len(images) == 1:
            return [read]
        alone = ([image] for image in images)
        return [self._recognize(image, [place])[0] for image, place in zip(alone, places, strict=True)]

    def _columns(
        self, page: Mapping[str, Any], read: Recognition | RecordError, image: Image.Image | None = None
    ) -> dict[str, Any]:
        """Return the columns of a page; `image` is None where it could not be opened."""
        if isinstance(read, RecordError):
            read = Recognition("", None, problem=read)
        kept: Status = "kept_raw"
        columns: dict[str, Any] = {
            "recognizer": _name(read.read_by or self.recognizer.info),
            "raw_text": read.text or None,
            "error": read.note or None,
            "warnings": merge_warnings(page["warnings"], read.warnings),
        }
        if read.problem:
            return {**columns, **failed(self.name, located(read.problem, _where(page)))}
        scale = image.info.get("scale") if image else None
        lines = None if read.lines is None else lines_to_rows(in_stored_pixels(read.lines, scale))
        columns |= {"raw_text": read.text, "lines": lines, "fields": read.fields}
        if image and not read.text.strip() and is_suspicious_without_text(image):
            columns["warnings"] = merge_warnings(columns["warnings"], ["no_text"])
        if read.doubt:
            columns |= {"status": kept, "corrected_text": read.text, "guard_reason": read.doubt}
        return columns


def _where(page: Mapping[str, Any]) -> str:
    return str(page["source_uri"] or page["record_id"])


def _name(engine: EngineInfo) -> str:
    return " ".join(filter(None, astuple(engine)))


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
