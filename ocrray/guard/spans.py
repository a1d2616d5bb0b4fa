"""Spans, the unit of judgement: the edits of one word, or of words that were joined, split or rewritten together."""

from collections.abc import Sequence
from dataclasses import dataclass

from ocrray.records import Edit
from ocrray.text.edits import apply_edits


@dataclass(frozen=True, slots=True)
class Span:
    """Whole words `text[start:end]` and their edits."""

    start: int
    end: int
    new_start: int
    """Offset of the span in the corrected text."""
    raw: str
    corrected: str
    edits: Sequence[Edit]
    """Offsets are those of the whole text."""

    @property
    def new_end(self) -> int:
        """End offset of the span in the corrected text."""
        return self.new_start + len(self.corrected)


def spans_of(text: str, edits: Sequence[Edit]) -> list[Span]:
    """Group the edits of `text` (in order, not overlapping) into spans, each delimited by white space that no edit touches."""
    groups: list[tuple[int, int, list[Edit]]] = []
    for edit in edits:
        start = _word_start(text, edit.start)
        end = _word_end(text, edit.end)
        if groups and start <= groups[-1][1]:
            first, _, members = groups.pop()
            groups.append((first, max(end, edit.end), [*members, edit]))
        else:
            groups.append((start, end, [edit]))
    spans, growth_chars = [], 0
    for start, end, members in groups:
        corrected = apply_edits(text[start:end], [shifted(edit, -start) for edit in members])
        spans.append(Span(start, end, start + growth_chars, text[start:end], corrected, members))
        growth_chars += len(corrected) - (end - start)
    return spans


def shifted(edit: Edit, offset: int) -> Edit:
    """Return the edit with `offset` added to its start and end."""
    return Edit(edit.start + offset, edit.end + offset, edit.raw, edit.corrected, edit.probability)


def _word_start(text: str, position: int) -> int:
    while position > 0 and not text[position - 1].isspace():
        position -= 1
    return position


def _word_end(text: str, position: int) -> int:
    while position < len(text) and not text[position].isspace():
        position += 1
    return position
