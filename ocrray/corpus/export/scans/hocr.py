"""Write a page as hOCR 1.2, in well-formed XHTML.

What has no box has no `bbox`, and `x_boxes none` in its title.
"""

from lxml import etree

import ocrray
from ocrray.corpus.export.boxes import Box
from ocrray.corpus.export.scans.page import Block, ScanPage
from ocrray.corpus.export.scans.words import PlacedLine

EXTENSION = "hocr"
_NAMESPACE = "http://www.w3.org/1999/xhtml"
_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
)
_CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrp_wconf"
_NO_BOX = "x_boxes none"


def write(page: ScanPage) -> bytes:
    """Return the file."""
    root = etree.Element(f"{{{_NAMESPACE}}}html", nsmap={None: _NAMESPACE})  # type: ignore[dict-item]  # the stubs know no default namespace
    head = _add(root, "head")
    _add(head, "title").text = page.file_name
    _add(head, "meta", **{"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"})
    steps = "; ".join(step.description for step in page.steps)
    _add(head, "meta", name="ocr-system", content="; ".join(filter(None, (steps, f"ocrray {ocrray.__version__} {page.date}"))))
    _add(head, "meta", name="ocr-capabilities", content=_CAPABILITIES)
    _add(head, "meta", name="ocr-number-of-pages", content="1")
    _add(head, "meta", name="sha256", content=page.content_hash)
    element = _add(_add(root, "body"), "div", id="page_1", title=_page_title(page), **{"class": "ocr_page"})
    for number, block in enumerate(page.blocks, 1):
        _add_block(element, number, block)
    return etree.tostring(
        root, xml_declaration=True, encoding="UTF-8", doctype=_DOCTYPE
    )  # indented, words without a space between them would get one


def _page_title(page: ScanPage) -> str:
    name = page.file_name.replace('"', "%22")
    parts = [f'image "{name}"', _title(page.box), f"ppageno {page.number}"]
    if page.dpi:
        parts.append(f"scan_res {page.dpi[0]:g} {page.dpi[1]:g}")
    return "; ".join(parts)


def _add_block(page: etree._Element, number: int, block: Block) -> None:
    title = _title(block.box)
    area = _add(page, "div", id=f"block_{number}", title=title, **{"class": "ocr_carea"})
    paragraph = _add(area, "p", id=f"par_{number}", title=title, **{"class": "ocr_par"})
    for index, line in enumerate(block.lines, 1):
        _add_line(paragraph, f"line_{number}_{index}", line)


def _add_line(paragraph: etree._Element, name: str, line: PlacedLine) -> None:
    element = _add(paragraph, "span", id=name, title=_title(line.box), **{"class": "ocr_line"})
    if not line.words:
        element.text = line.text
    for index, word in enumerate(line.words, 1):
        title = _title(word.box)
        if word.confidence is not None:
            title += f"; x_wconf {round(100 * word.confidence)}"
        span = _add(element, "span", id=f"word_{name[5:]}_{index}", title=title, **{"class": "ocrx_word"})
        span.text = word.text
        span.tail = " " if index < len(line.words) else None


def _title(box: Box | None) -> str:
    return "bbox " + " ".join(str(round(side)) for side in box) if box else _NO_BOX


def _add(parent: etree._Element, name: str, /, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}", dict(attributes))
    element.tail = "\n"
    return element
