"""Sheet of paper to set a document on: text, rules, boxes and tables at given places, in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from ocrray.errors import RecordError
from ocrray.synth.render import load_font, require_settable

Align = Literal["left", "centre", "right"]
_ANCHORS: dict[Align, str] = {"left": "ls", "centre": "ms", "right": "rs"}


@dataclass(frozen=True, slots=True)
class Type:
    """Font of a document, and the size of its text; headings may be set in another font.

    `period`: the font is one of old print, so the document is an old one.
    """

    body: Path
    heading: Path
    size_px: int
    period: bool


class Sheet:
    """White sheet (mode L); places are distances from its left upper corner, `y` is that of a baseline.

    Its methods raise RecordError `missing_glyph` when the font lacks a character, `too_long` for text below the lower edge.
    """

    def __init__(self, width_px: int, height_px: int, letters: Type) -> None:
        self.image = Image.new("L", (width_px, height_px), 255)
        self.letters = letters
        self._draw = ImageDraw.Draw(self.image)

    @property
    def line_px(self) -> int:
        """Distance of two baselines of text."""
        return round(self.letters.size_px * 1.35)

    def width_of(self, text: str, scale: float = 1, *, heading: bool = False) -> float:
        """Return the width of a line of text."""
        face = self.letters.heading if heading else self.letters.body
        return load_font(str(face), round(self.letters.size_px * scale)).getlength(text)

    def text(
        self, x: float, y: float, text: str, *, align: Align = "left", scale: float = 1, heading: bool = False, grey: int = 0
    ) -> None:
        """Set one line of text whose left end, middle or right end is at `x`."""
        face = str(self.letters.heading if heading else self.letters.body)
        require_settable(face, text)
        if y > self.image.height - self.letters.size_px * 0.4:
            raise RecordError("the document does not fit on its sheet", kind="too_long")
        font = load_font(face, round(self.letters.size_px * scale))
        self._draw.text((x, y), text, fill=grey, font=font, anchor=_ANCHORS[align])

    def fit(
        self, x: float, y: float, room_px: float, text: str, *, align: Align = "left", scale: float = 1, heading: bool = False
    ) -> None:
        """Set one line of text, smaller where it is wider than `room_px`."""
        wide = self.width_of(text, scale, heading=heading)
        self.text(x, y, text, align=align, scale=scale * min(1, room_px / wide) if wide else scale, heading=heading)

    def paragraph(self, x: float, y: float, room_px: float, text: str, *, indent_px: float = 0, scale: float = 1) -> float:
        """Set text in lines at most `room_px` wide; return the baseline after the last."""
        line: list[str] = []
        for word in text.split():
            if line and self.width_of(" ".join([*line, word]), scale) > room_px - indent_px:
                self.text(x + indent_px, y, " ".join(line), scale=scale)
                y, line, indent_px = y + self.line_px * scale, [], 0
            line.append(word)
        if line:
            self.text(x + indent_px, y, " ".join(line), scale=scale)
        return y + self.line_px * scale

    def rule(self, x: float, y: float, length_px: float, *, width_px: int = 1, upright: bool = False) -> None:
        """Draw a line to the right, or down."""
        end = (x, y + length_px) if upright else (x + length_px, y)
        self._draw.line((x, y, *end), fill=0, width=width_px)

    def box(self, x: float, y: float, right: float, bottom: float, *, width_px: int = 1) -> None:
        """Draw a rectangle."""
        self._draw.rectangle((x, y, right, bottom), outline=0, width=width_px)

    def disc(self, x: float, y: float, radius_px: float, grey: int) -> None:
        """Draw a filled disc, such as a punched hole."""
        self._draw.ellipse((x - radius_px, y - radius_px, x + radius_px, y + radius_px), fill=grey)

    def cut(self, y: float) -> None:
        """Cut the sheet off below `y`."""
        self.image = self.image.crop((0, 0, self.image.width, min(self.image.height, round(y))))
        self._draw = ImageDraw.Draw(self.image)

    def stamp(self, x: float, y: float, words: Sequence[str], angle_deg: float, rng: np.random.Generator) -> None:
        """Print a rubber stamp of one or more lines in a box, askew and pale, with its middle at this place."""
        font = load_font(str(self.letters.heading), round(self.letters.size_px * 1.1))
        widest = max(font.getlength(line) for line in words)
        pitch_px, pad_px = round(self.letters.size_px * 1.4), self.letters.size_px
        mark = Image.new("L", (round(widest) + 2 * pad_px, len(words) * pitch_px + pad_px), 0)
        draw = ImageDraw.Draw(mark)
        draw.rectangle((2, 2, mark.width - 3, mark.height - 3), outline=255, width=3)
        for number, line in enumerate(words):
            draw.text((mark.width / 2, (number + 0.5) * pitch_px + pad_px / 2), line, fill=255, font=font, anchor="mm")
        mark = mark.rotate(angle_deg, Image.Resampling.BICUBIC, expand=True)
        ink = Image.fromarray((np.asarray(mark) * rng.uniform(0.35, 0.6)).astype(np.uint8))
        self.image.paste(60, (round(x - ink.width / 2), round(y - ink.height / 2)), ink)
