"""What is judged as one thing: the edits of a word, or of words that were joined, parted or rewritten together."""

from collections.abc import Sequence
from dataclasses import dataclass

from ocrray.records import Edit
from ocrray.text.edits import apply_edits


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]`, whole words, with its edits; it became `corrected`, which begins at `new_start` of the new text."""

    start: int
    end: int
    new_start: int
    raw: str
    corrected: str
    edits: Sequence[Edit]

    @property
    def new_end(self) -> int:
        """Where the span ends in the corrected text."""
        return self.new_start + len(self.corrected)


def spans_of(text: str, edits: Sequence[Edit]) -> list[Span]:
    """The edits of `text` (offsets into it, in order) gathered into spans: from white space that no edit touches to the next."""
    groups: list[tuple[int, int, list[Edit]]] = []
    for edit in edits:
        start = _word_start(text, edit.start)
        end = _word_end(text, edit.end)
        if groups and start <= groups[-1][1]:
            first, _, members = groups.pop()
            groups.append((first, max(end, edit.end), [*members, edit]))
        else:
            groups.append((start, end, [edit]))
    spans, grown = [], 0
    for start, end, members in groups:
        moved = [moved_by(edit, -start) for edit in members]
        corrected = apply_edits(text[start:end], moved)
        spans.append(Span(start, end, start + grown, text[start:end], corrected, members))
        grown += len(corrected) - (end - start)
    return spans


def moved_by(edit: Edit, offset: int) -> Edit:
    """The same edit of a text of which this one is a piece, or the other way round."""
    return Edit(edit.start + offset, edit.end + offset, edit.raw, edit.corrected, edit.probability)


def _word_start(text: str, position: int) -> int:
    while position > 0 and not text[position - 1].isspace():
        position -= 1
    return position


def _word_end(text: str, position: int) -> int:
    while position < len(text) and not text[position].isspace():
        position += 1
    return position
