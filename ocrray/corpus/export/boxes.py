"""Boxes for new words, computed from the boxes of the words that they replace."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle on a page, in the file's own unit from the top left."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Direction:
    """Reading direction of words: along x or y, towards larger coordinates or `backwards`."""

    axis: int = 0  # 0 for x, 1 for y: where a Box has its lower end
    backwards: bool = False

    def part(self, box: Box, start: float, end: float) -> Box:
        """Return the part of `box` from `start` to `end`, fractions in reading direction; inner edges are rounded."""
        low, high = box[self.axis], box[self.axis + 2]
        if self.backwards:
            start, end = 1 - end, 1 - start
        edges = list(box)
        edges[self.axis] = low if start <= 0 else min(max(round(low + start * (high - low)), low), high)
        edges[self.axis + 2] = high if end >= 1 else min(max(round(low + end * (high - low)), low), high)
        return Box(*edges)


def direction_of(boxes: Sequence[Box], text: str) -> Direction:
    """Return the reading direction of words from their boxes in text order; for a single box, from the script of `text`."""
    if len(boxes) > 1:
        first, last = boxes[0], boxes[-1]
        x = last.left + last.right - first.left - first.right
        y = last.top + last.bottom - first.top - first.bottom
        if x or y:
            return Direction(0, x < 0) if abs(x) >= abs(y) else Direction(1, y < 0)
    script = next((kind for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")), "L")
    return Direction(0, script != "L")


def bounding_box(boxes: Sequence[Box]) -> Box:
    """Return the bounding box of `boxes`."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def split_box(words: Sequence[str], box: Box, direction: Direction) -> list[Box]:
    """Divide `box` among `words` in proportion to their characters, with one character of space between two words."""
    whole = max(1, sum(map(len, words)) + len(words) - 1)
    boxes, done = [], 0
    for word in words:
        boxes.append(direction.part(box, done / whole, (done + len(word)) / whole))
        done += len(word) + 1
    return boxes


def gap_between(before: Box | None, behind: Box | None, line: Box | None, direction: Direction) -> Box | None:
    """Return the gap between two neighbouring words, or between one word and the end of its line; None if neither has a box.

    The gap has no width where words touch or overlap.
    """
    neighbour = before or behind
    if neighbour is None:
        return None
    axis = direction.axis
    start, end = (behind, before) if direction.backwards else (before, behind)
    line = line or neighbour
    edges = list(neighbour)
    low = start[axis + 2] if start else min(line[axis], neighbour[axis])
    high = end[axis] if end else max(line[axis + 2], neighbour[axis + 2])
    middle = (low + high) / 2
    edges[axis], edges[axis + 2] = (low, high) if low <= high else (middle, middle)
    return Box(*edges)
