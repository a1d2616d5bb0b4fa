"""Write corrections into hOCR, well-formed or not.

A changed word keeps its box and mark-up and loses the properties of its old characters (x_wconf, x_confs, cuts, x_bboxes).
Where words are split or joined, their boxes are divided in proportion to the characters, or joined.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lxml import etree

from ocrray.corpus.export.boxes import Box, bounding_box, direction_of, gap_between, split_box
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.projection import Change, changes_of, parts_of
from ocrray.corpus.export.source import Source, empty_element, escaped
from ocrray.errors import RecordError
from ocrray.sources.ocr_files import hocr
from ocrray.sources.ocr_files.hocr import Part, PlacedLine
from ocrray.sources.ocr_files.xml_parse import local_name

_CHARACTER_PROPERTIES = re.compile(r"\s*(?:x_wconf|x_confs|x_bboxes|x_cost|cuts|nlp)\b")
_BBOX = re.compile(r"\s*bbox\b")


def read_lines(page: etree._Element) -> list[tuple[PlacedLine, str]]:
    """Return the lines of a page, each with its text."""
    return [(found, found.line.text) for found in hocr.read_lines(page)]


def write(source: Source, root: etree._Element, lines: Iterable[tuple[PlacedLine, str, str]], step: ProcessingStep) -> None:
    """Replace the old text of each `(line, old, new)` by the new one, and record the step in the file's head."""
    for found, old, new in lines:
        _Line(source, found, old).correct(new)
    _record(source, root, step)


@dataclass(slots=True, eq=False)
class _Atom:
    """A word, or text outside any word: its parts in the file and its span in the text of its line."""

    parts: list[Part]
    start: int
    end: int
    word: etree._Element | None
    box: Box | None


class _Line:
    """Correction of one line."""

    def __init__(self, source: Source, found: PlacedLine, text: str) -> None:
        self.source, self.element, self.text = source, found.element, text
        self.atoms: list[_Atom] = []
        place = 0
        for parts in _by_word(found.parts):
            own = hocr.collapsed(parts)
            place = text.find(own, place)
            if place < 0:
                raise RecordError("the words of a line are not those of its text", kind="not_traceable")
            word = parts[0].word
            self.atoms.append(_Atom(parts, place, place + len(own), word, None if word is None else _box(word)))
            place += len(own)
        self.direction = direction_of([atom.box for atom in self.atoms if atom.box], text)

    def correct(self, new: str) -> None:
        self.texts: dict[_Atom, str] = {}
        for change in changes_of(self.text, [(atom.start, atom.end) for atom in self.atoms], new):
            if change.first == change.last:
                self._insert(change)
            else:
                self._replace(change)
        for atom, text in self.texts.items():
            self._set_text(atom, text)

    def _replace(self, change: Change) -> None:
        atoms = self.atoms[change.first : change.last]
        keeps = next((atom for atom in atoms if atom.word is not None), atoms[0]) if change.text else None
        for atom in atoms:
            if atom is not keeps and atom.word is not None:
                self.source.splice(self.source.tag(atom.word).start, self.source.end(atom.word), "")
            elif atom is not keeps:
                self.texts[atom] = ""
        if keeps is None:
            return
        if keeps.word is None:
            self.texts[keeps] = change.text
            return
        parts = parts_of(change.text, [self.text[atom.start : atom.end] for atom in atoms])
        boxes = [atom.box for atom in atoms if atom.box]
        if len(atoms) == len(parts) == 1 or not boxes:
            places: Sequence[Box | None] = [keeps.box, *[None] * (len(parts) - 1)]
        else:
            places = split_box(parts, bounding_box(boxes), self.direction)
        self.source.set_attributes(keeps.word, {"title": _title(keeps.word, places[0])})
        self.texts[keeps] = parts[0]
        end = self.source.end(keeps.word)
        for part, place in zip(parts[1:], places[1:], strict=True):
            self.source.splice(end, end, self._new_word(keeps.word, part, place))

    def _insert(self, change: Change) -> None:
        before = self.atoms[change.first - 1] if change.first else None
        behind = self.atoms[change.first] if change.first < len(self.atoms) else None
        neighbour = before or behind
        if neighbour is None:
            raise RecordError("a line without text cannot be corrected", kind="not_traceable")
        word = neighbour.word
        if word is None:
            old = self.texts.get(neighbour, self.text[neighbour.start : neighbour.end])
            self.texts[neighbour] = f"{old} {change.text}" if before else f"{change.text} {old}"
            return
        parts = change.text.split(" ")
        gap = gap_between(before.box if before else None, behind.box if behind else None, _box(self.element), self.direction)
        places = split_box(parts, gap, self.direction) if gap else [None] * len(parts)
        for part, box in zip(parts, places, strict=True):
            if before is not None:
                end = self.source.end(word)
                self.source.splice(end, end, self._new_word(word, part, box))
            else:
                start = self.source.tag(word).start
                self.source.splice(start, start, f"{self._new_word(word, part, box).lstrip()} ")

    def _set_text(self, atom: _Atom, text: str) -> None:
        """Write the text in place of the first old part; elements inside a word that mark single characters are removed."""
        if atom.word is not None and len([part for part in atom.parts if part.text.strip()]) > 1:
            self.source.splice(self.source.tag(atom.word).open_end, self.source.close(atom.word), escaped(text))
            return
        for part in atom.parts:
            stripped = part.text.strip()
            if stripped and part.element is not None:
                lead, trail = part.text.split(stripped, 1) if text else (" ", "")
                self.source.set_text(part.element, f"{lead}{text}{trail}", is_tail=part.is_tail)
                text = ""

    def _new_word(self, like: etree._Element, text: str, box: Box | None) -> str:
        tag = self.source.tag(like)
        start = self.source.start_tag(like, {"id": None, "title": _title(like, box)})
        return f"{self.source.indent(tag.start) or ' '}{start}{escaped(text)}</{tag.name}>"


def _by_word(parts: Iterable[Part]) -> list[list[Part]]:
    """Return the parts that are text, grouped by word."""
    found: list[list[Part]] = []
    for part in parts:
        if part.element is None or not (hocr.collapsed([part]) or part.word is not None):
            continue
        if found and part.word is not None and found[-1][0].word is part.word:
            found[-1].append(part)
        else:
            found.append([part])
    return [group for group in found if hocr.collapsed(group)]


def _box(element: etree._Element) -> Box | None:
    edges = [edge for edge in hocr.box_of(element) if edge is not None]
    return Box(*edges) if edges else None


def _title(word: etree._Element, box: Box | None) -> str | None:
    """Return the title of a word with this box and without the properties of its characters."""
    title = word.get("title")
    kept = [entry for entry in (title or "").split(";") if not _CHARACTER_PROPERTIES.match(entry)]
    if box is None:
        kept = [entry for entry in kept if not _BBOX.match(entry)]
    elif box != _box(word):
        place = " ".join(str(round(edge)) for edge in box)
        kept = [f"{match[0]} {place}" if (match := _BBOX.match(entry)) else entry for entry in kept]
    return ";".join(kept).strip() or None


def _record(source: Source, root: etree._Element, step: ProcessingStep) -> None:
    """Record the step in the meta element `ocr-system`; add the element, and a head for it, where the file has none."""
    system = next((element for element in root.iter("{*}meta") if (element.get("name") or "").lower() == "ocr-system"), None)
    head = next(root.iter("{*}head"), None)
    meta = empty_element("meta", {"name": "ocr-system", "content": step.line})
    if system is not None:
        source.set_attributes(system, {"content": "; ".join(filter(None, (system.get("content"), step.line)))})
    elif head is not None and head in source.tags:
        source.splice(source.tag(head).open_end, source.tag(head).open_end, meta)
    elif local_name(root) == "html" and root in source.tags:
        source.splice(source.tag(root).open_end, source.tag(root).open_end, f"<head><title></title>{meta}</head>")
    else:
        source.splice(len(source.text), len(source.text), step.comment)
