"""Conversion of images of any mode to RGB."""

import numpy as np
from PIL import Image

_WHITE = (255, 255, 255)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in RGB, transparent pixels on white.

    16-bit greys are scaled to 8 bits; in modes I and F these are images with values over 255.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image) / 257)
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        return _grey(values / 257 if values.max(initial=0) > 255 else values)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", image.size, _WHITE)
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image.convert("RGB")


def _grey(values: np.ndarray) -> Image.Image:
    """Return an RGB image of grey values (height, width) from 0 to 255."""
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8)).convert("RGB")


def widened(image: Image.Image, aspect: float) -> Image.Image:
    """Return an RGB image continued with paper on the right until it is `aspect` times as wide as high."""
    width = round(aspect * image.height)
    if width <= image.width:
        return image
    paper = tuple(np.median(np.asarray(image)[:, -1], axis=0).astype(np.uint8).tolist())
    wide = Image.new("RGB", (width, image.height), paper)
    wide.paste(image, (0, 0))
    return wide
