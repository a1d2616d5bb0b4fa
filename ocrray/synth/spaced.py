"""Lines with spaced letters, from which a reader learns to follow a line before it reads print."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ocrray.synth.render import RenderedPage, cropped_line, load_font, require_settable

_HELD_FRAC = 0.2  # of the spaced lines have all letters in cells
_EVENNESS_RANGE = 0.3
_CELL_FONT_SIZES = 0.65
_ORIGIN_FONT_SIZES = 1.5  # room above the baseline


def draw_evenness(progress: float, rng: np.random.Generator) -> float:
    """Return the evenness (0..1) of a line at `progress` (0..1) of the spaced lines: 1 at first, then ever less."""
    least = min(1.0, (1 - progress) / (1 - _HELD_FRAC))
    return float(rng.uniform(least, min(1.0, least + _EVENNESS_RANGE)))


def render_spaced(text: str, *, font_path: str, font_size_px: int, evenness: float, rng: np.random.Generator) -> RenderedPage:
    """Render `text` letter by letter; with `evenness` 1, each in a cell half as wide as the line is high, with 0, at its place.

    The line begins at the left edge where it is even, and has a margin above and below as `render_line(tight=True)`.

    Raises: RecordError: `missing_glyph` when the font lacks a character.
    """
    font = load_font(font_path, font_size_px)
    require_settable(font_path, text)
    text = " ".join(text.split())
    widths = [evenness * _CELL_FONT_SIZES * font_size_px + (1 - evenness) * font.getlength(letter) for letter in text]
    x_px = (1 - evenness) * rng.uniform(0.1, 0.8) * font_size_px
    baseline_px = round(_ORIGIN_FONT_SIZES * font_size_px)
    image = Image.new("L", (max(1, round(x_px + sum(widths))), baseline_px + font_size_px), 255)
    draw = ImageDraw.Draw(image)
    for letter, width_px in zip(text, widths, strict=True):
        draw.text((x_px + width_px / 2, baseline_px + rng.normal(0, font_size_px / 80)), letter, fill=0, font=font, anchor="ms")
        x_px += width_px
    image = cropped_line(image, baseline_px, font_size_px, rng)
    stretched = image.height / 2 / (_CELL_FONT_SIZES * font_size_px)
    width_px = max(1, round(image.width * (1 + evenness * (stretched - 1))))
    return RenderedPage(image.resize((width_px, image.height), Image.Resampling.BICUBIC), [text])


def tone_lightly(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a line (mode L) on grey paper, with grey ink, a little blurred and noisy; far cheaper than `degrade`."""
    paper, ink = rng.uniform(205, 255), rng.uniform(0, 80)
    soft = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7))) if rng.random() < 0.5 else image
    pixels = ink + (paper - ink) / 255 * np.asarray(soft, np.float32)
    pixels += rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(0, 10)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
