"""Map corrected text to the lines of a page and the words of a line."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rapidfuzz.distance import Indel

from ocrray.errors import RecordError
from ocrray.records import Edit
from ocrray.sources.ocr_files.document import HYPHENS
from ocrray.text.edits import edits_between
from ocrray.text.limits import MAX_ALIGNED_CHARS
from ocrray.text.normalise import sanitise

_SPACES = re.compile(r"[ \t\n]+")
_WORD = re.compile(r"[^ \t\n]+")
_NOT_XML = re.compile(r"[\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Change:
    """Replacement of the words `first` (0-based) to `last` (exclusive) of a line by `text`: several words, one, or none.

    Where `last` equals `first`, `text` is inserted before the word `first`.
    """

    first: int
    last: int
    text: str


class Offsets:
    """Positions in a text before and after edits, which are in order."""

    def __init__(self, edits: Iterable[Edit]) -> None:
        self._edits = list(edits)
        self._starts = [edit.start for edit in self._edits]
        self._ends = [edit.end for edit in self._edits]
        moves = (edit.start + len(edit.corrected) - edit.end for edit in self._edits)
        self._moved = list(accumulate(moves, initial=0))  # shift after each edit

    def after(self, place: int, *, insertion: bool) -> int:
        """Return the new position of `place`: after an insertion at it if `insertion`; inside an edit, the end of that edit."""
        made = bisect_left(self._starts, place)
        if insertion and made < len(self._edits) and self._starts[made] == self._ends[made] == place:
            made += 1
        inside = made and max(0, self._ends[made - 1] - place)
        return place + self._moved[made] + inside

    def delete(self, start: int, end: int) -> bool:
        """Return whether the text from `start` to `end` is deleted without replacement."""
        last = bisect_right(self._starts, start) - 1
        return last >= 0 and end <= self._ends[last] and not self._edits[last].corrected

    def keep(self, start: int, end: int) -> bool:
        """Return whether no edit touches the text from `start` to `end` (or the position, if they are equal)."""
        following = bisect_right(self._ends, start)
        return following == len(self._edits) or self._starts[following] >= end


def printable(text: str) -> str:
    """Return text that an XML line can hold: one line, no control characters, no white space at the ends."""
    return _NOT_XML.sub("\ufffd", sanitise(text)).replace("\n", " ").strip()


def collapsed(text: str) -> str:
    """Replace every run of white space by one space and strip the ends."""
    return _SPACES.sub(" ", text).strip()


def corrected_lines(lines: Sequence[str], edits: Iterable[Edit]) -> list[str]:
    """Apply `edits` of the page's text (its lines joined by line feeds) and return the corrected lines.

    The number of lines does not change: an inserted line feed becomes a space, and where a correction joins two lines, the break
    stays where it was, with the hyphen before it if there was one.

    Raises: ValueError: when the edits do not belong to this text.
    """
    text = "\n".join(lines)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    changed: list[list[str]] = [[] for _ in lines or [""]]
    done = 0

    def append(rows: Sequence[str], at: int) -> None:
        first = bisect_right(starts, at, hi=len(changed)) - 1
        for row, part in enumerate(rows, first):
            changed[row].append(part)

    for edit in edits:
        if edit.start < done or text[edit.start : edit.end] != edit.raw:
            raise ValueError("the edits are not of this text")
        append(text[done : edit.start].split("\n"), done)
        append(_in_rows(edit.raw, edit.corrected, text[edit.start - 1 : edit.start], text[edit.end : edit.end + 1]), edit.start)
        done = edit.end
    append(text[done:].split("\n"), done)
    return [printable("".join(parts)) for parts in changed[: len(lines)]]


def _in_rows(raw: str, corrected: str, before: str, behind: str) -> list[str]:
    """Split `corrected` into as many rows as `raw` has; `before` and `behind` are the characters around it."""
    breaks = raw.count("\n")
    if breaks == 0:
        return [corrected.replace("\n", " ")]
    if breaks == corrected.count("\n"):
        return corrected.split("\n")
    rows: list[str] = []
    done = 0
    offsets = Offsets(edits_between(raw, corrected))
    for place in (match.start() for match in re.finditer("\n", raw)):
        end, start = offsets.after(place, insertion=True), offsets.after(place + 1, insertion=False)
        row = corrected[done:end]
        if not corrected[end:start].isspace():  # the break is gone, or something stands in its place
            start = end
            in_word = (before + corrected[:end])[-1:].isalnum() and (corrected[end:] + behind)[:1].isalnum()
            if in_word and place and raw[place - 1] in HYPHENS:
                row += raw[place - 1]
        rows.append(row)
        done = start
    return [row.replace("\n", " ") for row in (*rows, corrected[done:])]


def changes_of(line: str, words: Sequence[tuple[int, int]], corrected: str) -> list[Change]:
    """Return the changes to the words of a line (given by their spans in it) that make it read `corrected`.

    Two words are separate wherever the alignment leaves what is between them (white space or nothing) as it is; words between
    which it changes are in one Change. Unchanged words are in none.
    """
    offsets = Offsets(_edits_between_words(line, corrected))
    changes: list[Change] = []
    first, start = 0, 0
    for index in range(1, len(words) + 1):
        if index == len(words):
            end, following = len(corrected), len(corrected)
        else:
            gap, gap_end = words[index - 1][1], words[index][0]
            if not offsets.keep(gap, gap_end):
                continue
            end = offsets.after(gap, insertion=True)
            following = end if gap == gap_end else offsets.after(gap_end, insertion=False)
            if gap == gap_end and " " in corrected[max(0, end - 1) : end + 1]:
                continue  # words that touched no longer do
        changes += _change(line, words, first, index, corrected[start:end].strip(), offsets)
        first, start = index, following
    return changes


def aligned(text: str, other: str) -> list[Edit]:
    """Return the edits between two texts.

    Raises: RecordError: `too_large` for texts whose alignment would take minutes.
    """
    _require_short(text, other)
    return edits_between(text, other)


def _require_short(*texts: str) -> None:
    if max(map(len, texts)) > MAX_ALIGNED_CHARS:
        raise RecordError(f"a line or region of more than {MAX_ALIGNED_CHARS:,} characters", kind="too_large")


def parts_of(text: str, words: Sequence[str]) -> list[str]:
    """Split `text` into words, unless it replaces a single element that itself held several words."""
    return [text] if len(words) == 1 and " " in words[0] else text.split(" ")


def _edits_between_words(line: str, corrected: str) -> list[Edit]:
    """Return edits that turn `line` into `corrected` and keep as many whole words as possible."""
    _require_short(line, corrected)
    old, new = list(_WORD.finditer(line)), list(_WORD.finditer(corrected))
    edits: list[Edit] = []
    start, new_start = 0, 0
    pairs = [
        (old[op.src_start + i].span(), new[op.dest_start + i].span())
        for op in Indel.opcodes([word[0] for word in old], [word[0] for word in new])
        if op.tag == "equal"
        for i in range(op.src_end - op.src_start)
    ]
    for (end, following), (new_end, new_following) in [*pairs, ((len(line), 0), (len(corrected), 0))]:
        edits += (
            Edit(edit.start + start, edit.end + start, edit.raw, edit.corrected)
            for edit in edits_between(line[start:end], corrected[new_start:new_end])
        )
        start, new_start = following, new_following
    return edits


def _change(line: str, words: Sequence[tuple[int, int]], first: int, last: int, text: str, offsets: Offsets) -> list[Change]:
    """Return the changes that make these words `text`, without those at the ends that stay, and with deletions apart."""
    if text == line[words[first][0] : words[last - 1][1]]:
        return []

    def separated(index: int) -> bool:
        """Return whether a space or an end of the line is before the word of this index."""
        return index in (0, len(words)) or words[index - 1][1] < words[index][0]

    changes: list[Change] = []
    while first < last - 1 and separated(last) and offsets.delete(*words[last - 1]):
        last -= 1
        changes.append(Change(last, last + 1, ""))
    while first < last - 1 and separated(first) and offsets.delete(*words[first]):
        changes.append(Change(first, first + 1, ""))
        first += 1
    # Words that stay are separated by the spaces that are already there.
    while first < last and (rest := _without(text, line[slice(*words[first])], -1)) is not None:
        near, far = separated(first + 1), separated(last)
        if not (first + 1 == last or (near if rest else far or not near)):
            break
        first, text = first + 1, rest
    while first < last and (rest := _without(text, line[slice(*words[last - 1])], 1)) is not None:
        near, far = separated(last - 1), separated(first)
        if not (first + 1 == last or (near if rest else far or not near)):
            break
        last, text = last - 1, rest
    if text or first < last:
        changes.append(Change(first, last, collapsed(text)))
    return sorted(changes, key=lambda change: (change.first, change.last))


def _without(text: str, word: str, side: int) -> str | None:
    """Return `text` without this whole word at its start (`side` -1) or end (1); None if another word is there."""
    if text == word:
        return ""
    if side < 0:
        return text[len(word) :].strip() if text.startswith(f"{word} ") else None
    return text[: -len(word)].strip() if text.endswith(f" {word}") else None


def transferred(edits: Iterable[Edit], text: str, other: str) -> str:
    """Apply to `other`, a slightly different copy of `text`, those edits of `text` that can be located in it."""
    offsets = Offsets(aligned(text, other))
    made: list[str] = []
    done = 0
    for edit in edits:
        start = offsets.after(edit.start, insertion=True)
        end = max(start, offsets.after(edit.end, insertion=False))
        if offsets.keep(edit.start, edit.end) and start >= done and other[start:end] == edit.raw:
            made += [other[done:start], edit.corrected]
            done = end
    return "".join([*made, other[done:]])
