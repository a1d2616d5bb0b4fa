"""Pages on which nothing is recognized, and boxes of pages that were resampled."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from PIL import Image, ImageDraw, ImageFont

from ocrray.engines.base import EngineInfo, LineRecognizer, Recognition
from ocrray.engines.blank import is_suspicious_without_text
from ocrray.errors import EngineError, RecordError
from ocrray.records import Line, Word, schema_for
from ocrray.sources.scans.images import decode_page
from ocrray.stages.recognize import Recognize

GREYS = Image.new("L", (200, 60), 255)
ImageDraw.Draw(GREYS).text((10, 8), "Harbour", fill=0, font=ImageFont.load_default(36))


@pytest.mark.parametrize(
    ("page", "suspicious"),
    [
        (np.full((600, 400), 255), False),
        (np.random.default_rng(0).normal(200, 15, (600, 400)).clip(0, 255), False),
        (np.full((600, 400), 0), True),
        (np.random.default_rng(0).integers(0, 256, (600, 400)), True),
        (np.pad(np.asarray(GREYS), 200, constant_values=255), True),
    ],
    ids=["white", "paper", "black", "noise", "text"],
)
def test_is_suspicious_without_text_page_that_needs_a_look(page: np.ndarray, suspicious: bool) -> None:
    """Ink, and pixels that are no picture of paper; a blank leaf is neither."""
    assert is_suspicious_without_text(Image.fromarray(page.astype(np.uint8))) == suspicious


class Reads(LineRecognizer):
    """A recognizer that always reads the same lines."""

    info = EngineInfo("constant")

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)

    def recognize(self, _image: Image.Image) -> list[Line]:
        return self.lines

    def close(self) -> None: ...


def rows_of(stage: Recognize, *uris: str, fields: pa.DataType | None = None) -> list[dict[str, Any]]:
    """The rows of pages of these URIs after the stage."""
    schema = schema_for(fields)
    pages = [dict.fromkeys(schema.names) | {"record_id": uri, "source_uri": uri, "page": 0} for uri in uris]
    return stage(pa.Table.from_pylist(pages, schema)).to_pylist()


@pytest.mark.parametrize(
    ("lines", "grey", "warnings"),
    [([], 255, None), ([], 0, ["no_text"]), ([Line(" ")], 0, ["no_text"]), ([Line("Text")], 0, None)],
    ids=["blank", "black", "a space", "text"],
)
def test_recognize_page_without_text_that_should_have_some_is_warned_of(
    lines: list[Line], grey: int, warnings: list[str] | None
) -> None:
    """An empty result is no `unchanged` in silence, except of a blank leaf."""
    stage = Recognize(Reads(*lines), lambda _uri, _page: (Image.new("L", (300, 300), grey), "hash"), lambda _: 1)
    assert [row["warnings"] for row in rows_of(stage, "a.tif")] == [warnings]


def test_recognize_boxes_are_in_pixels_of_the_file() -> None:
    """A fax is read at twice its height; its boxes lie on the fax."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.asarray(GREYS), photometric="minisblack", resolution=(200, 100), resolutionunit="INCH")
    data = buffer.getvalue()
    line = Line("Harbour", 10, 20, 110, 81, None, [Word("Harbour", 10, 20, 110, None)])
    stage = Recognize(Reads(line), lambda _uri, page: (decode_page(data, page, "fax.tif", 10**7), "hash"), lambda _: 1)
    (read,) = rows_of(stage, "fax.tif")[0]["lines"]
    assert [read[side] for side in ("left", "top", "right", "bottom")] == [10, 10, 110, 40]
    assert [read["words"][0][side] for side in ("top", "bottom")] == [10, None]


class Batches:
    """A recognizer that keeps the sizes of its calls, and answers each page by its width."""

    info = EngineInfo("reader", "m", "r", "a", "p")

    def __init__(self, answers: dict[int, Recognition | RecordError | Exception]) -> None:
        self.answers = answers
        self.calls: list[int] = []

    def recognize_pages(self, images: Sequence[Image.Image]) -> list[Recognition | RecordError]:
        self.calls.append(len(images))
        read = [self.answers.get(image.width, Recognition.of_lines([Line(str(image.width))])) for image in images]
        for one in read:
            if isinstance(one, Exception) and not isinstance(one, RecordError):
                raise one
        return read  # type: ignore[return-value]

    def close(self) -> None: ...


def read_in_batches(recognizer: Batches, *uris: str, fields: pa.DataType | None = None) -> list[dict[str, Any]]:
    """The rows of pages, four opened and read at once; the URI is the width of the image."""

    def open_page(uri: str, _page: int) -> tuple[Image.Image, str]:
        if not uri.isdigit():
            raise RecordError(f"{uri}: no such file", kind="missing")
        return Image.new("L", (int(uri), 20), 255), f"hash {uri}"

    return rows_of(Recognize(recognizer, open_page, lambda _: 1, pages_at_once=4), *uris, fields=fields)


def test_recognize_pages_go_to_the_recognizer_together_and_come_back_in_order() -> None:
    """Ten pages of which one cannot be opened: three calls, each page with its own text and hash, the bad one failed."""
    recognizer = Batches({})
    uris = ["30", "31", "gone", "33", "34", "35", "36", "37", "38", "39"]

    rows = read_in_batches(recognizer, *uris)

    assert recognizer.calls == [3, 4, 2]
    assert [row["raw_text"] for row in rows] == [None if uri == "gone" else uri for uri in uris]
    assert [row["content_hash"] for row in rows] == [None if uri == "gone" else f"hash {uri}" for uri in uris]
    assert [(row["status"], row["error_kind"]) for row in rows if row["status"]] == [("failed", "missing")]
    assert {row["recognizer"] for row in rows} == {"reader m r a p"}
    assert all(row["recognize_s"] is not None for row in rows)


def test_recognize_bug_that_one_page_triggers_fails_that_page_alone() -> None:
    """The others of its batch are read again, one by one; an engine that is out of order ends the run as ever."""
    rows = read_in_batches(Batches({31: ZeroDivisionError("a bug")}), "30", "31", "32")

    assert [(row["raw_text"], row["error_kind"]) for row in rows] == [("30", None), (None, "internal_error"), ("32", None)]
    with pytest.raises(EngineError):
        read_in_batches(Batches({31: EngineError("out of order")}), "30", "31", "32")


def test_recognize_page_that_was_not_read_fails_and_shows_what_was_written() -> None:
    """Nobody takes an invention for the text: `corrected_text` is null, the answer stands in `raw_text`, the reason beside it."""
    problem = RecordError("it repeats itself", kind="loop")
    (row,) = read_in_batches(Batches({30: Recognition("ha ha ha", None, problem=problem)}), "30")

    assert (row["status"], row["failed_stage"], row["error_kind"]) == ("failed", "recognize", "loop")
    assert row["error"] == "30: it repeats itself"
    assert (row["raw_text"], row["corrected_text"], row["lines"]) == ("ha ha ha", None, None)


def test_recognize_doubtful_page_is_kept_and_page_of_another_engine_names_it() -> None:
    """A page that is kept as it is goes past the corrector; one that the fallback read has its name, warning and reason."""
    fallback = EngineInfo("tesseract", "eng", "5")
    kept = Recognition("", [], doubt="empty_answer")
    again = Recognition("Text", [Line("Text")], note="loop: it repeats itself", warnings=["read_by_fallback"], read_by=fallback)

    first, second = read_in_batches(Batches({30: kept, 31: again}), "30", "31")

    assert (first["status"], first["corrected_text"], first["guard_reason"]) == ("kept_raw", "", "empty_answer")
    assert (second["status"], second["recognizer"], second["warnings"]) == (None, "tesseract eng 5", ["read_by_fallback"])
    assert second["error"] == "loop: it repeats itself"


def test_recognize_page_that_became_fields_has_them_typed_and_the_answer_as_written() -> None:
    """The column has the type of the schema; the answer is no text with lines."""
    answer = '{"total": 1.10}'
    read = Recognition(answer, None, fields={"total": 1.1})

    (row,) = read_in_batches(Batches({30: read}), "30", fields=pa.struct([("total", pa.float64())]))

    assert (row["fields"], row["raw_text"], row["lines"], row["status"]) == ({"total": 1.1}, answer, None, None)
