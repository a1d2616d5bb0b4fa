"""Samples of any depth and sign to images of eight bits."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Samples = NDArray[Any]
_BITS_IN_USE = (8, 10, 12, 14, 15, 16, 24, 31, 32)
_MIN_DARK_FRAC = 1e-4  # share of a WhiteIsZero page that text blackens at least
_MODES = {"grey": ("L", 1), "rgb": ("RGB", 3), "cmyk": ("CMYK", 4), "ycc": ("YCbCr", 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """Meaning of the samples of an image."""

    colour: Literal["grey", "rgb", "cmyk", "ycc"]
    bits: int
    """Declared depth of a sample."""
    white_is_zero: bool = False
    alpha: Literal["none", "straight", "premultiplied"] = "none"
    """Meaning of the sample after those of the colour."""
    white: float | None = None
    """Declared value of the brightest sample (the darkest, where white is zero)."""


def to_image(samples: Samples, meaning: Meaning) -> Image.Image:
    """Convert `samples`, shape (rows, columns) or (rows, columns, samples a pixel), to mode L or RGB; transparency becomes white.

    Samples beyond those of the colour and its alpha are left out.
    """
    mode, count = _MODES[meaning.colour]
    planes = samples[..., None] if samples.ndim == 2 else samples
    colour = to_bytes(planes[..., :count], meaning)
    if mode == "L" or mode == "RGB":
        image = Image.fromarray(np.ascontiguousarray(colour[..., 0] if mode == "L" else colour))
    else:
        image = Image.frombytes(mode, (colour.shape[1], colour.shape[0]), np.ascontiguousarray(colour).tobytes())
        image = image.convert("RGB")
    if meaning.alpha == "none" or planes.shape[-1] <= count:
        return image
    alpha = Image.fromarray(np.ascontiguousarray(_alpha_bytes(planes[..., count], meaning.bits)))
    return on_white(image, alpha, premultiplied=meaning.alpha == "premultiplied")


def on_white(image: Image.Image, alpha: Image.Image, *, premultiplied: bool = False) -> Image.Image:
    """Lay an image on white by its transparency (mode L); one that would be transparent all over is taken as opaque.

    Writers leave such an alpha channel empty; a page of one colour is really transparent.
    """
    layer = image.convert("RGB")
    if not alpha.getbbox() and np.ptp(np.asarray(layer), axis=(0, 1)).any():
        return image
    if premultiplied:
        layer = Image.merge("RGBa", (*layer.split(), alpha)).convert("RGBA").convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(layer, mask=alpha)
    return white


def to_bytes(samples: Samples, meaning: Meaning) -> NDArray[np.uint8]:
    """Return samples of any type in 0..255; depths are reduced to the eight highest bits in use."""
    if samples.dtype.kind == "b":
        samples = samples.astype(np.uint8)
    if samples.dtype.kind == "i":
        samples, white = _unsigned(samples, meaning)
    elif samples.dtype.kind == "f":
        samples, white = _of_floats(samples, meaning)
    else:
        white = _white_level(samples, meaning)
    grey = _scaled(samples, white)
    return np.subtract(255, grey, dtype=np.uint8) if meaning.white_is_zero else grey


def _scaled(samples: Samples, white: float) -> NDArray[np.uint8]:
    bits = int(white).bit_length() if white == int(white) else 0
    if bits >= 8 and int(white) == (1 << bits) - 1:  # without a copy in floating point, which takes four times the memory
        shifted: NDArray[np.uint8] = np.minimum(samples >> (bits - 8), 255).astype(np.uint8)
        return shifted
    scaled: NDArray[np.uint8] = (samples * np.float32(255 / white) + np.float32(0.5)).clip(0, 255).astype(np.uint8)
    return scaled


def _white_level(samples: Samples, meaning: Meaning) -> float:
    """Return the value of full brightness of unsigned samples: of 16 bits a scanner often fills no more than 12."""
    highest = int(samples.max(initial=0))
    if meaning.white is not None and 0 < highest <= meaning.white < 1 << meaning.bits:
        return meaning.white
    if meaning.bits <= 8:
        return float((1 << meaning.bits) - 1)
    if meaning.bits % 16:  # a depth that a scanner has, not that of the file format
        return float((1 << max(meaning.bits, highest.bit_length())) - 1)
    if not meaning.white_is_zero:
        return float((1 << max(8, highest.bit_length())) - 1)
    # Zero is white here: of a blank page the highest value is noise, of a page with text it is black.
    bits = next((bits for bits in _BITS_IN_USE if highest < 1 << bits), 32)
    is_text = (
        np.median(samples[::4, ::4]) < (1 << bits) / 4
        and np.count_nonzero(samples > (1 << bits) / 2) > samples.size * _MIN_DARK_FRAC
    )
    return float((1 << (bits if is_text else meaning.bits)) - 1)


def _unsigned(samples: Samples, meaning: Meaning) -> tuple[Samples, float]:
    """Move signed samples up to 0, by half of their range where they fill it; otherwise by the lowest one."""
    lowest, highest = int(samples.min(initial=0)), int(samples.max(initial=0))
    if lowest >= 0:
        unsigned = samples.astype(f"u{samples.dtype.itemsize}")
        return unsigned, float((1 << (meaning.bits - 1)) - 1) if meaning.bits <= 8 else _white_level(unsigned, meaning)
    half = 1 << (meaning.bits - 1)
    wide = samples.astype(np.int64 if samples.dtype.itemsize > 2 else np.int32)
    if highest - lowest >= half // 2 and lowest >= -half and highest < half:
        return (wide + half).astype(np.uint32), float(2 * half - 1)
    return (wide - lowest).astype(np.uint32), float(max(1, highest - lowest))


def _of_floats(samples: Samples, meaning: Meaning) -> tuple[Samples, float]:
    """Return floats that begin at 0 with their value of full brightness: 1, 255, what 16 bits hold, or the highest value.

    What is no number is white.
    """
    finite = np.isfinite(samples)
    known = samples[finite]
    lowest, highest = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if meaning.white is not None and meaning.white >= highest > 0 and lowest >= 0:
        start, white = 0.0, meaning.white
    elif lowest >= -0.05 and highest <= 1.05:
        start, white = 0.0, 1.0
    elif lowest >= -1 and 1.05 < highest <= 256:
        start, white = 0.0, 255.0
    elif lowest >= -1 and 256 < highest < 1 << 16:
        start, white = 0.0, float((1 << int(highest).bit_length()) - 1)
    else:
        start, white = lowest, highest - lowest
    paper = start if meaning.white_is_zero else start + white
    moved = np.where(finite, samples, paper).astype(np.float64) - start
    return (moved * (1.0 / white)).clip(0, 1), 1.0


def _alpha_bytes(samples: Samples, bits: int) -> NDArray[np.uint8]:
    if samples.dtype.kind == "f":
        return to_bytes(samples, Meaning(colour="grey", bits=32))
    highest = int(samples.max(initial=0))
    used = bits if bits % 16 else next((bits for bits in _BITS_IN_USE if highest < 1 << bits), 32)
    return _scaled(samples.astype(np.uint32), float((1 << used) - 1))
