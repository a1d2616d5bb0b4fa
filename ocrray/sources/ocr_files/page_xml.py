"""PAGE XML (PRImA), 2009 to 2019, and its use by OCR-D."""

import re
from collections.abc import Iterator, Mapping
from math import inf
from typing import NamedTuple

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.ocr_files.document import NO_BOX, Box, Document, bounding_box, clean, confidence, number
from ocrray.sources.ocr_files.page_scope import by_index, index_from
from ocrray.sources.ocr_files.xml_parse import local_name, select

NO_BLOCKS = frozenset({"TextLine", "Word", "Glyph", "TextEquiv", "Coords", "Metadata", "ReadingOrder", "Roles", "TextStyle"})
"""Children of a page or block that are no blocks: every other one may hold lines."""
_PARTS_OF_LINE = {"Word", "Glyph", "Grapheme", "GraphemeGroup", "NonPrintingChar"}
# Text nodes where PAGE has none.
_STRAY_TEXT = etree.XPath(
    "descendant-or-self::*[text()[normalize-space()]]"
    "[not((local-name()='Unicode' or local-name()='PlainText') and local-name(..)='TextEquiv') and local-name()!='CornerPts']"
    "[not(ancestor::*[local-name()='Metadata' or local-name()='UserDefined' or local-name()='TextEquiv'])]"
)
_CUSTOM_INDEX = re.compile(r"readingOrder\s*\{[^}]*?\bindex\s*:\s*([-+.\d]+)")


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return the root, because the format allows one page a file: where there are several, they are read as one."""
    return [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page: what the file's ReadingOrder lists, then all else.

    Elements in the same parent come in the order of their row and column in a table, of their `index`, or of the index in their
    `custom` (`readingOrder {index:0;}`); else in document order. Of several TextEquiv with text the one with the lowest index is
    read; a line without any has its words' text, a word its glyphs'. A region or cell with text of its own, and none in any
    element inside it, gives one line for each line of its text. Text that is read in no such way is the warning `text_not_read`.
    """
    found = read_lines(page)
    name = next((element.get("imageFilename") for element in page.iter("{*}Page")), None)
    warnings = ("text_not_read",) if _has_unread_text(page, found) else ()
    return Document([placed.line for placed in found], clean(name or "") or None, warnings)


class PlacedLine(NamedTuple):
    """Line with its TextLine element, or with the region and the 0-based `row` in the region's text.

    Words outside every TextLine are a line whose element is their parent.
    """

    element: etree._Element
    row: int | None
    line: Line


def read_lines(page: etree._Element) -> list[PlacedLine]:
    """Return the lines of one page that have text."""
    return [found for block in _in_reading_order(page) for found in _lines_of_block(block) if found.line.text]


def _in_reading_order(page: etree._Element) -> Iterator[etree._Element]:
    blocks = list(_with_nested(page, frozenset()))
    by_id = {block.get("id"): block for block in blocks[1:] if block.get("id")}
    listed = (reference for order in page.iter("{*}ReadingOrder") for reference in _references(order, by_id))
    references = [reference for reference in listed if reference in by_id]
    named = frozenset(references)
    done: set[etree._Element] = set()
    for start in [by_id[reference] for reference in references] + blocks:
        if start not in done:
            found = list(_with_nested(start, named))
            done.update(found)
            yield from found


def _with_nested(element: etree._Element, named: frozenset[str]) -> Iterator[etree._Element]:
    """Yield the element and the blocks inside it, depth first, except those that the reading order lists itself."""
    yield element
    for child in by_index((child for child in element if local_name(child) not in NO_BLOCKS), position):
        if child.get("id") not in named:
            yield from _with_nested(child, named)


def _references(group: etree._Element, blocks: Mapping[str | None, etree._Element]) -> Iterator[str]:
    """Yield the ids that a group lists: by index, or where it is unordered by what the blocks say themselves."""
    if local_name(group).startswith("Ordered"):
        children = sorted(group, key=_index)
    else:
        named = {child: blocks.get(child.get("regionRef")) for child in group}
        children = by_index(group, lambda child: None if (block := named[child]) is None else position(block))
    for child in children:
        if reference := child.get("regionRef"):
            yield reference
        yield from _references(child, blocks)


def _index(element: etree._Element) -> float:
    index = index_from(element.get("index"))
    return inf if index is None else index


def position(element: etree._Element) -> tuple[float, float] | None:
    """Return the place of an element among its siblings, as far as it says one itself."""
    custom = _CUSTOM_INDEX.search(element.get("custom") or "")
    index = index_from(element.get("index"))
    if index is None and custom:
        index = index_from(custom[1])
    cell = element.find("{*}Roles/{*}TableCellRole")
    row, column = (element.get("row"), element.get("col")) if cell is None else (cell.get("rowIndex"), cell.get("columnIndex"))
    if (down := index_from(row)) is not None and (across := index_from(column)) is not None:
        return down, across
    return None if index is None else (index, 0)


def _lines_of_block(block: etree._Element) -> list[PlacedLine]:
    text, certainty = _text(block)
    if text and not _has_text_inside(block):
        rows = text.split("\n")
        place = box_of(block) if len(rows) == 1 else NO_BOX
        return [PlacedLine(block, number, Line(clean(row), *place, certainty)) for number, row in enumerate(rows)]
    lines = [PlacedLine(child, None, _line(child)) for child in block if local_name(child) == "TextLine"]
    if words := words_of(block):
        line = Line(line_text(block), words=tuple(word for word in map(_word, words) if word.text))
        lines.append(PlacedLine(block, None, line))
    return _in_line_order(lines, block)


def _has_text_inside(region: etree._Element) -> bool:
    inside = (child for child in region if local_name(child) != "TextEquiv")
    return any(
        "".join(map(str, text.itertext())).strip() for child in inside for text in child.iter("{*}Unicode", "{*}PlainText")
    )


def _in_line_order(lines: list[PlacedLine], region: etree._Element) -> list[PlacedLine]:
    """Sort lines by index; without any, by position where an upward or leftward order is declared, as producers differ there."""
    if any(position(found.element) is not None for found in lines if found.element is not region):
        return by_index(lines, lambda found: None if found.element is region else position(found.element))
    declared = (element.get("textLineOrder") for element in (region, *region.iterancestors()))
    order = next((value for value in declared if value), "")
    if order not in ("bottom-to-top", "right-to-left"):
        return lines
    ends = [found.line.bottom if order == "bottom-to-top" else found.line.right for found in lines]
    known = [end for end in ends if end is not None]
    if len(known) < len(lines):
        return lines
    return [lines[i] for i in sorted(range(len(lines)), key=lambda i: -known[i])]


def _line(element: etree._Element) -> Line:
    words = (_word(child) for child in words_of(element))
    return Line(line_text(element), *box_of(element), _text(element)[1], tuple(word for word in words if word.text))


def words_of(element: etree._Element) -> list[etree._Element]:
    """Return the words of a line in reading order."""
    inside = element.iterdescendants("{*}Word") if is_line(element) else element.iterchildren("{*}Word")
    return by_index(inside, position)


def line_text(element: etree._Element) -> str:
    """Return the text of a line: that of its TextLine, else that of its words."""
    own = clean(own_text(element)) if is_line(element) else ""
    return own or " ".join(filter(None, map(word_text, words_of(element))))


def is_line(element: etree._Element) -> bool:
    """Return whether the element's own text is that of one line; otherwise it is the text of a region."""
    return local_name(element) == "TextLine"


def _word(element: etree._Element) -> Word:
    return Word(word_text(element), *box_of(element), _text(element)[1])


def word_text(element: etree._Element) -> str:
    """Return the text of a Word: its own, else that of its glyphs."""
    text = own_text(element) or "".join(own_text(child) for child in element if local_name(child) == "Glyph")
    return clean(text)


def text_equiv(element: etree._Element) -> etree._Element | None:
    """Return the TextEquiv with the lowest index, of those with text if there are any; None if there is none."""
    found = element.findall("{*}TextEquiv")
    return found[0] if len(found) == 1 else min(found, key=lambda equiv: (not _content(equiv), _index(equiv)), default=None)


def own_text(element: etree._Element) -> str:
    """Return the element's own text; empty if it has none."""
    return _text(element)[0]


def _text(element: etree._Element) -> tuple[str, float | None]:
    """Return the element's own text and its confidence."""
    first = text_equiv(element)
    return ("", None) if first is None else (_content(first), confidence(first.get("conf")))


def _content(equiv: etree._Element) -> str:
    for name in ("{*}Unicode", "{*}PlainText"):
        for element in equiv.findall(name):
            if text := ("".join(map(str, element.itertext())) if len(element) else element.text or "").strip():
                return text
    return ""


def box_of(element: etree._Element) -> Box:
    """Return the box around the element's Coords."""
    coords = element.find("{*}Coords")
    if coords is None:
        return NO_BOX
    points = [point.partition(",") for point in (coords.get("points") or "").split()]
    pairs: list[tuple[str | None, str | None]] = [(x, y) for x, _, y in points]
    pairs = pairs or [(point.get("x"), point.get("y")) for point in coords.iter("{*}Point")]
    return bounding_box([(number(x), number(y)) for x, y in pairs])


def _has_unread_text(page: etree._Element, found: list[PlacedLine]) -> bool:
    """Return whether an element has text that is neither read, nor a copy of what is, nor part of a line that is."""
    read: set[etree._Element] = set()
    inside: dict[etree._Element, _Size] = {}  # of the lines inside each element
    for placed in found:
        element = placed.element
        read.update([element] if placed.row is not None or is_line(element) else words_of(element))
        size = _size(placed.line.text)
        for around in (element, *element.iterancestors()):
            inside[around] = inside.get(around, _Size(0, 0)).plus(size)
        if is_line(element) and _size(" ".join(map(word_text, words_of(element)))).exceeds(size):
            return True
    for owner in dict.fromkeys(equiv.getparent() for equiv in page.iter("{*}TextEquiv")):
        if owner is None or owner in read or not (text := own_text(owner)):
            continue
        if not read.isdisjoint(owner.iterancestors()):
            if local_name(owner) not in _PARTS_OF_LINE:
                return True
        elif _size(text).exceeds(inside.get(owner, _Size(0, 0))):
            return True
    return any(_size(_direct_text(element)).letters for element in select(_STRAY_TEXT, page))


def _direct_text(element: etree._Element) -> str:
    return "".join([element.text or "", *(child.tail or "" for child in element)])


class _Size(NamedTuple):
    """Numbers of words, and of letters and digits."""

    words: int
    letters: int

    def plus(self, other: "_Size") -> "_Size":
        return _Size(self.words + other.words, self.letters + other.letters)

    def exceeds(self, other: "_Size") -> bool:
        """Return whether this is more text, and not only a copy with other letters, spaces or hyphens."""
        return self.words > other.words and self.letters > other.letters


def _size(text: str) -> _Size:
    words = [word for word in text.split() if any(map(str.isalnum, word))]
    return _Size(len(words), sum(map(str.isalnum, text)))
