"""Corrections written into ALTO, versions 1 to 4.

A String whose text changes keeps its box, and loses its confidences (WC, CC) and glyphs, which were those of another text; the
other readings (ALTERNATIVE) stay. Where words are split or joined, their boxes are split in proportion to the characters, or
joined.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree

from ocrray.corpus.export.boxes import Box, around, between, direction_of, laid_out
from ocrray.corpus.export.history import Step
from ocrray.corpus.export.projection import HYPHENS, Change, changes_of, parts_of
from ocrray.corpus.export.source import Source, bare_tag, escaped, ids_of, new_id
from ocrray.sources import alto
from ocrray.sources.document import number
from ocrray.sources.xml_parse import local_name

_NO_CONFIDENCE = {"WC": None, "CC": None}
_NO_HYPHENATION = {"SUBS_TYPE": None, "SUBS_CONTENT": None}
_CONTRADICTED = {"Glyph": "CONTENT", "Shape": "HPOS"}
"""What inside a String is no longer true when an attribute changes."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A String, SP or HYP of a line as it will be: `like` with these attributes, or a new one that `like` is the example for."""

    like: etree._Element
    kind: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    is_new: bool = False

    @property
    def text(self) -> str:
        return self.attributes.get("CONTENT", self.like.get("CONTENT")) or ""


def read_lines(page: etree._Element) -> list[tuple[etree._Element, str]]:
    """The lines of a page, each with its text."""
    return [(element, line.text) for element, line in alto.read_lines(page)]


def write(source: Source, root: etree._Element, lines: Iterable[tuple[etree._Element, str, str]], step: Step) -> None:
    """Make each line (its element, its text) read as its new text, and note the step in the file's history."""
    document = _Document(source, root)
    for element, old, new in lines:
        _Line(document, element, old).correct(new)
    document.join_hyphenated(root)
    document.write()
    _note(source, root, step)


class _Document:
    """What becomes of the strings of a document."""

    def __init__(self, source: Source, root: etree._Element) -> None:
        self.source, self.gap = source, alto.string_gap(root)
        references = (reference.get("REF") or "" for reference in root.iter("{*}ElementRef"))
        self._referred = {identifier for reference in references for identifier in reference.split()}
        self._slots: dict[etree._Element, _Slot] = {}
        self.lines: list[tuple[Sequence[_Slot], Sequence[_Slot]]] = []  # before and after
        self.heads: dict[etree._Element, _Slot | None] = {}  # where the beginning of a string that was changed went
        self.tails: dict[etree._Element, _Slot | None] = {}  # where its end went
        self.unhyphenated: set[etree._Element] = set()  # those with no hyphen behind them any more

    def slot(self, element: etree._Element) -> _Slot:
        if element not in self._slots:
            self._slots[element] = _Slot(element, local_name(element))
        return self._slots[element]

    def join_hyphenated(self, root: etree._Element) -> None:
        """Let what the two halves of a hyphenated word say of the whole be true again."""
        for first, second in _hyphenated(root):
            if first not in self.tails and second not in self.heads and first not in self.unhyphenated:
                continue
            half, other = self.tails.get(first, self.slot(first)), self.heads.get(second, self.slot(second))
            if half is None or other is None or not half.text or not other.text or first in self.unhyphenated:
                for slot in filter(None, (half, other)):
                    slot.attributes |= _NO_HYPHENATION
                continue
            whole = _rejoined(first, second, half.text, other.text)
            half.attributes |= {"SUBS_TYPE": "HypPart1", "SUBS_CONTENT": whole}
            other.attributes |= {"SUBS_TYPE": "HypPart2", "SUBS_CONTENT": whole}

    def write(self) -> None:
        for before, after in self.lines:
            self._write_line(before, after)
        for slot in self._slots.values():
            if slot.attributes:
                self.source.set_attributes(slot.like, slot.attributes)
                for child in slot.like:
                    if local_name(child) in _CONTRADICTED and _CONTRADICTED[local_name(child)] in slot.attributes:
                        self.source.remove(child)

    def _write_line(self, before: Sequence[_Slot], after: Sequence[_Slot]) -> None:
        for slot in before:
            if slot in after:
                continue
            if slot.like.get("ID") in self._referred:  # a reading order that names it must find it
                slot.attributes = {"CONTENT": "", **_NO_CONFIDENCE, **_NO_HYPHENATION}
            else:
                slot.attributes.clear()
                self.source.remove(slot.like)
        if not after:
            return
        stays = next(slot for slot in after if not slot.is_new)
        start = self.source.tag(stays.like).start
        indent = self.source.indent(start)
        leading = True
        for slot in after:
            if not slot.is_new:
                place, leading = self.source.end(slot.like), False
            elif leading:
                self.source.splice(start, start, self._start_tag(slot) + indent)
            else:
                self.source.splice(place, place, indent + self._start_tag(slot))

    def _start_tag(self, slot: _Slot) -> str:
        tag = self.source.start_tag(slot.like, slot.attributes)
        if slot.kind == "SP":
            name = self.source.tag(slot.like).name
            tag = bare_tag(name.removesuffix("String") + "SP", slot.attributes)
        return tag if tag.endswith("/>") else f"{tag[:-1]}/>"


class _Line:
    """One TextLine being corrected; `slots` is what it will hold."""

    def __init__(self, document: _Document, element: etree._Element, text: str) -> None:
        self.document, self.element, self.text = document, element, text
        self.slots = [document.slot(child) for child in element if local_name(child) in ("String", "SP", "HYP")]
        self.before = tuple(self.slots)
        pieces = alto.pieces(element, document.gap)
        joined = "".join(piece for _, piece in pieces)
        place = len(joined.lstrip()) - len(joined)
        self.words: list[_Slot] = []
        self.spans: list[tuple[int, int]] = []
        for child, piece in pieces:
            if child is not None and local_name(child) != "SP":
                self.words.append(document.slot(child))
                self.spans.append((max(place, 0), min(place + len(piece), len(text))))
            place += len(piece)
        self.boxes = [_box(word.like) if word.kind == "String" else None for word in self.words]
        self.direction = direction_of([box for box in self.boxes if box], text)

    def correct(self, new: str) -> None:
        if not any(word.kind == "String" for word in self.words):  # a hyphen is all that the line has
            self.slots = [slot for slot in self.slots if slot not in self.words[bool(new) :]]
            self.words[0].attributes = {"CONTENT": new}
            self.document.lines.append((self.before, self.slots))
            return
        # From the end, so that the places of what comes before stay.
        for change in map(self._with_hyphen, reversed(changes_of(self.text, self.spans, new))):
            words = self.words[change.first : change.last]
            if not words:
                self._insert(change)
            elif not any(word.kind == "String" for word in words):
                self._set_hyphen(words[0], change.text)
            elif not change.text:
                self._delete(words)
            else:
                self._replace(change)
        if all(slot.kind != "String" for slot in self.slots):  # a TextLine must hold one
            kept = next(slot for slot in self.before if slot.kind == "String")
            kept.attributes = {"CONTENT": "", **_NO_CONFIDENCE, **_NO_HYPHENATION}
            self.slots = [kept, *(slot for slot in self.slots if slot.kind == "HYP")]
        self.document.lines.append((self.before, self.slots))

    def _with_hyphen(self, change: Change) -> Change:
        """A HYP cannot stand apart from a word: where the one before it goes, its text becomes that of a String."""
        first, last = change.first, change.last
        if change.text or not 0 < first < last < len(self.words) or self.words[last] not in self.slots:
            return change
        is_left_alone = self.words[last].kind == "HYP" and self.spans[first - 1][1] < self.spans[first][0]
        return Change(first, last + 1, self.words[last].text or "-") if is_left_alone else change

    def _replace(self, change: Change) -> None:
        words, text = self.words[change.first : change.last], change.text
        if words[-1].kind == "HYP":
            before = text.removesuffix(words[-1].text or "-")
            if before not in ("", text) and before == before.rstrip():
                words, text = words[:-1], before
        strings = [word for word in words if word.kind == "String"]
        boxes = [box for word, box in zip(self.words, self.boxes, strict=True) if word in strings and box]
        parts = parts_of(text, [string.text for string in strings])
        new = self._made(strings[0], parts, around(boxes) if boxes else None)
        if len(strings) == len(new) == 1:
            strings[0].attributes = {"CONTENT": text, **_NO_CONFIDENCE}
        else:
            strings[0].attributes = {name: value for name, value in new[0].attributes.items() if name != "ID"}
        new[0] = strings[0]
        start, end = self.slots.index(words[0]), self.slots.index(words[-1])
        self.slots[start : end + 1] = new
        for string in strings:
            self.document.heads[string.like] = self.document.tails[string.like] = None
        self.document.heads[strings[0].like] = new[0]
        self.document.tails[strings[-1].like] = new[-1]
        if words[-1].kind == "HYP":
            self.document.unhyphenated.add(strings[-1].like)

    def _made(self, like: _Slot, words: Sequence[str], place: Box | None) -> list[_Slot]:
        """New strings in that place with, where the file has such, the spaces between them."""
        places = laid_out(words, place, self.direction) if place else [None] * len(words)
        made: list[_Slot] = []
        for index, (word, box) in enumerate(zip(words, places, strict=True)):
            if made:
                made += self._space(like, places[index - 1], box)
            attributes = {"ID": None, "CONTENT": word, **_NO_CONFIDENCE, **_NO_HYPHENATION, **_attributes(box)}
            made.append(_Slot(like.like, "String", attributes, is_new=True))
        return made

    def _space(self, like: _Slot, before: Box | None, behind: Box | None) -> list[_Slot]:
        if self.document.gap:
            return []
        room = between(before, behind, None, self.direction) if before and behind else None
        attributes = {name: value for name, value in _attributes(room).items() if name != "HEIGHT"}
        return [_Slot(like.like, "SP", attributes, is_new=True)]

    def _insert(self, change: Change) -> None:
        if change.first == len(self.words) and self.words[-1].kind == "HYP":
            self._set_hyphen(self.words[-1], f"{self.words[-1].text or '-'} {change.text}")
            return
        before = next((i for i in range(change.first - 1, -1, -1) if self.words[i].kind == "String"), None)
        behind = next((i for i in range(change.first, len(self.words)) if self.words[i].kind == "String"), None)
        like = self.words[behind if before is None else before]
        left, right = (None if i is None else self.boxes[i] for i in (before, behind))
        new = self._made(like, change.text.split(" "), between(left, right, _box(self.element), self.direction))
        space = self._space(like, None, None)
        place = self.slots.index(like) + (before is not None)
        self.slots[place:place] = [*new, *space] if before is None else [*space, *new]

    def _set_hyphen(self, hyphen: _Slot, text: str) -> None:
        if text:
            hyphen.attributes = {"CONTENT": text}
        else:
            self._delete([hyphen])

    def _delete(self, words: Sequence[_Slot]) -> None:
        if words[-1].kind == "HYP" and (index := self.words.index(words[-1])):
            self.document.unhyphenated.add(self.words[index - 1].like)
        for word in words:
            self.document.heads[word.like] = self.document.tails[word.like] = None
        start, end = self.slots.index(words[0]), self.slots.index(words[-1]) + 1
        self.slots[start:end] = []
        follows = start < len(self.slots) and self.slots[start].kind
        if follows == "SP" and (start == 0 or self.slots[start - 1].kind == "SP"):
            del self.slots[start]
        elif follows in (False, "HYP") and start and self.slots[start - 1].kind == "SP":
            del self.slots[start - 1]


def _hyphenated(root: etree._Element) -> Iterator[tuple[etree._Element, etree._Element]]:
    """The two halves of each word that the file says is hyphenated."""
    first = None
    for string in root.iter("{*}String"):
        part = string.get("SUBS_TYPE")
        if part == "HypPart1":
            first = string
        elif part == "HypPart2" and first is not None:
            yield first, string
            first = None


def _rejoined(first: etree._Element, second: etree._Element, half: str, other: str) -> str:
    """The whole word of two new halves, with whatever the file put between the old ones."""
    whole = first.get("SUBS_CONTENT") or ""
    old_half, old_other = (first.get("CONTENT") or "").rstrip(HYPHENS), second.get("CONTENT") or ""
    middle = whole[len(old_half) : len(whole) - len(old_other)]
    if whole != old_half + middle + old_other:
        middle = ""
    return half.rstrip(HYPHENS) + middle + other


def _box(element: etree._Element) -> Box | None:
    left, top, width, height = (number(element.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    return Box(left, top, left + width, top + height) if 0 <= left + top + width + height < 1e9 else None


def _attributes(box: Box | None) -> dict[str, str | None]:
    if box is None:
        return {}
    sides = {"HPOS": box.left, "VPOS": box.top, "WIDTH": box.right - box.left, "HEIGHT": box.bottom - box.top}
    return {name: f"{value:.10g}" for name, value in sides.items()}


def _note(source: Source, root: etree._Element, step: Step) -> None:
    """A postProcessingStep at the end of the last OCRProcessing or, in ALTO 4, which gave those up, a Processing of its own."""
    description = root.find("{*}Description")
    if description is None:  # optional, but not without a unit of measurement, which nobody knows
        source.append(root, step.comment)
        return
    name = source.tag(description).name.removesuffix("Description")
    parts = (
        f"<{name}processingDateTime>{step.date}</{name}processingDateTime>"
        f"<{name}processingStepDescription>{escaped(step.description)}</{name}processingStepDescription>"
        f"<{name}processingSoftware><{name}softwareCreator>ocrray</{name}softwareCreator>"
        f"<{name}softwareName>ocrray</{name}softwareName>"
        f"<{name}softwareVersion>{escaped(step.version)}</{name}softwareVersion></{name}processingSoftware>"
    )
    processings = description.findall("{*}OCRProcessing")
    is_fourth = "ns-v4" in description.tag
    if processings and not is_fourth:
        source.append(processings[-1], f"<{name}postProcessingStep>{parts}</{name}postProcessingStep>")
        return
    identifier = new_id(ids_of(root), "ocrray")
    if is_fourth:
        source.append(description, f'<{name}Processing ID="{identifier}">{parts}</{name}Processing>')
    else:
        steps = f"<{name}ocrProcessingStep/><{name}postProcessingStep>{parts}</{name}postProcessingStep>"
        source.append(description, f'<{name}OCRProcessing ID="{identifier}">{steps}</{name}OCRProcessing>')
