"""Words of a corrected line in the boxes of the words that were recognized."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ocrray.corpus.export.boxes import Box, Direction, bounding_box, direction_of, gap_between, split_box
from ocrray.corpus.export.projection import Change, changes_of, collapsed
from ocrray.records import Line, Word

_SPACE = re.compile(r"[ \t\n]")


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """One word of a line; `confidence` (0..1) is the recognizer's, None where it gave none or the word was corrected."""

    text: str
    box: Box | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """One line as it is written: its words, where there are some, joined by spaces are its text."""

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
    the boxes are divided in proportion to the characters, or joined; an inserted word stands in the gap. Words without a space
    between them, as in Chinese, are one, because readers of the formats would put one there. A line whose recognized words are
    not its text has no words.
    """
    text = collapsed(new)
    box = box_of(line)
    spans = _spans(line)
    if not text or not spans:
        return PlacedLine(text, box)
    spans, words = _joined(line, spans)
    if text != collapsed(line.text):
        words = _corrected(line, words, spans, text, box)
    return PlacedLine(text, box, words)


def text_of(words: Sequence[PlacedWord]) -> str:
    """Return the text of words in a line."""
    return " ".join(word.text for word in words)


def _spans(line: Line) -> list[tuple[int, int]]:
    """Return the spans of the words in the text of their line; none where words and text differ in more than white space."""
    spans: list[tuple[int, int]] = []
    end = 0
    for word in line.words:
        start = line.text.find(word.text, end)
        if start < 0 or collapsed(line.text[end:start]) or not word.text or _SPACE.search(word.text):
            return []
        end = start + len(word.text)
        spans.append((start, end))
    return [] if collapsed(line.text[end:]) else spans


def _joined(line: Line, spans: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], list[PlacedWord]]:
    """Return the words with their spans, those that touch as one with the lowest of their confidences."""
    joined: list[tuple[int, int]] = []
    words: list[PlacedWord] = []
    for (start, end), word in zip(spans, line.words, strict=True):
        box, confidence = box_of(word), word.confidence
        if joined and joined[-1][1] == start:
            start, last = joined.pop()[0], words.pop()
            box = bounding_box([last.box, box]) if last.box and box else None
            confidence = None if last.confidence is None or confidence is None else min(last.confidence, confidence)
        joined.append((start, end))
        words.append(PlacedWord(line.text[start:end], box, confidence))
    return joined, words


def _corrected(
    line: Line, words: list[PlacedWord], spans: Sequence[tuple[int, int]], text: str, box: Box | None
) -> list[PlacedWord]:
    known = [word.box for word in words if word.box]
    direction = direction_of(known, line.text)

    def new_words(change: Change) -> list[PlacedWord]:
        old = words[change.first : change.last]
        parts = change.text.split(" ") if change.text else []
        if old:
            boxes = [word.box for word in old if word.box]
            place = bounding_box(boxes) if boxes else None
        else:
            before = words[change.first - 1].box if change.first else None
            behind = words[change.first].box if change.first < len(words) else None
            place = gap_between(before, behind, box, direction)
        return _divided(parts, place, direction)

    corrected = list(words)
    for change in reversed(changes_of(line.text, spans, text)):
        corrected[change.first : change.last] = new_words(change)
    if text_of(corrected) == text:
        return corrected
    return _divided(text.split(" "), bounding_box(known) if known else box, direction)


def _divided(parts: Sequence[str], place: Box | None, direction: Direction) -> list[PlacedWord]:
    boxes = split_box(parts, place, direction) if place else [None] * len(parts)
    return [PlacedWord(part, part_box) for part, part_box in zip(parts, boxes, strict=True)]
