"""Pixels to text, one page at a time."""

import time
from collections.abc import Callable

import pyarrow as pa
from PIL import Image

from ocrray.engines.base import Recognizer
from ocrray.errors import RecordError
from ocrray.records import Line, lines_to_rows
from ocrray.stages.tables import attempt, under_way, with_columns, with_failures

OpenPage = Callable[[str, int], tuple[Image.Image, str]]
CountAttempt = Callable[[str], int]

MAX_ATTEMPTS = 3  # a page whose process died this often is taken to be the cause


class Recognize:
    """Gives every row that has no text yet the lines that `recognizer` reads on its page.

    `open_page(uri, page)` returns the image and the sha256 of its file. `count_attempt(record_id)` returns how often that page
    was begun, this time included, across restarts of this process: a page that kills its process fails after MAX_ATTEMPTS
    instead of killing the next one for ever.
    """

    name = "recognize"

    def __init__(self, recognizer: Recognizer, open_page: OpenPage, count_attempt: CountAttempt) -> None:
        self.recognizer = recognizer
        self.open_page = open_page
        self.count_attempt = count_attempt

    def __call__(self, table: pa.Table) -> pa.Table:
        raw_text, hashes = table["raw_text"].to_pylist(), table["content_hash"].to_pylist()
        lines, seconds, recognizer = (table[name].to_pylist() for name in ("lines", "recognize_s", "recognizer"))
        info = self.recognizer.info
        failures: dict[int, RecordError] = {}
        for position in under_way(table):
            if raw_text[position] is not None:
                continue
            row = {name: table[name][position].as_py() for name in ("record_id", "source_uri", "page")}
            started = time.perf_counter()
            outcome = attempt(lambda row=row: self._read(**row), row["source_uri"])
            seconds[position] = time.perf_counter() - started
            recognizer[position] = f"{info.engine} {info.model} {info.revision}"
            if isinstance(outcome, RecordError):
                failures[position] = outcome
            else:
                page_lines, hashes[position] = outcome
                raw_text[position] = "\n".join(line.text for line in page_lines)
                lines[position] = lines_to_rows(page_lines)
        table = with_columns(
            table,
            {
                "raw_text": raw_text,
                "content_hash": hashes,
                "lines": lines,
                "recognize_s": seconds,
                "recognizer": recognizer,
            },
        )
        return with_failures(table, self.name, failures)

    def _read(self, record_id: str, source_uri: str, page: int) -> tuple[list[Line], str]:
        if self.count_attempt(record_id) > MAX_ATTEMPTS:
            raise RecordError(f"its process died {MAX_ATTEMPTS} times on this page; look at the scan", kind="crashed")
        image, content_hash = self.open_page(source_uri, page)
        return self.recognizer.recognize(image), content_hash
