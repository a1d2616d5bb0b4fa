"""PAGE XML (PRImA), 2009 to 2019, and its use by OCR-D."""

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.document import NO_BOX, Box, Document, bounding_box, clean, confidence, number
from ocrray.sources.xml_parse import local_name


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return every Page element (the format allows one); the root where there is none."""
    return list(root.iter("{*}Page")) or [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page: regions in the file's ReadingOrder, then those that it does not list.

    Of several TextEquiv the one with the lowest index is read; a line without any has its words' text, a word its glyphs'. A
    region with text of its own, and none in any element inside it, gives one line for each line of its text.
    """
    return Document([found.line for found in read_lines(page)], clean(page.get("imageFilename") or "") or None)


class PlacedLine(NamedTuple):
    """Line with its TextLine element, or with the region and the 0-based `row` in the region's text."""

    element: etree._Element
    row: int | None
    line: Line


def read_lines(page: etree._Element) -> list[PlacedLine]:
    """Return the lines of one page that have text."""
    return [found for region in _in_reading_order(page) for found in _region_lines(region) if found.line.text]


def _in_reading_order(page: etree._Element) -> Iterator[etree._Element]:
    regions = list(_with_nested(page, frozenset()))[1:]
    by_id = {region.get("id"): region for region in regions}
    order = page.find("{*}ReadingOrder")
    references = [] if order is None else [reference for reference in _references(order) if reference in by_id]
    named = frozenset(references)
    done: set[etree._Element] = set()
    for start in [by_id[reference] for reference in references] + regions:
        if start not in done:
            found = list(_with_nested(start, named))
            done.update(found)
            yield from found


def _with_nested(element: etree._Element, named: frozenset[str]) -> Iterator[etree._Element]:
    """Yield the element and the regions inside it, depth first, except those that the reading order lists itself."""
    yield element
    for child in element:
        if local_name(child).endswith("Region") and child.get("id") not in named:
            yield from _with_nested(child, named)


def _references(group: etree._Element) -> Iterator[str]:
    children = list(group)
    if local_name(group).startswith("Ordered"):
        children.sort(key=_index)
    for child in children:
        if reference := child.get("regionRef"):
            yield reference
        yield from _references(child)


def _index(element: etree._Element) -> float:
    index = number(element.get("index"))
    return index if abs(index) < inf else inf  # NaN, which does not sort, included


def _region_lines(region: etree._Element) -> list[PlacedLine]:
    text, certainty = _text(region)
    if text and not _has_text_inside(region):
        rows = text.split("\n")
        place = box_of(region) if len(rows) == 1 else NO_BOX
        return [PlacedLine(region, number, Line(clean(row), *place, certainty)) for number, row in enumerate(rows)]
    return _in_line_order([PlacedLine(child, None, _line(child)) for child in region if local_name(child) == "TextLine"], region)


def _has_text_inside(region: etree._Element) -> bool:
    inside = (child for child in region if local_name(child) != "TextEquiv")
    return any((text.text or "").strip() for child in inside for text in child.iter("{*}Unicode", "{*}PlainText"))


def _in_line_order(lines: list[PlacedLine], region: etree._Element) -> list[PlacedLine]:
    """Sort lines by position where the file declares an upward or leftward order: producers differ in document order."""
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
    words = (_word(child) for child in element if local_name(child) == "Word")
    return Line(line_text(element), *box_of(element), _text(element)[1], tuple(word for word in words if word.text))


def line_text(element: etree._Element) -> str:
    """Return the text of a TextLine: its own, else that of its words."""
    words = (word_text(child) for child in element if local_name(child) == "Word")
    return clean(own_text(element)) or " ".join(filter(None, words))


def _word(element: etree._Element) -> Word:
    return Word(word_text(element), *box_of(element), _text(element)[1])


def word_text(element: etree._Element) -> str:
    """Return the text of a Word: its own, else that of its glyphs."""
    text = own_text(element) or "".join(own_text(child) for child in element if local_name(child) == "Glyph")
    return clean(text)


def text_equiv(element: etree._Element) -> etree._Element | None:
    """Return the TextEquiv with the lowest index; None if there is none."""
    return min(element.findall("{*}TextEquiv"), key=_index, default=None)


def own_text(element: etree._Element) -> str:
    """Return the element's own text; empty if it has none."""
    return _text(element)[0]


def _text(element: etree._Element) -> tuple[str, float | None]:
    """Return the element's own text and its confidence."""
    first = text_equiv(element)
    if first is None:
        return "", None
    text = first.findtext("{*}Unicode") or first.findtext("{*}PlainText") or ""
    return text.strip(), confidence(first.get("conf"))


def box_of(element: etree._Element) -> Box:
    """Return the box around the element's Coords."""
    coords = element.find("{*}Coords")
    if coords is None:
        return NO_BOX
    points = [point.partition(",") for point in (coords.get("points") or "").split()]
    pairs: list[tuple[str | None, str | None]] = [(x, y) for x, _, y in points]
    pairs = pairs or [(point.get("x"), point.get("y")) for point in coords.iter("{*}Point")]
    return bounding_box([(number(x), number(y)) for x, y in pairs])
