"""A TextLine of ALTO being corrected."""

from collections.abc import Sequence

from lxml import etree

from ocrray.corpus.export.alto_document import NO_CONFIDENCE, NO_HYPHENATION, AltoDocument, Slot
from ocrray.corpus.export.boxes import Box, bounding_box, direction_of, gap_between, split_box
from ocrray.corpus.export.projection import Change, changes_of, collapsed, parts_of
from ocrray.sources.ocr_files import alto
from ocrray.sources.ocr_files.alto_text import join_tokens
from ocrray.sources.ocr_files.document import HYPHENS, number


class AltoLine:
    """Correction of one TextLine; `slots` are its future children."""

    def __init__(self, document: AltoDocument, element: etree._Element, text: str) -> None:
        self.document, self.element, self.text = document, element, text
        self.slots = [document.slot(child) for child in alto.line_parts(element)]
        self.before = tuple(self.slots)
        self.words: list[Slot] = []
        self.spans: list[tuple[int, int]] = []
        self.silent_hyphens: list[Slot] = []  # the String before them ends with the same hyphen
        self._read_slots()
        self.boxes = [_box_of(word.like) if word.kind == "String" else None for word in self.words]
        self.direction = direction_of([box for box in self.boxes if box], text)

    def _read_slots(self) -> None:
        """Find the words with their spans in the text; each space that no SP stands for becomes one, where the file has any."""
        tokens = [slot.token for slot in self.slots]
        pieces = join_tokens(tokens, file_has_spaces=self.document.has_spaces)
        joined = "".join(piece for _, piece in pieces)
        place = len(joined.lstrip()) - len(joined)
        slots: list[Slot] = []
        for index, piece in pieces:
            if index is None:
                slots += self._new_space(slots[-1], None, None)
            else:
                slots.append(slot := self.slots[index])
                if slot.kind == "HYP" and not piece:
                    self.silent_hyphens.append(slot)
                elif tokens[index].kind != "SP" and piece:
                    self.words.append(slot)
                    self.spans.append((max(place, 0), min(place + len(piece), len(self.text))))
            place += len(piece)
        self.slots = slots

    def correct(self, new: str) -> None:
        """Make the line read `new`."""
        if not any(word.kind == "String" for word in self.words):  # the line is only a hyphen
            self.slots = self.words[: bool(new)]
            self.words[0].attributes = {"CONTENT": new}
        else:
            self._correct_words(new)
        self.document.lines.append((self.before, self.slots))

    def _correct_words(self, new: str) -> None:
        # From the end, so that earlier indices stay valid.
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
        self._settle_hyphens(new)
        if all(slot.kind != "String" for slot in self.slots):  # a TextLine must hold one
            self._keep_empty_string()
        if self._read() != collapsed(new):
            self._rewrite(new)

    def _settle_hyphens(self, new: str) -> None:
        """Remove hyphens that the file wrote twice where the corrected line no longer ends with one."""
        last = next((word for word in reversed(self.words) if word.kind == "String"), None)
        if last is not None and self.text[-1:] in HYPHENS and new[-1:] not in HYPHENS:
            self.document.unhyphenated.add(last.like)
        if new[-1:] not in HYPHENS:
            self.slots = [slot for slot in self.slots if slot not in self.silent_hyphens]

    def _keep_empty_string(self) -> None:
        kept = next(slot for slot in self.before if slot.kind == "String")
        kept.attributes = {"CONTENT": "", **NO_CONFIDENCE, **NO_HYPHENATION}
        self.slots = [kept, *(slot for slot in self.slots if slot.kind == "HYP")]

    def _read(self) -> str:
        """Return what the line reads now."""
        pieces = join_tokens([slot.token for slot in self.slots], file_has_spaces=self.document.has_spaces)
        return collapsed("".join(piece for _, piece in pieces))

    def _rewrite(self, new: str) -> None:
        """Write every word of `new` as a String of its own, without HYP: always possible, but boxes are divided anew."""
        strings = [slot for slot in self.before if slot.kind == "String"]
        boxes = [box for box in map(_box_of, (slot.like for slot in strings)) if box]
        made = self._new_strings(strings[0], collapsed(new).split(" "), bounding_box(boxes) if boxes else None)
        strings[0].attributes = {name: value for name, value in made[0].attributes.items() if name != "ID"}
        self.slots = [strings[0], *made[1:]]
        for string in strings:
            self.document.heads[string.like] = self.document.tails[string.like] = None
        self.document.heads[strings[0].like] = strings[0]
        self.document.tails[strings[-1].like] = self.slots[-1]
        if new[-1:] not in HYPHENS:
            self.document.unhyphenated.add(strings[-1].like)

    def _with_hyphen(self, change: Change) -> Change:
        """Turn a HYP into text of a String where the word before it is deleted, because a HYP must follow a word."""
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
                self._join_hyphen(words[-2], words[-1])
                words, text = words[:-1], before
        strings = [word for word in words if word.kind == "String"]
        boxes = [box for word, box in zip(self.words, self.boxes, strict=True) if word in strings and box]
        parts = parts_of(text, [string.text for string in strings])
        new = self._new_strings(strings[0], parts, bounding_box(boxes) if boxes else None)
        if len(strings) == len(new) == 1:
            if text != strings[0].text:
                strings[0].attributes = {"CONTENT": text, **NO_CONFIDENCE}
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

    def _join_hyphen(self, word: Slot, hyphen: Slot) -> None:
        """Remove the spaces between a word and the hyphen behind it."""
        start, end = self.slots.index(word), self.slots.index(hyphen)
        self.slots[start + 1 : end] = [slot for slot in self.slots[start + 1 : end] if slot.kind != "SP"]

    def _new_strings(self, like: Slot, words: Sequence[str], place: Box | None) -> list[Slot]:
        """Return new strings in that place and, where the file has them, spaces between them."""
        places = split_box(words, place, self.direction) if place else [None] * len(words)
        made: list[Slot] = []
        for index, (word, box) in enumerate(zip(words, places, strict=True)):
            if made:
                made += self._new_space(like, places[index - 1], box)
            attributes = {"ID": None, "CONTENT": word, **NO_CONFIDENCE, **NO_HYPHENATION, **_attributes(box)}
            made.append(Slot(like.like, "String", attributes, is_new=True))
        return made

    def _new_space(self, like: Slot, before: Box | None, behind: Box | None) -> list[Slot]:
        if not self.document.has_spaces:
            return []
        room = gap_between(before, behind, None, self.direction) if before and behind else None
        attributes = {name: value for name, value in _attributes(room).items() if name != "HEIGHT"}
        return [Slot(like.like, "SP", attributes, is_new=True)]

    def _insert(self, change: Change) -> None:
        if change.first == len(self.words) and self.words[-1].kind == "HYP":
            self._set_hyphen(self.words[-1], f"{self.words[-1].text or '-'} {change.text}")
            return
        strings = [index for index, word in enumerate(self.words) if word.kind == "String"]
        before = next((index for index in reversed(strings) if index < change.first), None)
        behind = next((index for index in strings if index >= change.first), None)
        like = self.words[next(index for index in (before, behind) if index is not None)]
        left, right = (None if i is None else self.boxes[i] for i in (before, behind))
        new = self._new_strings(like, change.text.split(" "), gap_between(left, right, _box_of(self.element), self.direction))
        space = self._new_space(like, None, None)
        place = self.slots.index(like) + (before is not None)
        self.slots[place:place] = [*new, *space] if before is None else [*space, *new]

    def _set_hyphen(self, hyphen: Slot, text: str) -> None:
        if text:
            hyphen.attributes = {"CONTENT": text}
        else:
            self._delete([hyphen])

    def _delete(self, words: Sequence[Slot]) -> None:
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


def _box_of(element: etree._Element) -> Box | None:
    left, top, width, height = (number(element.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    return Box(left, top, left + width, top + height) if 0 <= left + top + width + height < 1e9 else None


def _attributes(box: Box | None) -> dict[str, str | None]:
    if box is None:
        return {}
    sides = {"HPOS": box.left, "VPOS": box.top, "WIDTH": box.right - box.left, "HEIGHT": box.bottom - box.top}
    return {name: f"{value:.10g}" for name, value in sides.items()}
