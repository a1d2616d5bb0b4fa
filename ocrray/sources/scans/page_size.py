"""Size of a page, known without decoding it."""

from dataclasses import dataclass

Matrix = tuple[float, float, float, float, float, float]
"""Affine map as PDF writes it: x' = a x + c y + e, y' = b x + d y + f."""


@dataclass(frozen=True, slots=True)
class PageSize:
    """Width and height in pixels of the upright page as it is stored; of a PDF page, as it is rendered for recognition."""

    width: int
    height: int
    dpi: tuple[float, float] | None = None
    """Resolution along x and y; None where the file states none that is plausible."""
    to_pdf: Matrix | None = None
    """Of a PDF page: from these pixels, y downwards, to the page's own coordinates."""
