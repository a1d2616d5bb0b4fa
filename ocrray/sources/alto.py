"""ALTO, versions 1 to 4, in any namespace or none."""

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.document import Box, Document, box, clean, confidence, number
from ocrray.sources.xml_parse import local_name


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Every page of the file; a file without a Page element is one page."""
    return list(root.iter("{*}Page")) or [root]


def read(page: etree._Element) -> Document:
    """The lines of one page: in the file's ReadingOrder (ALTO 4.3) where there is one, else as they stand in the file."""
    root = page.getroottree().getroot()
    # Most producers write every space as SP, and then strings without one between them touch; some never write any.
    gap = "" if next(root.iter("{*}SP"), None) is not None else " "
    lines = [_line(element, gap) for element in _in_reading_order(page, root)]
    name = root.findtext("{*}Description/{*}sourceImageInformation/{*}fileName")
    return Document([line for line in lines if line.text], clean(name or "") or None)


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
    """The lines inside a block, or the line that a string or glyph is in."""
    return list(element.iter("{*}TextLine")) or list(element.iterancestors("{*}TextLine"))


def _line(element: etree._Element, gap: str) -> Line:
    parts: list[str] = []
    words: list[Word] = []
    for child in element:
        match local_name(child):
            case "String":
                if text := clean(child.get("CONTENT") or ""):
                    parts += [gap, text] if words else [text]
                    words.append(Word(text, *_box(child), confidence(child.get("WC"))))
            case "SP":
                parts.append(" ")
            case "HYP":
                parts.append(child.get("CONTENT") or "-")
    return Line(clean("".join(parts)), *_box(element), words=tuple(words))


def _box(element: etree._Element) -> Box:
    left, top = number(element.get("HPOS")), number(element.get("VPOS"))
    return box(left, top, left + number(element.get("WIDTH")), top + number(element.get("HEIGHT")))
