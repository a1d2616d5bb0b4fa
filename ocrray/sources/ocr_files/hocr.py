"""hOCR: HTML whose class and title attributes mark pages, lines and words and give their boxes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.ocr_files.document import NO_BOX, Box, Document, box, clean, confidence, number
from ocrray.sources.ocr_files.page_scope import Piece, by_index, elements_of, index_from, scope_of
from ocrray.sources.ocr_files.xml_parse import local_name

_LINES = {"ocr_line", "ocrx_line", "ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_pageno"}
_BLOCKS = {"ocr_page", "ocr_column", "ocr_carea", "ocr_par", "ocrx_block", "ocr_table"}
_WORDS = {"ocrx_word", "ocr_word"}
_INLINE = {"ocr_cinfo", "ocrx_cinfo", "ocr_glyph", "ocr_glyphs", "ocr_dropcap", "ocr_chem", "ocr_math"}
_NO_TEXT = {"head", "script", "style", "title"}
_HTML_BLOCKS = set(
    re.findall(
        r"\w+",
        "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer form"
        " h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol p pre section summary table tbody td tfoot th thead tr"
        " ul",
    )
)
"""Elements whose text a browser shows apart from the text before and behind them."""

CLASSES = re.compile(rb"ocr_page|ocr_line|ocrx_line|ocrx_word|ocr_carea|ocr-system")
"""Occurs in the head of a file that is hOCR, once its NULs (of UTF-16) are removed."""

_TEXTS = etree.XPath(
    "descendant::text()[not(ancestor::*[contains(' head script style title ', concat(' ', local-name(), ' '))])]"
)
_NUMBER = r"\s+([-+\d.eE]+)"
_BBOX = re.compile(r"(?:^|;)\s*bbox" + 4 * _NUMBER)
_CONFIDENCE = re.compile(r"(?:^|;)\s*x_wconf" + _NUMBER)
_ORDER = re.compile(r"(?:^|;)\s*order" + _NUMBER)
_IMAGE = re.compile(r"""(?:^|;)\s*(?:image|file)\s+(?:"([^"]*)"|'([^']*)'|([^;]*))""")
_WHITE = " \t\n\r\f"
_SPACE = re.compile(f"[{_WHITE}]+")

CHAR = "ocrx_cinfo"
"""Class of the element of a single character, and of those of Tesseract's alternatives for it."""


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return every `ocr_page` element; the root where there is none."""
    return [element for element in root.iter("{*}*") if "ocr_page" in _classes(element)] or [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page, words separated by a space; text outside any line becomes a line.

    Elements come in document order, or in that of the property `order` of their title among their siblings. Text outside every
    page is read with the page before it, or with the first one.
    """
    image = _IMAGE.search(page.get("title") or "")
    name = next(filter(None, image.groups()), "") if image else ""
    found = read_lines(page)
    return Document([placed.line for placed in found], clean(name) or None, _warnings(page, found))


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
    scope = scope_of(page, find_pages)
    reader = _Reader(page)
    for piece in scope.before:
        reader.read_piece(piece)
    reader.read(page)
    for piece in scope.behind:
        reader.read_piece(piece)
    return reader.finish()


@dataclass(slots=True)
class _Unit:
    """Open line or block; `parts` is its own text, without that of units inside it."""

    element: etree._Element
    is_line: bool
    parts: list[Part] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)


class _Reader:
    """Collects text into lines while it goes through the elements of a page."""

    def __init__(self, page: etree._Element) -> None:
        self._page = page
        self._lines: list[PlacedLine] = []
        self._units = [_Unit(page, is_line=bool(_classes(page) & _LINES))]
        self._word: etree._Element | None = None
        self._word_start = 0
        self._has_chars = self._has_choices = False

    def finish(self) -> list[PlacedLine]:
        """Return all lines."""
        self._finish_line()
        return self._lines

    def read_piece(self, piece: Piece) -> None:
        """Read text outside every page."""
        if piece.part == "element":
            self.read(piece.element)
        else:
            is_tail = piece.part == "tail"
            if not is_tail or local_name(piece.element) in _HTML_BLOCKS:
                self._finish_line()
            self._add(piece.element.tail if is_tail else piece.element.text, piece.element, is_tail=is_tail)

    def read(self, element: etree._Element) -> None:
        """Read an element with all in it, but no page inside."""
        name, classes = local_name(element), _classes(element)
        if name in _NO_TEXT or (self._word is not None and self._has_choices and _is_choices(element)):
            return
        if "ocr_page" in classes:
            self._finish_line()
            if element is not self._page:
                return
        is_unit = element is not self._page and self._begins_unit(name, classes)
        is_word = self._word is None and not is_unit and bool(classes & _WORDS)
        is_apart = is_unit or is_word or name == "br" or name in _HTML_BLOCKS
        if is_unit:
            self._finish_line()
            self._units.append(_Unit(element, is_line=bool(classes & _LINES)))
        elif is_apart:
            self._separate()
        if is_word:
            self._begin_word(element)
        self._add(element.text, element)
        for child in by_index(element, _order):
            self.read(child)
            self._add(child.tail, child, is_tail=True)
        if is_word:
            self._finish_word(element)
        if is_unit:
            self._finish_line()
            del self._units[-1]
        elif element is self._page:
            self._finish_line()
        elif name in _HTML_BLOCKS:
            self._separate()

    def _begins_unit(self, name: str, classes: set[str]) -> bool:
        if self._word is not None:
            return False
        if classes & (_LINES | _BLOCKS):
            return True
        if self._units[-1].is_line:
            return False
        is_known = any(re.match("ocrx?_", known) for known in classes - _WORDS - _INLINE)
        return is_known or (name in _HTML_BLOCKS and not classes & (_WORDS | _INLINE))

    def _separate(self) -> None:
        """Put a space between two words or blocks of a line, where the file has none."""
        parts = self._units[-1].parts
        if parts and not parts[-1].text[-1].isspace():
            parts.append(Part(" ", word=self._word))

    def _begin_word(self, element: etree._Element) -> None:
        self._word, self._word_start = element, len(self._units[-1].parts)
        self._has_chars = any(CHAR in _classes(inner) for inner in element.iterdescendants("{*}*"))
        self._has_choices = self._has_chars and _has_text_beside_choices(element)

    def _is_indentation(self, text: str, element: etree._Element, *, is_tail: bool) -> bool:
        """Return whether this is white space between the characters of a word that have elements of their own."""
        if self._word is None or not self._has_chars or text.strip(_WHITE):
            return False
        holder = element.getparent() if is_tail else element
        return holder is None or CHAR not in _classes(holder)

    def _add(self, text: str | None, element: etree._Element, *, is_tail: bool = False) -> None:
        if text and not self._is_indentation(text, element, is_tail=is_tail):
            self._units[-1].parts.append(Part(text, element, is_tail, self._word))

    def _finish_word(self, element: etree._Element) -> None:
        unit = self._units[-1]
        if text := collapsed(unit.parts[self._word_start :]):
            unit.words.append(Word(text, *box_of(element), _confidence(element)))
        self._word = None

    def _finish_line(self) -> None:
        """Turn the text of the innermost unit so far into a line, if there is any."""
        unit = self._units[-1]
        if text := collapsed(unit.parts):
            place = box_of(unit.element) if unit.is_line else NO_BOX
            line = Line(text, *place, _confidence(unit.element), tuple(unit.words))
            self._lines.append(PlacedLine(unit.element, line, unit.parts))
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


def _order(element: etree._Element) -> float | None:
    match = _ORDER.search(element.get("title") or "")
    return index_from(match[1]) if match else None


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


def _warnings(page: etree._Element, found: list[PlacedLine]) -> Sequence[str]:
    """Return `text_not_read` if text of the page, or outside every page, is in no line."""
    read = {(part.element, part.is_tail) for placed in found for part in placed.parts}
    scope = scope_of(page, find_pages)
    inner = {element for element in page.iterdescendants("{*}*") if "ocr_page" in _classes(element)}
    texts = [text for top in elements_of(page, scope) for text in cast(list[etree._ElementUnicodeResult], _TEXTS(top))]
    places = [(text.getparent(), text.is_tail) for text in texts if text.strip()]
    for piece in (*scope.before, *scope.behind):
        is_tail = piece.part == "tail"
        if piece.part != "element" and ((piece.element.tail if is_tail else piece.element.text) or "").strip():
            places.append((piece.element, is_tail))
    unread = (element for element, is_tail in places if (element, is_tail) not in read)
    return ("text_not_read",) if any(element is not None and not _is_elsewhere(element, inner) for element in unread) else ()


def _is_elsewhere(element: etree._Element, pages: set[etree._Element]) -> bool:
    """Return whether an element is inside a page that is read by itself, or is an alternative for characters of a word."""
    return any(around in pages or _is_choices(around) for around in (element, *element.iterancestors()))
