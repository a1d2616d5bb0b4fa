"""Write a page as PAGE XML of 2019-07-15, whose schema has one page a file.

A region or line without a box has that of the page, which the schema demands, and says so in `custom`.
"""

from lxml import etree

import ocrray
from ocrray.corpus.export.boxes import Box
from ocrray.corpus.export.scans.page import Block, ScanPage
from ocrray.corpus.export.scans.words import PlacedLine

EXTENSION = "xml"
_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_NAMES = {"recognition": "recognition", "correction": "post-correction"}
_NO_BOXES = "boxes {none:true;}"  # in the syntax of Transkribus


def write(page: ScanPage) -> bytes:
    """Return the file."""
    root = etree.Element(f"{{{_NAMESPACE}}}PcGts", nsmap={None: _NAMESPACE, "xsi": _SCHEMA_INSTANCE})  # type: ignore[dict-item]  # the stubs know no default namespace
    root.set(f"{{{_SCHEMA_INSTANCE}}}schemaLocation", f"{_NAMESPACE} {_NAMESPACE}/pagecontent.xsd")
    metadata = _add(root, "Metadata")
    _add(metadata, "Creator").text = f"ocrray {ocrray.__version__}"
    _add(metadata, "Created").text = page.date
    _add(metadata, "LastChange").text = page.date
    for step in page.steps:
        value = step.description.removeprefix(f"{step.name}: ")
        _add(metadata, "MetadataItem", type="processingStep", name=_NAMES[step.name], value=value, date=page.date)
    _add(metadata, "MetadataItem", type="other", name="page of the file", value=str(page.number + 1))
    _add(metadata, "MetadataItem", type="other", name="sha256 of the file", value=page.content_hash)
    element = _add(root, "Page", imageFilename=page.file_name, imageWidth=str(page.width), imageHeight=str(page.height))
    if page.dpi:
        element.set("imageXResolution", f"{page.dpi[0]:g}")
        element.set("imageYResolution", f"{page.dpi[1]:g}")
        element.set("imageResolutionUnit", "PPI")
    if page.blocks:
        order = _add(_add(element, "ReadingOrder"), "OrderedGroup", id="reading_order")
        for index in range(len(page.blocks)):
            _add(order, "RegionRefIndexed", index=str(index), regionRef=_block_id(index))
    for index, block in enumerate(page.blocks):
        _add_region(element, _block_id(index), block, page.box)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _add_region(page: etree._Element, name: str, block: Block, whole: Box) -> None:
    region = _add(page, "TextRegion", id=name)
    _add_coords(region, block.box, whole)
    for index, line in enumerate(block.lines, 1):
        _add_line(region, f"{name}_line_{index}", line, whole)
    _add_text(region, "\n".join(line.text for line in block.lines))


def _add_line(region: etree._Element, name: str, line: PlacedLine, whole: Box) -> None:
    element = _add(region, "TextLine", id=name)
    _add_coords(element, line.box, whole)
    if all(word.box for word in line.words):
        for index, word in enumerate(line.words, 1):
            child = _add(element, "Word", id=f"{name}_word_{index}")
            _add_coords(child, word.box, whole)
            _add_text(child, word.text, word.confidence)
    _add_text(element, line.text)


def _add_coords(element: etree._Element, box: Box | None, whole: Box) -> None:
    if box is None:
        element.set("custom", _NO_BOXES)
    left, top, right, bottom = map(round, box or whole)
    _add(element, "Coords", points=f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}")


def _add_text(element: etree._Element, text: str, confidence: float | None = None) -> None:
    equivalent = _add(element, "TextEquiv", **({} if confidence is None else {"conf": f"{confidence:.4g}"}))
    _add(equivalent, "Unicode").text = text


def _block_id(index: int) -> str:
    return f"region_{index + 1}"


def _add(parent: etree._Element, name: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}", dict(attributes))
