"""Pairs by rendering: clean text is rendered in a period font, degraded like a scan, and recognized."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ocrray.errors import ConfigError, RecordError
from ocrray.records import Line
from ocrray.synth.clean import excerpt
from ocrray.synth.config import PagesConfig
from ocrray.synth.degrade import degrade
from ocrray.synth.render import RenderedPage, fonts, render_line, render_page
from ocrray.text.confidences import char_confidences, word_confidences
from ocrray.text.metrics import distance
from ocrray.text.normalise import for_scoring

_FONT_SIZES_PX = {"page": (22, 40), "line": (30, 56)}


@dataclass(frozen=True, slots=True)
class ScannedPair:
    """Rendered text (`gt`) and recognized text (`ocr`) of one image, lines separated by line feeds.

    `severity` of the damage is 0..1. `word_confidences` has one confidence per white-space separated word of `ocr`, 0..1 or None.
    """

    ocr: str
    gt: str
    severity: float
    font: str
    image: Image.Image
    word_confidences: Sequence[float | None]


def typefaces(config: PagesConfig) -> list[Path]:
    """Return the font files to render pages with.

    Raises: ConfigError: when none is installed, or a configured one is missing.
    """
    missing = [str(path) for path in config.fonts if not path.is_file()]
    if missing:
        raise ConfigError(f"pages.fonts: no such file: {', '.join(missing)}")
    return list(config.fonts) or fonts(config.script)


def make_page(
    passage: str,
    config: PagesConfig,
    faces: Sequence[Path],
    rng: np.random.Generator,
    recognize: Callable[[Image.Image], Sequence[Line]],
) -> ScannedPair:
    """Render, degrade and recognize an excerpt of `passage`; deterministic in `rng`.

    Raises: RecordError: `missing_glyph` when no font has all of its characters, `too_long` when it does not fit on a page,
        `unread` when nothing was recognized, `too_wrong` when more than `config.max_cer` of its characters are wrong. Errors
        of `recognize` pass unchanged.
    """
    text = excerpt(passage, config.char_range, rng)
    font, page = _set_in_type(text, config.unit, faces, rng)
    low, high = config.severity
    severity = low + (high - low) * float(rng.beta(1.5, 1.5))
    image = degrade(page.image, severity=severity, rng=rng)
    lines = recognize(image)
    ocr = "\n".join(line.text for line in lines)
    gt = "\n".join(page.lines)
    if not ocr:
        raise RecordError("nothing was recognized", kind="unread")
    if distance(ocr, gt) > config.max_cer * len(for_scoring(gt)):
        raise RecordError(f"more than {config.max_cer:.0%} of the characters are wrong", kind="too_wrong")
    confidences = word_confidences(ocr, char_confidences(lines))
    return ScannedPair(ocr, gt, round(severity, 3), font.name, image, confidences)


def _set_in_type(text: str, unit: str, faces: Sequence[Path], rng: np.random.Generator) -> tuple[Path, RenderedPage]:
    """Return a random font of those that have all characters of the text, and the text rendered in it."""
    size_px = int(rng.integers(*_FONT_SIZES_PX[unit]))
    problem = RecordError("no font was given", kind="missing_glyph")
    for index in rng.permutation(len(faces)).tolist():
        try:
            if unit == "line":
                return faces[index], render_line(" ".join(text.split()), font_path=faces[index], font_size_px=size_px, rng=rng)
            return faces[index], render_page(
                text.replace("\n", "\n\n"),
                font_path=faces[index],
                font_size_px=size_px,
                width_px=int(size_px * rng.uniform(16, 34)),
                rng=rng,
                hyphenate=bool(rng.random() < 0.6),
            )
        except RecordError as err:
            if err.kind != "missing_glyph":
                raise
            problem = err
    raise problem
