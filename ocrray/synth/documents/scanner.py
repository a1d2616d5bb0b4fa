"""Documents as they come from a scanner: folded once, degraded like old print, and not quite straight on a dark lid."""

import numpy as np
from PIL import Image

from ocrray.synth.degrade import degrade

_FOLD_PX = 4  # standard deviation of the shadow beside a fold


def scanned(sheet: Image.Image, severity: float, rng: np.random.Generator, *, folded: bool, lid: bool) -> Image.Image:
    """Return a scan (mode L) of a clean sheet; `severity` (0..1) is that of the damage, and of how carelessly it was scanned.

    `folded`: the sheet may have been folded, as letters are. `lid`: the dark lid of the scanner may be seen around it.
    """
    scan = degrade(sheet, severity=severity, rng=rng)
    grey = scan.convert("L")
    if folded and scan.mode == "L" and rng.random() < 0.4:
        grey = _folded(grey, int(rng.integers(1, 3)), severity, rng)
    if not lid or rng.random() >= 0.6 * severity:
        return grey
    return _on_lid(grey, 0 if scan.mode == "1" else int(rng.integers(5, 70)), severity, rng)


def _folded(image: Image.Image, folds: int, severity: float, rng: np.random.Generator) -> Image.Image:
    """Darken the paper along one fold in the middle, or along two that part the sheet into thirds."""
    values: np.ndarray = np.asarray(image, dtype=np.float32)
    rows = np.arange(image.height, dtype=np.float32)[:, None]
    for number in range(1, folds + 1):
        place = image.height * number / (folds + 1) + rng.normal(0, 6)
        crease = place + np.cumsum(rng.normal(0, 0.15, size=image.width)).astype(np.float32)  # no fold is quite straight
        shadow = np.exp(-(((rows - crease) / _FOLD_PX) ** 2))
        values = values * (1 - (0.08 + 0.2 * severity) * shadow)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _on_lid(image: Image.Image, dark: int, severity: float, rng: np.random.Generator) -> Image.Image:
    """Show a lid of this grey around the sheet, which lies askew."""
    edge_px = round(image.width * rng.uniform(0.01, 0.035))
    lid = Image.new("L", (image.width + 2 * edge_px, image.height + 2 * edge_px), dark)
    lid.paste(image, (edge_px, edge_px))
    return lid.rotate(rng.uniform(-1.2, 1.2) * severity, Image.Resampling.BICUBIC, fillcolor=dark)
