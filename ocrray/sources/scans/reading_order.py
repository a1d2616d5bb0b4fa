"""Lines of a page from its words, in reading order: that of the file where it is plausible, otherwise by columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

_SAME_LINE_OVERLAP = 0.4  # of the lower word's height
_COLUMN_GAP_EMS = 1.5  # between words; within a justified line up to 1
_MIN_GUTTER_EMS = 0.9
_NARROW_GUTTER_EMS = 1.6  # below it the gap between columns must pass at least _MIN_ROWS lines
_MIN_ROWS = 3
_MIN_COLUMN_CHARS = 12  # a line on average; what is narrower is a column of a table, which is read row by row
_MAX_DEPTH = 8


class Span(NamedTuple):
    """Interval on one axis."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Placed:
    """Word on an upright page: `index` is its place in the order of the file, the box that of its ink."""

    index: int
    chars: int
    left: float
    top: float
    right: float
    bottom: float
    line_top: float
    line_bottom: float
    """Extent of its line, with ascenders and descenders: that of a comma is no smaller than that of a capital."""
    starts_line: bool = False
    """The file begins a new line with it."""

    @property
    def height(self) -> float:
        """Return the height, above 0."""
        return max(self.bottom - self.top, 1e-6)


Words = Sequence[Placed]


def lines_of(words: Words, *, right_to_left: bool = False) -> list[list[Placed]]:
    """Return the words of each line, lines and words in reading order."""
    if not words:
        return []
    em = median(word.height for word in words)
    lines = _lines_of_file(words, em, right_to_left)
    if all(_follows(_box(before), _box(after), right_to_left) for before, after in pairwise(lines)):
        return lines
    return [line for line in _by_columns(words, em, right_to_left, _MAX_DEPTH) if line]


def _lines_of_file(words: Words, em: float, right_to_left: bool) -> list[list[Placed]]:
    lines: list[list[Placed]] = []
    for word in words:
        if lines and not word.starts_line and _continues(lines[-1][-1], word, em, right_to_left):
            lines[-1].append(word)
        else:
            lines.append([word])
    return lines


def _continues(before: Placed, after: Placed, em: float, right_to_left: bool) -> bool:
    em = max(em, before.height, after.height)
    gap = before.left - after.right if right_to_left else after.left - before.right
    return _overlap(before, after) >= _SAME_LINE_OVERLAP and -em <= gap <= _COLUMN_GAP_EMS * em


def _overlap(one: Placed, other: Placed) -> float:
    """Return the common share of the extents of their lines, relative to the lower one; negative where they are apart."""
    common = min(one.line_bottom, other.line_bottom) - max(one.line_top, other.line_top)
    return common / max(min(one.line_bottom - one.line_top, other.line_bottom - other.line_top), 1e-6)


def _box(line: Words) -> Placed:
    return Placed(
        line[0].index,
        sum(word.chars for word in line),
        min(word.left for word in line),
        min(word.top for word in line),
        max(word.right for word in line),
        max(word.bottom for word in line),
        sum(word.line_top for word in line) / len(line),
        sum(word.line_bottom for word in line) / len(line),
    )


def _follows(before: Placed, after: Placed, right_to_left: bool) -> bool:
    """Return whether a line may come after another: below it, or above it at the head of the next column."""
    apart = after.left >= before.right or after.right <= before.left
    if _overlap(before, after) > 0.5:
        return not apart  # beside it: two columns, or two cells; within it: skewed lines
    is_below = after.line_top + after.line_bottom > before.line_top + before.line_bottom
    is_next = after.right <= before.left if right_to_left else after.left >= before.right
    return is_below or (apart and is_next)


def _by_columns(words: Words, em: float, right_to_left: bool, depth: int) -> list[list[Placed]]:
    extent = Span(min(word.left for word in words), max(word.right for word in words))
    lines: list[list[Placed]] = []
    for group, rivers in _groups(words, extent, _MIN_GUTTER_EMS * em):
        columns = _columns(group, rivers) if depth else [group]
        if len(columns) > 1 and _are_text(columns, rivers, em):
            for column in reversed(columns) if right_to_left else columns:
                lines += _by_columns(column, em, right_to_left, depth - 1)
        else:
            lines += _rows(group, right_to_left)
    return lines


def _groups(words: Words, extent: Span, min_gutter: float) -> list[tuple[list[Placed], list[Span]]]:
    """Return strips of the page from top to bottom, each with the white gaps that pass it from top to bottom."""
    groups: list[tuple[list[Placed], list[Span]]] = []
    for strip in _strips(words):
        gaps = _gaps(strip, extent, min_gutter)
        if groups:
            common = _common(groups[-1][1], gaps, min_gutter)
            joined = [*groups[-1][0], *strip]
            is_whole = not _inner(groups[-1][1], groups[-1][0]) and not _inner(gaps, strip)
            if _inner(common, joined) or is_whole:
                groups[-1] = joined, common
                continue
        groups.append((list(strip), gaps))
    return groups


def _strips(words: Words) -> list[list[Placed]]:
    strips: list[list[Placed]] = []
    bottom = float("-inf")
    for word in sorted(words, key=lambda word: word.top):
        if word.top < bottom:
            strips[-1].append(word)
        else:
            strips.append([word])
        bottom = max(bottom, word.bottom)
    return strips


def _gaps(words: Words, extent: Span, min_width: float) -> list[Span]:
    gaps, end = [], extent.start
    for word in sorted(words, key=lambda word: word.left):
        if word.left - end >= min_width:
            gaps.append(Span(end, word.left))
        end = max(end, word.right)
    if extent.end - end >= min_width:
        gaps.append(Span(end, extent.end))
    return gaps


def _common(one: Sequence[Span], other: Sequence[Span], min_width: float) -> list[Span]:
    spans = (Span(max(a.start, b.start), min(a.end, b.end)) for a in one for b in other)
    return sorted(span for span in spans if span.end - span.start >= min_width)


def _inner(gaps: Sequence[Span], words: Words) -> list[Span]:
    left, right = min(word.left for word in words), max(word.right for word in words)
    return [gap for gap in gaps if gap.start > left and gap.end < right]


def _columns(words: Words, rivers: Sequence[Span]) -> list[list[Placed]]:
    middles = [(gap.start + gap.end) / 2 for gap in _inner(rivers, words)]
    columns: list[list[Placed]] = [[] for _ in range(len(middles) + 1)]
    for word in words:
        columns[sum(word.left > middle for middle in middles)].append(word)
    return [column for column in columns if column]


def _are_text(columns: Sequence[Words], rivers: Sequence[Span], em: float) -> bool:
    """Return whether columns are of running text, not of a table."""
    narrowest = min(gap.end - gap.start for gap in rivers)
    for column in columns:
        rows = _rows(column, False)
        if len(rows) < (_MIN_ROWS if narrowest < _NARROW_GUTTER_EMS * em else 2):
            return False
        if sum(word.chars + 1 for word in column) / len(rows) < _MIN_COLUMN_CHARS:
            return False
    return True


def _rows(words: Words, right_to_left: bool) -> list[list[Placed]]:
    """Group words that stand side by side; the last word of a row decides, so that rows may be askew."""
    rows: list[list[Placed]] = []
    for word in sorted(words, key=lambda word: word.left):
        best = max(rows, key=lambda row: _overlap(row[-1], word), default=None)
        if best is not None and _overlap(best[-1], word) >= _SAME_LINE_OVERLAP:
            best.append(word)
        else:
            rows.append([word])
    rows.sort(key=lambda row: sum(word.line_top + word.line_bottom for word in row) / len(row))
    return [row[::-1] for row in rows] if right_to_left else rows
