"""A text and its edits as segments for display."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ocrray.records import Edit

_CONTEXT_CHARS = 160
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of text; the text of a `gap` describes what was omitted."""

    kind: Literal["equal", "deleted", "inserted", "gap"]
    text: str

    @property
    def visible(self) -> str:
        """Text in which, inside an edit, line feeds and lone spaces are made visible."""
        if self.kind in ("equal", "gap"):
            return self.text
        marked = self.text.replace("\n", "↵\n")
        return marked.replace(" ", "␣") if self.text.isspace() else marked


def segments(raw: str, edits: Sequence[Edit], max_chars: int) -> list[Segment]:
    """Return `raw` with its `edits`, shortened to about `max_chars` characters: first in unchanged passages, then at the end."""
    whole = list(_segments(raw, _whole_letters(raw, edits)))
    if sum(len(segment.text) for segment in whole) <= max_chars:
        return whole
    if not edits:
        return _cut(whole, max_chars)
    return _cut([part for segment in whole for part in _elided(segment)], max_chars)


def _whole_letters(raw: str, edits: Sequence[Edit]) -> Iterator[Edit]:
    """Widen edits to whole letters with their combining marks, which cannot be displayed separately."""
    floor = 0
    for index, edit in enumerate(edits):
        start, end = edit.start, edit.end
        ceiling = edits[index + 1].start if index + 1 < len(edits) else len(raw)
        if _is_mark(edit.corrected[:1]) and start > floor:
            start -= 1
        while start > floor and _is_mark(raw[start : start + 1]):
            start -= 1
        while end < ceiling and _is_mark(raw[end]):
            end += 1
        floor = end
        yield Edit(start, end, raw[start:end], raw[start : edit.start] + edit.corrected + raw[edit.end : end])


def _is_mark(char: str) -> bool:
    return bool(char) and (unicodedata.category(char).startswith("M") or char in _JOINERS)


def _segments(raw: str, edits: Iterator[Edit]) -> Iterator[Segment]:
    position = 0
    for edit in edits:
        if edit.start > position:
            yield Segment("equal", raw[position : edit.start])
        if edit.raw:
            yield Segment("deleted", edit.raw)
        if edit.corrected:
            yield Segment("inserted", edit.corrected)
        position = edit.end
    if position < len(raw):
        yield Segment("equal", raw[position:])


def _elided(segment: Segment) -> Iterator[Segment]:
    left_out = len(segment.text) - 2 * _CONTEXT_CHARS
    if segment.kind != "equal" or left_out <= _CONTEXT_CHARS:
        yield segment
        return
    yield Segment("equal", segment.text[:_CONTEXT_CHARS])
    yield Segment("gap", f"{left_out:,} unchanged characters")
    yield Segment("equal", segment.text[-_CONTEXT_CHARS:])


def _cut(whole: list[Segment], max_chars: int) -> list[Segment]:
    shown: list[Segment] = []
    remaining = max_chars
    for index, segment in enumerate(whole):
        if len(segment.text) > remaining:
            left_out = sum(len(rest.text) for rest in whole[index:] if rest.kind != "gap") - remaining
            return [*shown, Segment(segment.kind, segment.text[:remaining]), Segment("gap", f"{left_out:,} more characters")]
        shown.append(segment)
        remaining -= len(segment.text)
    return shown
