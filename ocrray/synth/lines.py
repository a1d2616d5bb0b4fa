"""Labelled images of single printed lines, for training readers: rendered and degraded, without recognition."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from ocrray.errors import RecordError
from ocrray.synth.clean import excerpt
from ocrray.synth.config import CharsRange
from ocrray.synth.degrade import degrade
from ocrray.synth.image_set import ImageSetConfig, LabelledImage
from ocrray.synth.made_up import made_up
from ocrray.synth.render import RenderedPage, Script, render_line
from ocrray.synth.spaced import draw_evenness, render_spaced, tone_lightly

_FONT_SIZES_PX = (24, 44)
_CAPITALS_FRAC = 0.05  # of the lines
_MAX_CHARS = 200
_PASSAGE_CHARS = 400


class LinesConfig(ImageSetConfig):
    """Images of single printed lines with their text, of a script that runs from left to right; nothing is recognized."""

    instruction: str = "Transcribe the text in this image"
    """Instruction to the reader, the `prefix` of `format: jsonl`."""
    script: Script = "latin"
    """Script of the installed fonts and of made-up text; `ocrray/synth/render.py` lists the fonts and their Debian packages."""
    chars: CharsRange = (1, 60)
    """Minimum and maximum characters of a line, at most 200, drawn evenly. Readers learn faster from short lines first."""
    made_up_frac: float = Field(0.25, ge=0, le=1)
    """Fraction of the lines (0..1) that are made up of figures, dates, prices and words; without `input`, all are."""
    height_px: int | None = Field(None, ge=8, le=400)
    """Height to which a line is scaled after it was degraded; null: as rendered, about 30 to 80 px."""
    min_aspect: float = Field(0, ge=0, le=100)
    """Lines less than so many times as wide as high are continued with empty paper on the right, so that a reader with a fixed
    image size sees all letters about equally wide; 0: none."""

    spaced_frac: float = Field(0, ge=0, le=1)
    """Fraction (0..1) of the lines, from the first on, that have spaced letters: at first each in a cell half as wide as the line
    is high, then ever closer to its natural place. From them a new reader learns to follow a line, if it sees them in this order
    (`data.grouping: rows` of `train`)."""

    @model_validator(mode="after")
    def _no_page(self) -> Self:
        if self.chars[1] > _MAX_CHARS:
            raise ValueError(f"chars: a line has at most {_MAX_CHARS} characters")
        return self

    @property
    def font_script(self) -> Script:
        """Script of the installed fonts."""
        return self.script

    @property
    def passage_chars(self) -> int:
        """Least characters of a passage of the input."""
        return _PASSAGE_CHARS

    def make(self, passage: str, faces: Sequence[Path], rng: np.random.Generator) -> LabelledImage:
        """Render and degrade an excerpt of `passage`, or a made-up string where it is empty or chance wants it.

        Raises: RecordError: `missing_glyph` when no font has all characters, `no_text` when the excerpt is empty, `too_long` when
            the line is wider than any scan.
        """
        return self.make_at(1.0, passage, faces, rng)

    def make_at(self, progress: float, passage: str, faces: Sequence[Path], rng: np.random.Generator) -> LabelledImage:
        """Make an image as `make` does; with spaced letters, if `progress` in the set is below `spaced_frac`."""
        evenness = draw_evenness(progress / self.spaced_frac, rng) if progress < self.spaced_frac else None
        text = self._text(passage, self._chars(evenness), rng)
        font, page = _set_in_type(text, faces, rng, evenness)
        image = _widened(page.image, self.min_aspect)
        if evenness is not None:
            return LabelledImage(tone_lightly(self._scaled(image), rng), page.lines[0], "line", font.name, 0.0)
        low, high = self.severity
        severity = low + (high - low) * float(rng.beta(1.2, 1.8))
        image = self._scaled(degrade(image, severity=severity, rng=rng).convert("L"))
        return LabelledImage(image, page.lines[0], "line", font.name, round(severity, 3))

    def _scaled(self, image: Image.Image) -> Image.Image:
        """Return the image in the height that is configured, if one is."""
        if not self.height_px:
            return image
        width_px = max(1, round(image.width * self.height_px / image.height))
        return image.resize((width_px, self.height_px), Image.Resampling.BICUBIC)

    def _chars(self, evenness: float | None) -> tuple[int, int]:
        """Return the range of lengths; spaced letters are so few that a line of `min_aspect` holds them."""
        low, high = self.chars
        if evenness is None or not self.min_aspect:
            return low, high
        return low, max(low, min(high, round(2 * self.min_aspect)))

    def _text(self, passage: str, chars: tuple[int, int], rng: np.random.Generator) -> str:
        if not passage or rng.random() < self.made_up_frac:
            return made_up(int(rng.integers(chars[0], chars[1] + 1)), self.script, rng)
        text = unicodedata.normalize("NFC", " ".join(excerpt(passage, chars, rng).split()))
        if not text:
            raise RecordError("the passage has no text of this length", kind="no_text")
        return text.upper() if rng.random() < _CAPITALS_FRAC else text


def _widened(image: Image.Image, aspect: float) -> Image.Image:
    """Return the image with empty paper on the right, at least `aspect` times as wide as high."""
    wide = Image.new("L", (max(image.width, round(aspect * image.height)), image.height), 255)
    wide.paste(image, (0, 0))
    return wide


def _set_in_type(text: str, faces: Sequence[Path], rng: np.random.Generator, evenness: float | None) -> tuple[Path, RenderedPage]:
    """Return a random font of those that have all characters of the text, and the line rendered in it, spaced or not."""
    size_px = int(rng.integers(*_FONT_SIZES_PX))
    problem = RecordError("no font was given", kind="missing_glyph")
    for index in rng.permutation(len(faces)).tolist():
        try:
            face = faces[index]
            if evenness is None:
                return face, render_line(text, font_path=face, font_size_px=size_px, rng=rng, tight=True)
            return face, render_spaced(text, font_path=str(face), font_size_px=size_px, evenness=evenness, rng=rng)
        except RecordError as err:
            if err.kind != "missing_glyph":
                raise
            problem = err
    raise problem
