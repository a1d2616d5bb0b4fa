"""Result type of the OCR file formats, and their common rules for text, boxes and confidences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

from ocrray.records import Line, Word
from ocrray.text.normalise import sanitise

Box = tuple[int | None, int | None, int | None, int | None]
"""left, top, right, bottom, in the file's own unit; all None if the file has no usable box."""

NO_BOX: Box = (None, None, None, None)
HYPHENS = "-=\u00ac\u00ad\u2010\u2011\u2e17"
"""Marks of a word that goes on in the next line."""
_MAX_COORDINATE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Document:
    """One page of an OCR file: its lines in reading order, the name of its scan as the file has it, and names of warnings."""

    lines: list[Line]
    image_name: str | None
    warnings: Sequence[str] = ()
    divisions: Mapping[int, str | None] = field(default_factory=dict)
    """Lines (by index) at whose end the file says that a word is divided: the whole word, empty if it is not given, None if the
    second half is not on the next line."""


def clean(text: str) -> str:
    """Return text as a line or word holds it: sanitised, without line feeds and outer white space."""
    return sanitise(text).replace("\n", " ").strip()


def number(text: str | None) -> float:
    """Parse a number from an attribute; NaN if it is missing or no number."""
    try:
        return float(text) if text is not None else nan
    except ValueError:
        return nan


def box(left: float, top: float, right: float, bottom: float) -> Box:
    """Return the rounded box; NO_BOX when a coordinate is NaN, negative, reversed or beyond int32."""
    if 0 <= left <= right <= _MAX_COORDINATE and 0 <= top <= bottom <= _MAX_COORDINATE:
        return round(left), round(top), round(right), round(bottom)
    return NO_BOX


def bounding_box(points: Sequence[tuple[float, float]]) -> Box:
    """Return the smallest box around `points` (x, y); NO_BOX if there are none or one is not a valid place on a page."""
    if not points:
        return NO_BOX
    xs, ys = zip(*points, strict=True)
    # A NaN would be lost in min() and max(), but never in a sum.
    return box(min(xs), min(ys), max(xs), max(ys)) if sum(xs) + sum(ys) >= 0 else NO_BOX


def around(words: Sequence[Word]) -> Box:
    """Return the smallest box around the words that have one; NO_BOX if none has."""
    points = [(x, y) for word in words for x, y in ((word.left, word.top), (word.right, word.bottom))]
    return bounding_box([(x, y) for x, y in points if x is not None and y is not None])


def confidence(text: str | None, best: float = 1.0) -> float | None:
    """Return a confidence in 0..1 from a number in 0..`best`; None if it is missing or out of range."""
    value = number(text) / best
    return value if 0 <= value <= 1 else None
