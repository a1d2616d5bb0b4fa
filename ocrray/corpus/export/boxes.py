"""Boxes for words that the page did not have: parts of the boxes of the words in whose place they stand."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A place on a page, in the file's own unit from the top left."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Direction:
    """Which way words follow each other: along `x` or along `y`, towards larger numbers or `backwards`."""

    axis: int = 0  # 0 for x, 1 for y: where a Box has its lower end
    backwards: bool = False

    def part(self, box: Box, start: float, end: float) -> Box:
        """The part of `box` from `start` to `end`, fractions of its length in reading direction; inner edges are rounded."""
        low, high = box[self.axis], box[self.axis + 2]
        if self.backwards:
            start, end = 1 - end, 1 - start
        edges = list(box)
        edges[self.axis] = low if start <= 0 else min(max(round(low + start * (high - low)), low), high)
        edges[self.axis + 2] = high if end >= 1 else min(max(round(low + end * (high - low)), low), high)
        return Box(*edges)


def direction_of(boxes: Sequence[Box], text: str) -> Direction:
    """The direction in which words with these boxes, in the order of their text, are read; of a single one the script tells."""
    if len(boxes) > 1:
        first, last = boxes[0], boxes[-1]
        x = last.left + last.right - first.left - first.right
        y = last.top + last.bottom - first.top - first.bottom
        if x or y:
            return Direction(0, x < 0) if abs(x) >= abs(y) else Direction(1, y < 0)
    script = next((kind for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")), "L")
    return Direction(0, script != "L")


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of these."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def laid_out(words: Sequence[str], box: Box, direction: Direction) -> list[Box]:
    """A box for each word, in proportion to its characters, as if one space stood between two."""
    whole = max(1, sum(map(len, words)) + len(words) - 1)
    boxes, done = [], 0
    for word in words:
        boxes.append(direction.part(box, done / whole, (done + len(word)) / whole))
        done += len(word) + 1
    return boxes


def between(before: Box | None, behind: Box | None, line: Box | None, direction: Direction) -> Box | None:
    """The room between two neighbouring words, or between one and the end of its line; None where neither has a box.

    It may have no width: words on a page may touch, or overlap.
    """
    neighbour = before or behind
    if neighbour is None:
        return None
    axis = direction.axis
    start, end = (behind, before) if direction.backwards else (before, behind)
    edges = list(neighbour)
    low = start[axis + 2] if start else min(line[axis], end[axis]) if line else end[axis]
    high = end[axis] if end else max(line[axis + 2], start[axis + 2]) if line else start[axis + 2]
    middle = (low + high) / 2
    edges[axis], edges[axis + 2] = (low, high) if low <= high else (middle, middle)
    return Box(*edges)
