"""Sets of labelled images for training readers: what an image is, and the config keys that all sets have in common."""

import io
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from ocrray.config import LocalPath, StrictModel
from ocrray.errors import ConfigError
from ocrray.synth.config import SeverityRange
from ocrray.synth.render import Script, Style, fonts

_DPI = (200, 200)
_MAX_PNG_PIXELS = 300_000  # a noisy page is four times as large as PNG


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """Grey image (mode L), the text that a reader must return for it (JSON on one line for fields), and facts on its making.

    `font` is a file name, `severity` of the damage is 0..1.
    """

    image: Image.Image
    text: str
    kind: str
    font: str
    severity: float

    def encoded(self) -> tuple[str, bytes]:
        """Return file name suffix and file: a bilevel PNG for black and white, a JPEG for large grey scans, else a grey PNG."""
        grey, data = self.image, io.BytesIO()
        bilevel = not any(grey.histogram()[1:255])
        if grey.width * grey.height > _MAX_PNG_PIXELS and not bilevel:
            grey.save(data, "JPEG", dpi=_DPI, quality=85)
            return ".jpg", data.getvalue()
        (grey.convert("1", dither=Image.Dither.NONE) if bilevel else grey).save(data, "PNG", dpi=_DPI)
        return ".png", data.getvalue()


class ImageSetConfig(StrictModel):
    """Keys that all sets of images have in common."""

    count: int = Field(ge=1)
    """Number of images to make, of both parts; dropped ones count too."""
    format: Literal["parquet", "csv", "jsonl"] = "parquet"
    """`parquet`: `data/train-*.parquet` and `data/validation-*.parquet`, with the images in them. `csv`, `jsonl`: folders
    `train/` and `validation/`, each with its images and a table of `image_file,text`, or of `image`, `prefix` and `suffix`."""
    validation_frac: float = Field(0.1, ge=0, lt=1)
    """Fraction (0..1) that is held out as the part `validation`; of text that is read from `input`, whole passages."""
    severity: SeverityRange = (0.0, 0.4)
    """Minimum and maximum damage, 0..1."""
    instruction: str = ""
    """Instruction to the reader, the `prefix` of `format: jsonl`."""
    typefaces: list[Style] = Field(default=["period", "modern"], min_length=1)
    """Styles of the installed fonts to use: old print, office type, or both."""
    fonts: tuple[LocalPath, ...] = ()
    """Font files to use instead of the installed ones; they must exist under the same path on every machine."""

    @property
    def font_script(self) -> Script:
        """Script of the installed fonts."""
        return "latin"

    @property
    def passage_chars(self) -> int:
        """Least characters of a passage of the input; 0: the set needs none."""
        return 0

    def font_files(self) -> list[Path]:
        """Return the fonts to render with.

        Raises: ConfigError: when none is installed, or a configured one is missing.
        """
        if missing := [str(path) for path in self.fonts if not path.is_file()]:
            raise ConfigError(f"fonts: no such file: {', '.join(missing)}")
        return list(self.fonts) or fonts(self.font_script, self.typefaces)

    @abstractmethod
    def make(self, passage: str, faces: Sequence[Path], rng: np.random.Generator) -> LabelledImage:
        """Make one image, of `passage` where that is not empty; deterministic in `rng`.

        Raises: RecordError: when it cannot be made.
        """

    def make_at(self, progress: float, passage: str, faces: Sequence[Path], rng: np.random.Generator) -> LabelledImage:
        """Make an image as `make` does, of the difficulty that the set has at `progress`, 0 at its begin and 1 at its end."""
        del progress  # most sets are equally difficult throughout
        return self.make(passage, faces, rng)
