"""The gate before recognition: blank scans of all sorts are told from pages with the least of text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrray.engines.blank import is_blank
from ocrray.engines.tesseract import TesseractConfig

A4_300_DPI = (2480, 3508)
THRESHOLD = TesseractConfig().blank_below_ink_frac


def paper(grey: int = 255, size: tuple[int, int] = A4_300_DPI) -> Image.Image:
    return Image.new("L", size, grey)


def written(text: str, sheet: Image.Image, points: int = 8, dpi: int = 300, ink: int = 0) -> Image.Image:
    """The text on a third of the sheet's height."""
    font = ImageFont.load_default(points * dpi / 72)
    ImageDraw.Draw(sheet).text((sheet.width // 2, sheet.height // 3), text, fill=ink, font=font)
    return sheet


def grained(sheet: Image.Image, sigma: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, sigma, (sheet.height, sheet.width))
    return Image.fromarray((np.asarray(sheet) + noise).clip(0, 255).astype(np.uint8))


def specked(sheet: Image.Image, count: int = 300) -> Image.Image:
    """With dust of up to 6 px."""
    rng, draw = np.random.default_rng(0), ImageDraw.Draw(sheet)
    for x, y, radius in zip(*rng.integers(0, sheet.size, (count, 2)).T, rng.uniform(0.5, 3, count), strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=40)
    return sheet


def on_scanner_bed(sheet: Image.Image, degrees: float, bed_px: int = 60) -> Image.Image:
    """The sheet laid a little askew on a black ground of the same size."""
    bed = paper(10, sheet.size)
    small = sheet.resize((sheet.width - 2 * bed_px, sheet.height - 2 * bed_px)).rotate(degrees, expand=True, fillcolor=10)
    bed.paste(small, ((sheet.width - small.width) // 2, (sheet.height - small.height) // 2))
    return bed


def in_gutter_shadow(sheet: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(sheet) * (1 - 0.8 * np.exp(-np.arange(sheet.width) / 150))).astype(np.uint8))


BLANK: dict[str, Callable[[], Image.Image]] = {
    "white": paper,
    "black": lambda: paper(0),
    "grey": lambda: paper(170),
    "grained": lambda: grained(paper(200), sigma=20),
    "specked": lambda: specked(paper()),
    "skewed": lambda: on_scanner_bed(paper(), degrees=1.5),
    "skewed, grey and grained": lambda: grained(on_scanner_bed(paper(225), degrees=3), sigma=8),
    "narrow border": lambda: on_scanner_bed(paper(), degrees=0.3, bed_px=12),
    "gutter": lambda: grained(in_gutter_shadow(paper(235)), sigma=6),
    "bitonal": lambda: on_scanner_bed(paper(), degrees=2).convert("1", dither=Image.Dither.NONE),
    "colour": lambda: paper(240).convert("RGB"),
    "one pixel": lambda: paper(0, (1, 1)),
    "thread": lambda: paper(0, (3000, 2)),
}
WRITTEN: dict[str, Callable[[], Image.Image]] = {
    "a page number": lambda: written("7", paper()),
    "bitonal": lambda: written("7", paper()).convert("1"),
    "6 points": lambda: written("a row on a man", paper(), points=6),
    "faint": lambda: written("The end.", paper(), points=10, ink=225),
    "faint and grained": lambda: grained(written("The end.", paper(220), points=10, ink=140), sigma=15),
    "white on black": lambda: written("The end.", paper(0), points=10, ink=255),
    "one white stroke": lambda: written("l", paper(0), ink=255),
    "on the scanner bed": lambda: on_scanner_bed(written("7", paper()), degrees=2),
    "a slip on a black ground": lambda: on_scanner_bed(written("Total 3.20", paper()), degrees=1, bed_px=800),
    "specked": lambda: written("12", specked(paper())),
    "in large letters": lambda: written("FINIS", paper(), points=72),
    "100 dpi": lambda: written("7", paper(size=(827, 1170)), dpi=100),
    "600 dpi": lambda: written("7", paper(size=(4962, 7020)), dpi=600),
    "newspaper": lambda: written("12", paper(245, (5000, 7000))),
    "a line cut close": lambda: written("lIl", paper(size=(60, 40))).crop((30, 16, 46, 38)),
}


@pytest.mark.parametrize("scan", BLANK)
def test_is_blank_of_empty_scan_is_true(scan: str):
    """Grain, dust, shadows and borders are not text."""
    assert is_blank(BLANK[scan](), THRESHOLD)


@pytest.mark.parametrize("scan", WRITTEN)
def test_is_blank_of_short_text_is_false(scan: str):
    """One short line in any dress saves its page."""
    assert not is_blank(WRITTEN[scan](), THRESHOLD)


def test_is_blank_below_zero_is_never():
    """The threshold 0 switches the gate off."""
    assert not is_blank(paper(), 0)


@pytest.mark.shared
def test_is_blank_of_real_pages_is_false(shared_data: Path):
    """No real book page is lost; a sample, as all 144 take their time."""
    for path in sorted((shared_data / "pages" / "images").glob("*.png"))[::4]:
        assert not is_blank(Image.open(path), THRESHOLD), path.name
