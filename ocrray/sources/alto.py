"""ALTO XML, versions 1 to 4, in any namespace or none."""

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.document import Box, Document, box, clean, confidence, number
from ocrray.sources.xml_parse import local_name


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return every Page element; the root where there is none."""
    return list(root.iter("{*}Page")) or [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page, in the file's ReadingOrder (ALTO 4.3) where it has one, else in document order."""
    name = page.getroottree().getroot().findtext("{*}Description/{*}sourceImageInformation/{*}fileName")
    return Document([line for _, line in read_lines(page)], clean(name or "") or None)


def read_lines(page: etree._Element) -> list[tuple[etree._Element, Line]]:
    """Return each TextLine of one page that has text, with its line."""
    root = page.getroottree().getroot()
    gap = string_gap(root)
    lines = [(element, _line(element, gap)) for element in _in_reading_order(page, root)]
    return [(element, line) for element, line in lines if line.text]


def string_gap(root: etree._Element) -> str:
    """Return the text between two String elements without SP between them: most producers write every space as SP, some none."""
    return "" if next(root.iter("{*}SP"), None) is not None else " "


def pieces(line: etree._Element, gap: str) -> list[tuple[etree._Element | None, str]]:
    """Return the text of a TextLine in pieces, each with its String, SP or HYP element; a `gap` has None.

    Joined and cleaned, the pieces are the text of the line.
    """
    found: list[tuple[etree._Element | None, str]] = []
    has_string = False
    for child in line:
        match local_name(child):
            case "String":
                if text := clean(child.get("CONTENT") or ""):
                    found += [(None, gap), (child, text)] if has_string else [(child, text)]
                    has_string = True
            case "SP":
                found.append((child, " "))
            case "HYP":
                found.append((child, child.get("CONTENT") or "-"))
    return found


def _in_reading_order(page: etree._Element, root: etree._Element) -> list[etree._Element]:
    lines = list(page.iter("{*}TextLine"))
    order = root.find("{*}ReadingOrder")
    if order is None:
        return lines
    elements = {element.get("ID"): element for element in page.iter("{*}*")}
    ordered: dict[etree._Element, None] = {}
    for reference in order.iter("{*}ElementRef"):
        for target in (reference.get("REF") or "").split():
            # Popped, so that a thousand references to one block cost no more than one.
            if (element := elements.pop(target, None)) is not None:
                ordered.update(dict.fromkeys(_lines_of(element)))
    return list(ordered | dict.fromkeys(lines))


def _lines_of(element: etree._Element) -> list[etree._Element]:
    """Return the TextLines inside a block, or the TextLine around a String or Glyph."""
    return list(element.iter("{*}TextLine")) or list(element.iterancestors("{*}TextLine"))


def _line(element: etree._Element, gap: str) -> Line:
    found = pieces(element, gap)
    strings = [(child, text) for child, text in found if child is not None and local_name(child) == "String"]
    words = tuple(Word(text, *_box(child), confidence(child.get("WC"))) for child, text in strings)
    return Line(clean("".join(text for _, text in found)), *_box(element), words=words)


def _box(element: etree._Element) -> Box:
    left, top = number(element.get("HPOS")), number(element.get("VPOS"))
    return box(left, top, left + number(element.get("WIDTH")), top + number(element.get("HEIGHT")))
