"""Words of a corrected line in the boxes of the words that were recognized."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocrray.corpus.export.boxes import Box, bounding_box, direction_of, gap_between, split_box
from ocrray.corpus.export.projection import Change, changes_of, collapsed
from ocrray.records import Line, Word


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """One word of a line; `confidence` (0..1) is the recognizer's, None where it gave none or the word was corrected."""

    text: str
    box: Box | None = None
    confidence: float | None = None
    is_spaced: bool = True
    """A space follows, unless the line ends."""


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """One line as it is written: its words joined, where there are some, are its text."""

    text: str
    box: Box | None = None
    words: Sequence[PlacedWord] = ()


def box_of(item: Line | Word) -> Box | None:
    """Return the box of a line or word; None where it has none."""
    if item.left is None or item.top is None or item.right is None or item.bottom is None:
        return None
    return Box(item.left, item.top, item.right, item.bottom)


def placed_line(line: Line, new: str) -> PlacedLine:
    """Return `line` with the text `new` (one line).

    A word that did not change keeps box and confidence. A corrected word keeps its box. Where a correction splits or joins words,
    the boxes are divided in proportion to the characters, or joined; an inserted word stands in the gap. A line whose recognized
    words are not its text has no words.
    """
    text = collapsed(new)
    box = box_of(line)
    spans = _spans(line)
    if not text or not spans:
        return PlacedLine(text, box)
    words = _words(line, spans)
    if text != collapsed(line.text):
        words = _corrected(line, words, spans, text, box)
    return PlacedLine(text, box, words)


def text_of(words: Sequence[PlacedWord]) -> str:
    """Return the text of words in a line."""
    return "".join(word.text + " " * word.is_spaced for word in words).rstrip(" ")


def _spans(line: Line) -> list[tuple[int, int]]:
    """Return the spans of the words in the text of their line; none where words and text differ in more than white space."""
    spans: list[tuple[int, int]] = []
    end = 0
    for word in line.words:
        start = line.text.find(word.text, end)
        if start < 0 or not word.text or line.text[end:start].strip() or " " in word.text:
            return []
        end = start + len(word.text)
        spans.append((start, end))
    return [] if line.text[end:].strip() else spans


def _words(line: Line, spans: Sequence[tuple[int, int]]) -> list[PlacedWord]:
    starts = [start for start, _ in spans[1:]]
    spaced = [end < start for (_, end), start in zip(spans, starts, strict=False)]
    return [
        PlacedWord(word.text, box_of(word), word.confidence, is_spaced)
        for word, is_spaced in zip(line.words, [*spaced, True], strict=True)
    ]


def _corrected(
    line: Line, words: list[PlacedWord], spans: Sequence[tuple[int, int]], text: str, box: Box | None
) -> list[PlacedWord]:
    direction = direction_of([word.box for word in words if word.box], line.text)

    def made(change: Change) -> list[PlacedWord]:
        old = words[change.first : change.last]
        parts = change.text.split(" ") if change.text else []
        known = [word.box for word in old if word.box]
        if old:
            place = bounding_box(known) if known else None
        else:
            before = words[change.first - 1].box if change.first else None
            behind = words[change.first].box if change.first < len(words) else None
            place = gap_between(before, behind, box, direction)
        boxes = split_box(parts, place, direction) if place else [None] * len(parts)
        new = [PlacedWord(part, part_box) for part, part_box in zip(parts, boxes, strict=True)]
        if new and old:
            new[-1] = replace(new[-1], is_spaced=old[-1].is_spaced)
        return new

    corrected = list(words)
    for change in reversed(changes_of(line.text, spans, text)):
        corrected[change.first : change.last] = made(change)
        if change.first == change.last and change.first:  # an inserted word is a word of its own
            corrected[change.first - 1] = replace(corrected[change.first - 1], is_spaced=True)
    if text_of(corrected) == text:
        return corrected
    whole = box or bounding_box([word.box for word in words if word.box] or [Box(0, 0, 0, 0)])
    parts = text.split(" ")
    return [PlacedWord(part, place) for part, place in zip(parts, split_box(parts, whole, direction), strict=True)]
