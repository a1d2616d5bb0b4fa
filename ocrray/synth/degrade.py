"""Degrade a clean page image like old print, old paper and cheap scanning: seeded functions, and `degrade`, which chains them.

Lengths are tuned for body type of about 30 px (10 point at 200 dpi). The functions keep the image size, and all but `binarise`
return mode L.
"""

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageFilter


def degrade(
    image: Image.Image,
    *,
    severity: float,
    rng: np.random.Generator,
    mode: Literal["1", "L"] | None = None,
    verso: Image.Image | None = None,
) -> Image.Image:
    """Return a scan of `image` with damage of `severity` (0..1), in black and white (`mode` 1) or grey (L); None: one at random.

    `rng` draws the amount of each kind of damage. `verso` is the page printed on the back, which shows through; None: the page
    itself.

    Raises: ValueError: when `severity` is not in 0..1.
    """
    if not 0 <= severity <= 1:
        raise ValueError(f"severity is {severity}, not in 0..1")
    scan = image.convert("L")
    wear = (severity * rng.uniform(0.7, 1.0, size=4)).tolist()
    scan = transfer_ink(scan, weight=rng.uniform(-0.12, 0.75) * wear[0], roughness=0.83 * wear[1] ** 0.45, rng=rng)
    scan = speckle(scan, density=wear[2], rng=rng)
    scan = bleed_through(scan, verso or image, opacity=0.4 * wear[3] * rng.random())
    scan = tone_paper(scan, darkness=0.1 + 0.2 * severity * rng.random(), rng=rng)
    scan = light_unevenly(scan, fall_off=0.35 * severity * rng.random(), rng=rng)
    scan = skew(scan, angle_deg=severity * rng.uniform(-0.8, 0.8))
    scan = lower_resolution(scan, scale=1 - 0.5 * severity * rng.uniform(0.4, 1.0))
    if (mode or rng.choice(["1", "L"])) == "1":
        return binarise(scan, window_px=60)
    return compress(scan, quality=round(85 - 55 * severity * rng.random()))


def transfer_ink(image: Image.Image, *, weight: float, roughness: float, rng: np.random.Generator) -> Image.Image:
    """Simulate uneven inking: `weight` is the relative change of the inked area, `roughness` (0..1) frays the edges of letters.

    With a negative `weight` thin strokes break; with a positive one letters fill in and touch each other.
    """
    paper = _array(image.filter(ImageFilter.GaussianBlur(0.5 + 0.9 * roughness)))
    printed = np.clip((255 - _array(image.filter(ImageFilter.GaussianBlur(5)))) / 40, 0, 1)
    patches = 30 * _noise(image.size, 90, rng) + 22 * _noise(image.size, 12, rng)
    paper += printed * roughness * (patches + 60 * _noise(image.size, 2, rng))
    inked_frac = min(1.0, float(np.mean(_array(image) < 128)) * (1 + weight))
    # A blank page has no ink to set the level by; its paper must stay white.
    level = min(200.0, float(np.quantile(paper, inked_frac)))
    return _image(128 + (paper - level) * 2.2)


def speckle(image: Image.Image, *, density: float, rng: np.random.Generator) -> Image.Image:
    """Add dark and light specks of a few pixels, like dust and worn-off ink; `density` in 0..1."""
    spots = _noise(image.size, 3, rng)
    limit = 4.2 - 1.3 * density
    return _image(np.where(spots > limit, 25, np.where(spots < -limit, 245, _array(image))))


def bleed_through(image: Image.Image, verso: Image.Image, *, opacity: float) -> Image.Image:
    """Overlay the mirrored `verso`, blurred, as the print on the back shows through; `opacity` in 0..1."""
    back = Image.new("L", image.size, 255)
    mirrored = verso.convert("L").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Lines of the two sides do not coincide: shift the back by half a line.
    back.paste(mirrored, (7, 19))
    back = back.filter(ImageFilter.GaussianBlur(2))
    return ImageChops.multiply(image, back.point([round(255 - opacity * (255 - value)) for value in range(256)]))


def tone_paper(image: Image.Image, *, darkness: float, rng: np.random.Generator) -> Image.Image:
    """Darken the paper, with texture and stains, and fade the ink to grey; `darkness` in 0..1."""
    paper = 255 * (1 - darkness) + 14 * darkness * _noise(image.size, 120, rng) + 22 * darkness * _noise(image.size, 3, rng)
    ink = 25 + 60 * darkness
    return _image(ink + (paper - ink) * _array(image) / 255)


def light_unevenly(image: Image.Image, *, fall_off: float, rng: np.random.Generator) -> Image.Image:
    """Darken the page towards one random side, there by a fraction of `fall_off` (0..1)."""
    width, height = image.size
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    angle_rad = rng.uniform(0, 2 * np.pi)
    ramp = (1 + np.cos(angle_rad) * across + np.sin(angle_rad) * down) / 2
    return _image(_array(image) * (1 - fall_off * np.clip(ramp, 0, 1) ** 2))


def skew(image: Image.Image, *, angle_deg: float) -> Image.Image:
    """Rotate counter-clockwise by `angle_deg` degrees; the corners are filled with the median grey of the page."""
    return image.rotate(angle_deg, Image.Resampling.BICUBIC, fillcolor=int(np.median(_array(image))))


def lower_resolution(image: Image.Image, *, scale: float) -> Image.Image:
    """Downsample to `scale` (above 0, at most 1) of the resolution and enlarge again."""
    width, height = image.size
    small = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def binarise(image: Image.Image, *, window_px: int) -> Image.Image:
    """Binarise to mode 1: black where a pixel is darker than 0.78 of the mean within `window_px` pixels of it."""
    surroundings = image.filter(ImageFilter.BoxBlur(window_px))
    return Image.fromarray(_array(image) > 0.78 * _array(surroundings))


def compress(image: Image.Image, *, quality: int) -> Image.Image:
    """Compress as JPEG of `quality` 1..95 and decode again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("L")


def _noise(size: tuple[int, int], cell_px: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise, standard deviation near 1, features about `cell_px` wide: float32 of shape (height, width)."""
    width, height = size
    coarse = rng.standard_normal((height // cell_px + 2, width // cell_px + 2), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def _array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float32)


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
