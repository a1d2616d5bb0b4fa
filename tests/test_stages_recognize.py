"""Pages on which nothing is recognized, and boxes of pages that were resampled."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw, ImageFont

from ocrray.engines.base import EngineInfo
from ocrray.engines.blank import is_suspicious_without_text
from ocrray.records import Line, Word
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


class Reads:
    """A recognizer that always reads the same lines."""

    info = EngineInfo("constant")

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)

    def recognize(self, _image: Image.Image) -> list[Line]:
        return self.lines

    def close(self) -> None: ...


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
    row = stage.process_row({"record_id": "a", "source_uri": "a.tif", "page": 0, "warnings": None})
    assert row["warnings"] == warnings


def test_recognize_boxes_are_in_pixels_of_the_file() -> None:
    """A fax is read at twice its height; its boxes lie on the fax."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.asarray(GREYS), photometric="minisblack", resolution=(200, 100), resolutionunit="INCH")
    data = buffer.getvalue()
    line = Line("Harbour", 10, 20, 110, 81, None, [Word("Harbour", 10, 20, 110, None)])
    stage = Recognize(Reads(line), lambda _uri, page: (decode_page(data, page, "fax.tif", 10**7), "hash"), lambda _: 1)
    (read,) = stage.process_row({"record_id": "a", "source_uri": "fax.tif", "page": 0, "warnings": None})["lines"]
    assert [read[side] for side in ("left", "top", "right", "bottom")] == [10, 10, 110, 40]
    assert [read["words"][0][side] for side in ("top", "bottom")] == [10, None]
