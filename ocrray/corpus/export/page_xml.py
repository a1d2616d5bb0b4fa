"""Write corrections into PAGE XML.

A line's text changes in its own TextEquiv, in those of its words, and in those of the regions around it that repeat it. A
changed TextEquiv loses its confidence and a changed word its glyphs, because they describe the old text; alternative readings
(a higher index) stay. Where words are split or joined, their boxes are divided in proportion to the characters, or joined, and
become rectangles.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from lxml import etree

from ocrray.corpus.export.boxes import Box, bounding_box, direction_of, gap_between, split_box
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.projection import Change, Offsets, aligned, changes_of, parts_of, transferred
from ocrray.corpus.export.source import Source, escaped, ids_of, new_id, quoted
from ocrray.errors import RecordError
from ocrray.sources.ocr_files import page_xml
from ocrray.sources.ocr_files.xml_parse import local_name

_RANGE = re.compile(r"offset:\s*(\d+)(\s*;\s*)length:\s*(\d+)")
_ORDER = re.compile(r"readingOrder\s*\{[^}]*\}")
_YEAR = re.compile(r"/(\d{4})-\d\d-\d\d$")


class Place(NamedTuple):
    """A TextLine, or one line (0-based `row`) of the text of a region."""

    element: etree._Element
    row: int | None


def read_lines(page: etree._Element) -> list[tuple[Place, str]]:
    """Return the lines of a page, each with its text."""
    return [(Place(element, row), line.text) for element, row, line in page_xml.read_lines(page)]


def write(source: Source, root: etree._Element, lines: Iterable[tuple[Place, str, str]], step: ProcessingStep) -> None:
    """Replace the old text of each `(place, old, new)` by the new one, and record the step in the file's metadata."""
    document = _Document(source, root)
    for (element, row), old, new in lines:
        if row is None:
            _Line(document, element, old).correct(new)
            document.lines[element] = (old, new)
        else:
            document.rows.setdefault(element, {})[row] = new
    for region, rows in document.rows.items():
        document.lines[region] = document.write_rows(region, rows)
    document.write_regions()
    _record(source, root, step)


@dataclass
class _Document:
    source: Source
    root: etree._Element
    lines: dict[etree._Element, tuple[str, str]] = field(default_factory=dict)  # before and after
    rows: dict[etree._Element, dict[int, str]] = field(default_factory=dict)

    @cached_property
    def ids(self) -> set[str]:
        """Ids in use: those of the file and of new words."""
        return ids_of(self.root)

    def set_text(self, element: etree._Element, text: str) -> None:
        """Set the text of a line, word or region in its TextEquiv, if it has one."""
        equivalent = page_xml.text_equiv(element)
        if equivalent is None:
            return
        if equivalent.get("conf") is not None:
            self.source.set_attributes(equivalent, {"conf": None})
        unicode, plain = equivalent.find("{*}Unicode"), equivalent.find("{*}PlainText")
        if unicode is None and plain is None:
            name = _prefix(self.source, equivalent)
            self.source.append(equivalent, f"<{name}Unicode>{escaped(text)}</{name}Unicode>")
        if unicode is not None:
            self._set_content(unicode, text)
        if plain is not None and (unicode is None or (plain.text or "").strip()):
            self._set_content(plain, text)
        if not text:  # an alternative reading would be read instead
            for other in element.iterchildren("{*}TextEquiv"):
                if other is not equivalent:
                    self.source.remove(other)

    def _set_content(self, element: etree._Element, text: str) -> None:
        if len(element):
            self.source.splice(self.source.tag(element).open_end, self.source.close(element), escaped(text))
        else:
            self.source.set_text(element, text)

    def write_rows(self, region: etree._Element, rows: Mapping[int, str]) -> tuple[str, str]:
        old = page_xml.own_text(region)
        new = "\n".join(rows.get(number, row) for number, row in enumerate(old.split("\n")))
        self.set_text(region, new)
        return old, new

    def write_regions(self) -> None:
        """Update the text of each region or other block that repeats a changed line."""
        of_blocks: dict[etree._Element, dict[etree._Element, str]] = {}  # lines inside each block, in reading order
        for element, row, _ in page_xml.read_lines(self.root):
            text = page_xml.line_text(element) if row is None else page_xml.own_text(element)
            for around in (element, *element.iterancestors()):
                of_blocks.setdefault(around, {})[element] = text
        for block, texts in of_blocks.items():
            if page_xml.is_line(block) or block in self.rows or self.lines.keys().isdisjoint(texts):
                continue
            if own := page_xml.own_text(block):
                pairs = (self.lines.get(element, (text, text)) for element, text in texts.items())
                old, new = ("\n".join(filter(None, side)) for side in zip(*pairs, strict=True))
                self.set_text(block, transferred(aligned(old, new), old, own))

    def shift_ranges(self, element: etree._Element, old: str, new: str) -> None:
        """Move the character ranges in Transkribus' `custom` attribute to the same characters of the new text."""
        custom = element.get("custom") or ""
        offsets = Offsets(aligned(old, new))

        def moved(match: re.Match[str]) -> str:
            first, last = (min(place, len(old)) for place in (int(match[1]), int(match[1]) + int(match[3])))
            start = offsets.after(first, insertion=True)
            return f"offset:{start}{match[2]}length:{max(0, offsets.after(last, insertion=False) - start)}"

        if (shifted := _RANGE.sub(moved, custom)) != custom:
            self.source.set_attributes(element, {"custom": shifted})


class _Line:
    """Correction of one TextLine."""

    def __init__(self, document: _Document, element: etree._Element, text: str) -> None:
        self.document, self.source, self.element, self.text = document, document.source, element, text
        found = [(word, page_xml.word_text(word)) for word in page_xml.words_of(element)]
        self.words = [child for child, word in found if word]
        self.texts = [word for _, word in found if word]
        self.boxes = [_box(word) for word in self.words]
        self.direction = direction_of([box for box in self.boxes if box], text)

    def correct(self, new: str) -> None:
        if page_xml.is_line(self.element):
            if page_xml.own_text(self.element):
                self.document.set_text(self.element, new)
            self.document.shift_ranges(self.element, self.text, new)
        if not self.words:
            return
        text, spans = self.text, _spans(self.text, self.texts)
        if spans is None:  # the words are another copy of the text than the line
            text = " ".join(self.texts)
            new = transferred(aligned(self.text, new), self.text, text) if new else ""
            spans = _spans(text, self.texts)
            if spans is None:
                raise RecordError("the words of a line cannot be found in its text", kind="not_traceable")
        for change in changes_of(text, spans, new):
            if change.first == change.last:
                self._insert(change)
            else:
                self._replace(change)

    def _replace(self, change: Change) -> None:
        words = self.words[change.first : change.last]
        parts = parts_of(change.text, self.texts[change.first : change.last]) if change.text else []
        for word in words[min(len(parts), 1) :]:
            self.source.remove(word)
        if not parts:
            return
        self._set_word(words[0], " ".join(self.texts[change.first : change.last]), parts[0])
        if len(words) == len(parts) == 1:
            return
        boxes = [box for box in self.boxes[change.first : change.last] if box]
        places = split_box(parts, bounding_box(boxes), self.direction) if boxes else [None] * len(parts)
        if places[0]:
            self._set_box(words[0], places[0])
        end = self.source.end(words[0])
        for part, place in zip(parts[1:], places[1:], strict=True):
            self.source.splice(end, end, self._new_word(words[0], part, place))

    def _insert(self, change: Change) -> None:
        before = change.first - 1 if change.first else None
        behind = change.first if change.first < len(self.words) else None
        like = self.words[max(change.first - 1, 0)]
        left, right = (None if i is None else self.boxes[i] for i in (before, behind))
        place = gap_between(left, right, _box(self.element), self.direction)
        parts = change.text.split(" ")
        places = split_box(parts, place, self.direction) if place else [None] * len(parts)
        start = self.source.tag(like).start
        at = start - len(self.source.indent(start)) if before is None else self.source.end(like)
        for part, box in zip(parts, places, strict=True):
            self.source.splice(at, at, self._new_word(like, part, box))

    def _set_word(self, word: etree._Element, old: str, text: str) -> None:
        glyphs = word.findall("{*}Glyph")
        for glyph in glyphs:
            self.source.remove(glyph)
        if page_xml.text_equiv(word) is not None:
            self.document.set_text(word, text)
        else:
            name = _prefix(self.source, word)
            place = self.source.end(glyphs[-1])
            indent = self.source.indent(self.source.tag(glyphs[-1]).start)
            self.source.splice(place, place, f"{indent}{_text_equiv(name, text)}")
        self.document.shift_ranges(word, old, text)

    def _set_box(self, word: etree._Element, box: Box) -> None:
        coords = word.find("{*}Coords")
        if coords is None:
            return
        if coords.get("points") is not None:
            self.source.set_attributes(coords, {"points": _points(box)})
        else:
            start, end = self.source.tag(coords[0]).start, self.source.end(coords[-1])
            self.source.splice(start, end, _point_elements(box, _prefix(self.source, word)))
        baseline = word.find("{*}Baseline")
        if baseline is not None:
            self.source.remove(baseline)

    def _new_word(self, like: etree._Element, text: str, box: Box | None) -> str:
        name = _prefix(self.source, like)
        indent = self.source.indent(self.source.tag(like).start)
        has_points = (coords := like.find("{*}Coords")) is None or coords.get("points") is not None
        # PAGE requires coordinates: an unknown box is an empty one.
        box = box or Box(0, 0, 0, 0)
        place = (
            f'<{name}Coords points="{_points(box)}"/>'
            if has_points
            else f"<{name}Coords>{_point_elements(box, name)}</{name}Coords>"
        )
        identifier = new_id(self.document.ids, like.get("id") or "word")
        order = _ORDER.search(like.get("custom") or "")  # words with the same index stay in document order
        tag = self.source.start_tag(like, {"id": identifier, "custom": order and order[0]})
        return (
            f"{indent}{tag.removesuffix('/>').removesuffix('>')}>{place}{_text_equiv(name, text)}</{self.source.tag(like).name}>"
        )


def _spans(line: str, words: Sequence[str]) -> list[tuple[int, int]] | None:
    """Return the spans of the words in the line, with or without white space between them; None if they are not all there."""
    spans: list[tuple[int, int]] = []
    place = 0
    for word in words:
        start = line.find(word, place)
        if start < 0 or line[place:start].strip():
            return None
        place = start + len(word)
        spans.append((start, place))
    return None if line[place:].strip() else spans


def _prefix(source: Source, element: etree._Element) -> str:
    return source.tag(element).name.removesuffix(local_name(element))


def _text_equiv(name: str, text: str) -> str:
    return f"<{name}TextEquiv><{name}Unicode>{escaped(text)}</{name}Unicode></{name}TextEquiv>"


def _corners(box: Box) -> list[tuple[int, int]]:
    left, top, right, bottom = map(round, box)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _points(box: Box) -> str:
    return " ".join(f"{x},{y}" for x, y in _corners(box))


def _point_elements(box: Box, name: str) -> str:
    return "".join(f'<{name}Point x="{x}" y="{y}"/>' for x, y in _corners(box))


def _box(element: etree._Element) -> Box | None:
    edges = [edge for edge in page_xml.box_of(element) if edge is not None]
    return Box(*edges) if edges else None


def _record(source: Source, root: etree._Element, step: ProcessingStep) -> None:
    """Set LastChange, and add a MetadataItem (PAGE since 2018) or a remark in Comments."""
    metadata = root.find("{*}Metadata")
    if metadata is None:  # invalid in every version of PAGE
        source.append(root, step.comment)
        return
    name = _prefix(source, metadata)
    last, comments = metadata.find("{*}LastChange"), metadata.find("{*}Comments")
    if last is not None:
        source.set_text(last, step.date)
    year = _YEAR.search(etree.QName(root).namespace or "")
    if year and int(year[1]) >= 2018:
        attributes = f'type="processingStep" name="post-correction" value={quoted(step.description)} date="{step.date}"'
        source.append(metadata, f"<{name}MetadataItem {attributes}/>")
    elif comments is not None:
        source.set_text(comments, "; ".join(filter(None, ((comments.text or "").strip(), step.description))))
    elif last is not None:
        place = source.end(last)
        indent = source.indent(source.tag(last).start)
        source.splice(place, place, f"{indent}<{name}Comments>{escaped(step.description)}</{name}Comments>")
