"""Entries of a day book: three to five fields on one line, twelve times as wide as high, for readers of lines.

Fields: some of no, date, name, item and total, in this order, without labels: their form tells which they are.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ocrray.synth.documents.sheet import Sheet, Type
from ocrray.synth.documents.words import ITEMS, SURNAMES, pick

SIZE_PX = (768, 64)

_VALUES: dict[str, Callable[[np.random.Generator], str]] = {
    "no": lambda rng: str(rng.integers(1, 1000)),
    "date": lambda rng: f"{rng.integers(1, 29)}.{rng.integers(1, 13)}.{rng.integers(1850, 2000)}",
    "name": lambda rng: f"{pick(('Mr', 'Mrs', 'Dr'), rng)} {pick(SURNAMES, rng)}",
    "item": lambda rng: pick(ITEMS, rng),
    "total": lambda rng: f"{rng.integers(1, 100)}.{rng.integers(100):02}",
}


def make(letters: Type, rng: np.random.Generator) -> tuple[Sheet, dict[str, Any]]:
    """Set one entry and return the sheet and its fields."""
    names = sorted(rng.permutation(len(_VALUES))[: int(rng.integers(3, 6))].tolist())
    fields = {name: _VALUES[name](rng) for name in (list(_VALUES)[index] for index in names)}
    sheet = Sheet(*SIZE_PX, replace(letters, size_px=36))
    wide = sum(sheet.width_of(value) for value in fields.values())
    start, gap = rng.uniform(8, 24), rng.uniform(18, 40)
    scale = min(1.0, (SIZE_PX[0] - start - gap * len(fields)) / wide)
    x, y = start, 44 + rng.uniform(-3, 3)
    for value in fields.values():
        sheet.text(x, y, value, scale=scale)
        x += sheet.width_of(value, scale) + gap
    return sheet, fields
