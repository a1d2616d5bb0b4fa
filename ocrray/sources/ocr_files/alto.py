"""ALTO XML, versions 1 to 4, in any namespace or none."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.ocr_files.alto_divisions import divisions_of
from ocrray.sources.ocr_files.alto_text import join_tokens, token_of
from ocrray.sources.ocr_files.document import NO_BOX, Box, Document, box, clean, confidence, number
from ocrray.sources.ocr_files.page_scope import by_index, elements_of, scope_of
from ocrray.sources.ocr_files.xml_parse import local_name, select

_MARGINS = {"TopMargin": 0, "LeftMargin": 1, "PrintSpace": 2, "RightMargin": 3, "BottomMargin": 4}
"""Order in which the parts of a page are read; the schema demands another, with PrintSpace as the last."""
_NO_TEXT = {"Description", "Styles", "Tags", "ReadingOrder", "Processing"}

# Text elsewhere than in a String or HYP: attributes and text nodes of other elements.
_STRAY_TEXT = etree.XPath(
    "descendant-or-self::*[normalize-space(@CONTENT) or text()[normalize-space()]]"
    "[not(ancestor-or-self::*[local-name()='String' or local-name()='HYP'])]"
)
_CONTENTS = etree.XPath("descendant-or-self::*/@CONTENT", smart_strings=False)
_WITH_NEXT = etree.XPath("descendant-or-self::*[@IDNEXT]")


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return every Page element; the root where there is none."""
    return list(root.iter("{*}Page")) or [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page: in the file's ReadingOrder (ALTO 4.3), then the others.

    These come in document order, but a header before the text and a footer behind it, and a block behind the one whose IDNEXT
    names it. Strings outside every TextLine make a line of their own; text elsewhere is the warning `text_not_read`.
    """
    name = page.getroottree().getroot().findtext("{*}Description/{*}sourceImageInformation/{*}fileName")
    elements = _in_reading_order(page)
    found = _with_text(page, elements)
    warnings = ("text_not_read",) if _has_unread_text(page, elements) else ()
    divisions = divisions_of([line_parts(element) for element, _ in found])
    return Document([line for _, line in found], clean(name or "") or None, warnings, divisions)


def read_lines(page: etree._Element) -> list[tuple[etree._Element, Line]]:
    """Return each line of one page that has text, with its TextLine, or the element that holds its Strings outside any."""
    return _with_text(page, _in_reading_order(page))


def string_gap(root: etree._Element) -> str:
    """Return the text between two String elements without SP between them: a space where the file has no SP at all.

    Where it has some, the boxes decide (`alto_text.join_tokens`).
    """
    return "" if next(root.iter("{*}SP"), None) is not None else " "


def line_parts(line: etree._Element) -> list[etree._Element]:
    """Return the String, SP and HYP elements of a line in document order."""
    if local_name(line) == "TextLine" and next(line.iterdescendants("{*}TextLine"), None) is None:
        return list(line.iterdescendants("{*}String", "{*}SP", "{*}HYP"))
    return [child for child in line if local_name(child) in ("String", "SP", "HYP")]


def _with_text(page: etree._Element, elements: list[etree._Element]) -> list[tuple[etree._Element, Line]]:
    has_spaces = _facts(page.getroottree().getroot()).has_spaces
    lines = [(element, _line(element, has_spaces)) for element in elements]
    return [(element, line) for element, line in lines if line.text]


class _Facts(NamedTuple):
    """Facts that hold for all pages of a file."""

    has_spaces: bool
    has_chains: bool
    reading_orders: list[etree._Element]


@lru_cache(maxsize=1)
def _facts(root: etree._Element) -> _Facts:
    return _Facts(not string_gap(root), bool(select(_WITH_NEXT, root)), list(root.iter("{*}ReadingOrder")))


def _in_reading_order(page: etree._Element) -> list[etree._Element]:
    """Return the elements that hold the lines of one page."""
    parts = [part for part in elements_of(page, scope_of(page, find_pages)) if local_name(part) not in _NO_TEXT]
    walk = _Walk(page, parts)
    lines = walk.lines()
    ordered: dict[etree._Element, None] = {}
    orders = _facts(page.getroottree().getroot()).reading_orders
    elements = {element.get("ID"): element for part in parts for element in part.iter("{*}*")} if orders else {}
    for reference in (reference for order in orders for reference in order.iter("{*}ElementRef")):
        for target in (reference.get("REF") or "").split():
            # Popped, so that a thousand references to one block cost no more than one.
            if (element := elements.pop(target, None)) is not None:
                ordered.update(dict.fromkeys(_lines_of(element, page)))
    known = dict.fromkeys(lines)
    return [line for line in ordered if line in known] + [line for line in lines if line not in ordered]


def _lines_of(element: etree._Element, page: etree._Element) -> list[etree._Element]:
    """Return the lines inside a block, or the one around a String or Glyph."""
    if lines := _Walk(page, [element]).lines():
        return lines
    ancestors = list(element.iterancestors())
    return next(([ancestor] for ancestor in ancestors if local_name(ancestor) == "TextLine"), ancestors[:1])


class _Walk:
    """Finds the lines inside `parts` of a page in the order that its margins and IDNEXT say."""

    def __init__(self, page: etree._Element, parts: list[etree._Element]) -> None:
        self.page, self.parts = page, parts
        self.next = self._chains()
        self.targets = set(self.next.values())
        self.done: set[etree._Element] = set()

    def lines(self) -> list[etree._Element]:
        """Return each element that holds a line, once."""
        found = dict.fromkeys(line for part in self.parts for line in self._of_part(part))
        if not self.next:
            return list(found)
        self.next, self.targets, self.done = {}, set(), set()  # blocks whose chain leads in a circle
        return list(found | dict.fromkeys(self.lines()))

    def _chains(self) -> dict[etree._Element, etree._Element]:
        """Return the block behind each block that names one of this page; where two name the same, the first counts."""
        if not _facts(self.page.getroottree().getroot()).has_chains:
            return {}
        blocks = [block for part in self.parts for block in select(_WITH_NEXT, part)]
        elements = {element.get("ID"): element for part in self.parts for element in part.iter("{*}*")}
        chains: dict[etree._Element, etree._Element] = {}
        for block in blocks:
            target = elements.pop(block.get("IDNEXT"), None)
            if target is not None and target is not block:
                chains[block] = target
        return chains

    def _of_part(self, part: etree._Element) -> Iterator[etree._Element]:
        parent = part.getparent()
        if local_name(part) not in ("String", "HYP") or parent is None:
            yield from self._inside(part)
        elif next(parent.iterchildren("{*}String", "{*}HYP")) is part:  # outside every page
            yield parent

    def _inside(self, element: etree._Element) -> Iterator[etree._Element]:
        name = local_name(element)
        if name == "TextLine" and next(element.iterdescendants("{*}TextLine"), None) is None:
            yield element
            return
        if name == "Page" and element is not self.page:
            return  # a page inside another
        if any(local_name(child) in ("String", "HYP") for child in element):
            yield element
        for child in by_index(element, lambda child: _MARGINS.get(local_name(child))):
            if local_name(child) not in ("String", "SP", "HYP") and child not in self.targets:
                yield from self._chain(child)

    def _chain(self, element: etree._Element | None) -> Iterator[etree._Element]:
        while element is not None and element not in self.done:
            self.done.add(element)
            yield from self._inside(element)
            element = self.next.get(element)


def _line(element: etree._Element, has_spaces: bool) -> Line:
    parts = line_parts(element)
    tokens = [token_of(part, with_box=False) for part in parts]
    if has_spaces and any(one.kind == other.kind == "String" for one, other in pairwise(tokens)):
        tokens = [token_of(part) for part in parts]  # the boxes decide
    pieces = join_tokens(tokens, file_has_spaces=has_spaces)
    strings = [(parts[index], text) for index, text in pieces if index is not None and tokens[index].kind == "String" and text]
    words = tuple(Word(text, *_box(child), confidence(child.get("WC"))) for child, text in strings)
    place = _box(element) if local_name(element) == "TextLine" else NO_BOX
    return Line(clean("".join(text for _, text in pieces)), *place, words=words)


def _has_unread_text(page: etree._Element, lines: list[etree._Element]) -> bool:
    read = {part for line in lines for part in line_parts(line)}
    parts = [part for part in elements_of(page, scope_of(page, find_pages)) if local_name(part) not in _NO_TEXT]
    of_layout = {string for part in parts if (parent := part.getparent()) is not None for string in line_parts(parent)}
    strings = [part for top in parts for part in _own(top, page, "{*}String", "{*}HYP") if part not in of_layout]
    if any(part not in read and token_of(part, with_box=False).text for part in strings):
        return True
    # Both counts are fast; which elements the text is in is not.
    characters = (part for top in parts for part in top.iter("{*}Glyph", "{*}Variant"))
    known = [*(part for top in parts for part in top.iter("{*}String", "{*}HYP")), *filter(_is_in_string, characters)]
    contents = sum(part.get("CONTENT") is not None for part in known)
    has_stray = contents != sum(map(_count_contents, parts)) or any(map(_text_nodes, parts))
    stray = [element for part in parts for element in select(_STRAY_TEXT, part)] if has_stray else []
    return any(not _NO_TEXT & {local_name(element), *map(local_name, element.iterancestors())} for element in stray)


def _is_in_string(element: etree._Element) -> bool:
    return next(element.iterancestors("{*}String"), None) is not None


def _count_contents(element: etree._Element) -> int:
    found = _CONTENTS(element)
    return len(found) if isinstance(found, list) else 0


def _text_nodes(element: etree._Element) -> str:
    return etree.tostring(element, method="text", encoding="unicode", with_tail=False).strip()


def _own(element: etree._Element, page: etree._Element, *names: str) -> Iterator[etree._Element]:
    """Yield elements of these names that are not in a page inside the page."""
    if next(element.iterdescendants("{*}Page"), None) is None:
        yield from element.iter(*names)
        return
    inner = {found for other in element.iterdescendants("{*}Page") if other is not page for found in other.iter(*names)}
    yield from (found for found in element.iter(*names) if found not in inner)


def _box(element: etree._Element) -> Box:
    left, top = number(element.get("HPOS")), number(element.get("VPOS"))
    return box(left, top, left + number(element.get("WIDTH")), top + number(element.get("HEIGHT")))
