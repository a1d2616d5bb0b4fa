"""Blank pages, found in milliseconds, so that a recognizer need not read them; and pages that should not have been without text.

scipy.ndimage decides alike (grey_closing, maximum_filter1d) but takes 3 to 7 times as long as the windows below.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

_CELLS_ACROSS = 800  # of the shorter side: on a 300 dpi page a cell is as wide as a thin stroke, 3 px
_MAX_REDUCTION = 3  # px a cell; on large sheets, too, small print must not dissolve into its paper
_BACKGROUND_CELLS = 64  # a dark area wider than this in both directions is a border, a shadow or the sheet itself, not ink
_MARK_CELLS = 5  # the least height or length of a mark: a digit of 6 points is 6 cells high, a speck of dust 1 to 3
_WANDER_CELLS = 3  # strokes lean and curve
_MIN_CONTRAST = 16  # of 255
_INK_FRAC = 1e-6
_DARK = 48  # of 255: paper, even grey paper, is lighter
_MAX_GRAIN = 40  # mean difference of neighbours, of 255: of paper up to 25, of bits in the wrong order 85
_GRAIN_PX = 1500

# Arrays are cells of the reduced page: uint8 greys or booleans, (rows, columns).


def is_blank(image: Image.Image, below_ink_frac: float) -> bool:
    """Return whether marks at least as large as a small letter cover less than `below_ink_frac` (0..1) of the page.

    Marks are darker or lighter than their background: text, pictures and stains, but not specks, even greys, shadows and borders
    that touch the edge of the image.
    """
    reduction = min(_MAX_REDUCTION, max(1, min(image.size) // _CELLS_ACROSS))
    cells = np.asarray(image.convert("L").reduce(reduction))
    if min(cells.shape) < _MARK_CELLS:
        return True
    # Light marks count on dark pages only: between specks, a light background looks like marks itself.
    grounds = [cells, ~cells] if _median(cells) < 128 else [cells]
    return all(_ink_frac(ground) < below_ink_frac for ground in grounds)


def is_suspicious_without_text(image: Image.Image) -> bool:
    """Return whether a page on which no text was recognized needs a look: it has ink, or its pixels are no picture of paper.

    The latter are pages that are black all over and pages of noise, as wrong decoding leaves them.
    """
    grey = image.convert("L")
    if not is_blank(grey, _INK_FRAC) or _median(np.asarray(grey)) < _DARK:
        return True
    left, top = max(0, (grey.width - _GRAIN_PX) // 2), max(0, (grey.height - _GRAIN_PX) // 2)
    part = np.asarray(
        grey.crop((left, top, min(grey.width, left + _GRAIN_PX), min(grey.height, top + _GRAIN_PX))), dtype=np.int16
    )
    return bool(part.shape[1] > 1 and np.abs(np.diff(part, axis=1)).mean() > _MAX_GRAIN)


def ink_outside(image: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> float:
    """Return the share (0..1) of the page's marks that lie in none of `boxes` (left, top, right, bottom); 0 without marks.

    Each box is taken with a margin of a third of its shorter side.
    """
    cells = np.asarray(image.convert("L"))
    if min(cells.shape) < _MARK_CELLS:
        return 0.0
    cells = ~cells if _median(cells) < 128 else cells
    ink = (_background(cells) - cells) > _MIN_CONTRAST
    total = int(np.count_nonzero(ink))
    for left, top, right, bottom in boxes:
        margin = min(right - left, bottom - top) / 3
        ink[max(0, int(top - margin)) : int(bottom + margin) + 1, max(0, int(left - margin)) : int(right + margin) + 1] = False
    return int(np.count_nonzero(ink)) / total if total else 0.0


def _ink_frac(cells: np.ndarray) -> float:
    ink_depth = _background(cells) - cells
    ink = ink_depth > max(_MIN_CONTRAST, 2 * _median(ink_depth))  # the median: the paper's own grain
    return max(int(np.count_nonzero(_marked(ink, along))) for along in (0, 1)) / int(ink.size)


def _background(cells: np.ndarray) -> np.ndarray:
    """Return the page without its narrow dark parts: a grey-scale closing, with the edge repeated beyond the page."""
    closed = np.pad(cells, _BACKGROUND_CELLS, mode="edge")
    for extreme in (np.maximum, np.minimum):
        closed = _slide(extreme, _slide(extreme, closed, 0, _BACKGROUND_CELLS), 1, _BACKGROUND_CELLS)
    return closed[1 : 1 + cells.shape[0], 1 : 1 + cells.shape[1]]


def _marked(ink: np.ndarray, along: int) -> np.ndarray:
    """Return where ink is continuous for `_MARK_CELLS` along one axis, leaning or curved by no more than `_WANDER_CELLS`."""
    return _slide(np.logical_and, _slide(np.logical_or, ink, 1 - along, _WANDER_CELLS), along, _MARK_CELLS)


def _slide(combine: np.ufunc, cells: np.ndarray, axis: int, width: int) -> np.ndarray:
    """Apply `combine` to every window of `width` cells along `axis`, doubling the window while that fits."""
    cells = cells.swapaxes(0, axis)
    side = 1
    while side < width:
        step = min(side, width - side)
        cells = combine(cells[step:], cells[:-step])
        side += step
    return cells.swapaxes(0, axis)


def _median(cells: np.ndarray) -> float:
    return float(np.median(cells[::4, ::4]))  # every 16th cell is enough
