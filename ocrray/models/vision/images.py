"""Conversion of images of any mode to RGB."""

import numpy as np
from PIL import Image

_WHITE = (255, 255, 255)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in RGB: 16-bit greys scaled to 8 bits, transparent pixels on white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_to_bytes(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", image.size, _WHITE)
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image.convert("RGB")


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Return grey values (height, width) as uint8; values beyond 255 are taken for 16 bits."""
    values = np.nan_to_num(pixels.astype(np.float32))
    if values.max(initial=0) > 255:
        values /= 257
    return values.clip(0, 255).round().astype(np.uint8)
