"""Small slips of three to five fields, a line each, twice as wide as high: for readers that are trained from nothing.

Fields: some of no, date, name, town, item, total, in the order in which they stand on the slip.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ocrray.synth.documents.sheet import Sheet, Type
from ocrray.synth.documents.words import ITEMS, SURNAMES, pick, town

SIZE_PX = (512, 256)

_VALUES: dict[str, Callable[[np.random.Generator], str]] = {
    "no": lambda rng: str(rng.integers(1, 10_000)),
    "date": lambda rng: f"{rng.integers(1, 29)}.{rng.integers(1, 13)}.{rng.integers(1850, 2000)}",
    "name": lambda rng: pick(SURNAMES, rng),
    "town": town,
    "item": lambda rng: pick(ITEMS, rng),
    "total": lambda rng: f"{rng.integers(1, 1000)}.{rng.integers(100):02}",
}
_LABELS = {
    "no": ("No.", "Number"),
    "date": ("Date", "Dated"),
    "name": ("Name", "Buyer"),
    "town": ("Town", "Place"),
    "item": ("Item", "Goods"),
    "total": ("Total", "Sum"),
}


def make(letters: Type, rng: np.random.Generator) -> tuple[Sheet, dict[str, Any]]:
    """Set one slip and return the sheet and its fields."""
    names = sorted(rng.permutation(len(_VALUES))[: int(rng.integers(3, 6))].tolist())
    fields = {name: _VALUES[name](rng) for name in (list(_VALUES)[index] for index in names)}
    sheet = Sheet(*SIZE_PX, replace(letters, size_px=30))
    pitch, left = 240 / len(fields), rng.uniform(15, 30)
    values_x = left + rng.uniform(115, 150)
    colon = pick(("", ":"), rng)
    for number, (name, value) in enumerate(fields.items()):
        y = 8 + pitch * (number + 0.5) + 11
        sheet.text(left, y, pick(_LABELS[name], rng) + colon, scale=0.9)
        sheet.fit(values_x, y, 500 - values_x, value)
    return sheet, fields
