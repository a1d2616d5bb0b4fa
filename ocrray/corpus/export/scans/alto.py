"""Write a page as ALTO 4.2, which later versions 4 hold valid too.

Blocks stand in reading order, each naming the next (IDNEXT). A block without boxes has none either, and the tag `no_boxes`.
"""

from collections.abc import Iterator

from lxml import etree

from ocrray.corpus.export.boxes import Box
from ocrray.corpus.export.scans.page import Block, ScanPage, Step
from ocrray.corpus.export.scans.words import PlacedLine, PlacedWord

EXTENSION = "xml"
_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_LOCATION = f"{_NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-2.xsd"
_CATEGORIES = {"recognition": "contentGeneration", "correction": "contentModification"}
_NO_BOXES = "no_boxes"


def write(page: ScanPage) -> bytes:
    """Return the file."""
    root = etree.Element(f"{{{_NAMESPACE}}}alto", nsmap={None: _NAMESPACE, "xsi": _SCHEMA_INSTANCE})  # type: ignore[dict-item]  # the stubs know no default namespace
    root.set(f"{{{_SCHEMA_INSTANCE}}}schemaLocation", _LOCATION)
    root.set("SCHEMAVERSION", "4.2")
    _describe(_add(root, "Description"), page)
    if any(block.box is None for block in page.blocks):
        _add(
            _add(root, "Tags"),
            "OtherTag",
            ID=_NO_BOXES,
            LABEL="no boxes",
            DESCRIPTION="the engine that recognized this text gives no places on the page",
        )
    steps = " ".join(_step_id(number) for number in range(len(page.steps)))
    element = _add(
        _add(root, "Layout"),
        "Page",
        ID="page",
        PHYSICAL_IMG_NR=str(page.number + 1),
        WIDTH=str(page.width),
        HEIGHT=str(page.height),
        PROCESSINGREFS=steps,
    )
    space = _add(element, "PrintSpace", **_place(page.box))
    for number, block in enumerate(page.blocks, 1):
        _add_block(space, number, block, is_last=number == len(page.blocks))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _describe(description: etree._Element, page: ScanPage) -> None:
    _add(description, "MeasurementUnit").text = "pixel"
    source = _add(description, "sourceImageInformation")
    _add(source, "fileName").text = page.file_name
    _add(source, "fileIdentifier", fileIdentifierLocation="sha256").text = page.content_hash
    for number, step in enumerate(page.steps):
        _add_step(description, _step_id(number), step, page.date)


def _add_step(description: etree._Element, identifier: str, step: Step, date: str) -> None:
    processing = _add(description, "Processing", ID=identifier)
    _add(processing, "processingCategory").text = _CATEGORIES[step.name]
    _add(processing, "processingDateTime").text = date
    _add(processing, "processingStepDescription").text = f"{step.name} of the text"
    if step.model:
        _add(processing, "processingStepSettings").text = f"model: {step.model}"
    software = _add(processing, "processingSoftware")
    _add(software, "softwareName").text = step.software
    if step.version:
        _add(software, "softwareVersion").text = step.version


def _add_block(space: etree._Element, number: int, block: Block, *, is_last: bool) -> None:
    name = f"block_{number}"
    attributes = _place(block.box) if block.box else {"TAGREFS": _NO_BOXES}
    if not is_last:
        attributes["IDNEXT"] = f"block_{number + 1}"
    element = _add(space, "TextBlock", ID=name, **attributes)
    for index, line in enumerate(block.lines, 1):
        line_name = f"{name}_line_{index}"
        children = _add(element, "TextLine", ID=line_name, **(_place(line.box) if line.box else {}))
        for count, (word, gap) in enumerate(_words(line), 1):
            attributes = {} if word.confidence is None else {"WC": f"{word.confidence:.4g}"}
            _add(
                children,
                "String",
                ID=f"{line_name}_word_{count}",
                CONTENT=word.text,
                **(_place(word.box) if word.box else {}),
                **attributes,
            )
            if gap is not None:
                _add(children, "SP", **gap)


def _words(line: PlacedLine) -> Iterator[tuple[PlacedWord, dict[str, str] | None]]:
    """Yield each word with the attributes of the space behind it; None behind the last."""
    words = line.words or [PlacedWord(text) for text in line.text.split(" ")]
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else None
        yield word, _gap(word.box, following.box) if following else None


def _gap(before: Box | None, behind: Box | None) -> dict[str, str]:
    """Return the place of a space, empty where it has none; words of scripts that run to the left stand the other way round."""
    if before is None or behind is None:
        return {}
    left, right = (before, behind) if before.left <= behind.left else (behind, before)
    return {"HPOS": _number(left.right), "VPOS": _number(left.top), "WIDTH": _number(max(0, right.left - left.right))}


def _place(box: Box) -> dict[str, str]:
    sides = {"HPOS": box.left, "VPOS": box.top, "WIDTH": box.right - box.left, "HEIGHT": box.bottom - box.top}
    return {name: _number(value) for name, value in sides.items()}


def _number(value: float) -> str:
    return f"{value:.10g}"


def _step_id(number: int) -> str:
    return f"step_{number + 1}"


def _add(parent: etree._Element, name: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}", dict(attributes))
