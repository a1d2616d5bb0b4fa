"""hOCR: HTML whose class and title attributes mark pages, lines and words and give their boxes."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.document import NO_BOX, Box, Document, box, clean, confidence, number
from ocrray.sources.xml_parse import local_name

_LINES = {"ocr_line", "ocrx_line", "ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_pageno"}
_BLOCKS = {"ocr_page", "ocr_column", "ocr_carea", "ocr_par", "ocrx_block", "ocr_table"}
_WORDS = {"ocrx_word", "ocr_word"}
_NO_TEXT = {"head", "script", "style", "title"}

CLASSES = re.compile(rb"ocr_page|ocr_line|ocrx_line|ocrx_word|ocr_carea|ocr-system")
"""Occurs in the head of a file that is hOCR, once its NULs (of UTF-16) are removed."""

_NUMBER = r"\s+([-+\d.eE]+)"
_BBOX = re.compile(r"(?:^|;)\s*bbox" + 4 * _NUMBER)
_CONFIDENCE = re.compile(r"(?:^|;)\s*x_wconf" + _NUMBER)
_IMAGE = re.compile(r"""(?:^|;)\s*(?:image|file)\s+(?:"([^"]*)"|'([^']*)'|([^;]*))""")
_WHITE = " \t\n\r\f"
_SPACE = re.compile(f"[{_WHITE}]+")

CHAR = "ocrx_cinfo"
"""Class of the element of a single character, and of those of Tesseract's alternatives for it."""


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return every `ocr_page` element; the root where there is none."""
    return [element for element in root.iter("{*}*") if "ocr_page" in _classes(element)] or [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page in document order, words separated by a space; text outside any line becomes a line."""
    image = _IMAGE.search(page.get("title") or "")
    name = next(filter(None, image.groups()), "") if image else ""
    return Document([found.line for found in read_lines(page)], clean(name) or None)


class Part(NamedTuple):
    """Text of the file with its place: the `text` or the `tail` of an element (None for a space that the reader inserts between
    words), and the word element around it.
    """

    text: str
    element: etree._Element | None = None
    is_tail: bool = False
    word: etree._Element | None = None


class PlacedLine(NamedTuple):
    """Line with the line or block element that holds its text, and the parts of that text."""

    element: etree._Element
    line: Line
    parts: list[Part]


def read_lines(page: etree._Element) -> list[PlacedLine]:
    """Return the lines of one page that have text."""
    reader = _Reader()
    for event, element in etree.iterwalk(page, events=("start", "end")):
        if event == "start":
            reader.open(element)
        else:
            reader.close(element)
            if element is not page:
                reader.add(element.tail, element, is_tail=True)
    return reader.lines


@dataclass(slots=True)
class _Unit:
    """Open line or block; `parts` is its own text, without that of units inside it."""

    element: etree._Element
    is_line: bool
    parts: list[Part] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)


class _Reader:
    """Collects text into lines while the elements of a page open and close."""

    def __init__(self) -> None:
        self.lines: list[PlacedLine] = []
        self._units: list[_Unit] = []
        self._word: etree._Element | None = None
        self._word_start = 0
        self._has_chars = False
        self._has_choices = False
        self._choices: etree._Element | None = None

    def open(self, element: etree._Element) -> None:
        classes = _classes(element)
        if not self._units or (self._word is None and classes & (_LINES | _BLOCKS)):
            self._finish_line()
            self._units.append(_Unit(element, is_line=bool(classes & _LINES)))
        elif self._word is None and classes & _WORDS:
            self.add(" ")
            self._word = element
            self._word_start = len(self._units[-1].parts)
            self._has_chars = any(CHAR in _classes(inner) for inner in element.iter("{*}*"))
            self._has_choices = self._has_chars and _has_text_beside_choices(element)
        elif self._word is not None and self._has_choices and self._choices is None and _is_choices(element):
            self._choices = element
        if local_name(element) == "br":
            self.add(" ")
        elif local_name(element) not in _NO_TEXT:
            self.add(element.text, element)

    def add(self, text: str | None, element: etree._Element | None = None, *, is_tail: bool = False) -> None:
        if text and self._choices is None and not self._is_indentation(text, element, is_tail=is_tail):
            self._units[-1].parts.append(Part(text, element, is_tail, self._word))

    def _is_indentation(self, text: str, element: etree._Element | None, *, is_tail: bool) -> bool:
        """Return whether this is white space between the characters of a word that have elements of their own."""
        if self._word is None or not self._has_chars or element is None or text.strip(_WHITE):
            return False
        holder = element.getparent() if is_tail else element
        return holder is None or CHAR not in _classes(holder)

    def close(self, element: etree._Element) -> None:
        unit = self._units[-1]
        if element is self._choices:
            self._choices = None
        if element is self._word:
            text = collapsed(unit.parts[self._word_start :])
            if text:
                unit.words.append(Word(text, *box_of(element), _confidence(element)))
            self._word = None
        elif element is unit.element:
            self._finish_line()
            # The last unit is the page, whose tail is not part of it.
            del self._units[-1]

    def _finish_line(self) -> None:
        """Turn the text of the innermost unit so far into a line, if there is any."""
        if not self._units:
            return
        unit = self._units[-1]
        if text := collapsed(unit.parts):
            place = box_of(unit.element) if unit.is_line else NO_BOX
            line = Line(text, *place, _confidence(unit.element), tuple(unit.words))
            self.lines.append(PlacedLine(unit.element, line, unit.parts))
        unit.parts, unit.words = [], []


def _is_choices(element: etree._Element) -> bool:
    """Return whether an element in a word holds alternatives for its characters, as Tesseract's `lstm_choice_mode` gives them."""
    return bool(_classes(element) & {CHAR, "ocr_symbol"}) and any(CHAR in _classes(inner) for inner in element)


def _has_text_beside_choices(element: etree._Element) -> bool:
    if (element.text or "").strip(_WHITE):
        return True
    return any(
        (child.tail or "").strip(_WHITE) or (not _is_choices(child) and _has_text_beside_choices(child)) for child in element
    )


def _classes(element: etree._Element) -> set[str]:
    return set((element.get("class") or "").split())


def collapsed(parts: list[Part]) -> str:
    """Return the text of these parts as a line holds it."""
    return clean(_SPACE.sub(" ", "".join(part.text for part in parts)))


def box_of(element: etree._Element) -> Box:
    """Return the box in the title of an element; NO_BOX if there is none."""
    match = _BBOX.search(element.get("title") or "")
    return box(*map(number, match.groups())) if match else NO_BOX


def _confidence(element: etree._Element) -> float | None:
    match = _CONFIDENCE.search(element.get("title") or "")
    return confidence(match[1], best=100.0) if match else None
