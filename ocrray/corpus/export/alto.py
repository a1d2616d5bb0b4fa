"""Write corrections into ALTO, versions 1 to 4.

A changed String keeps its box and loses its confidences (WC, CC) and glyphs, because they describe the old text; alternative
readings (ALTERNATIVE) stay. Where words are split or joined, their boxes are divided in proportion to the characters, or joined.
"""

from collections.abc import Iterable

from lxml import etree

from ocrray.corpus.export.alto_document import AltoDocument
from ocrray.corpus.export.alto_line import AltoLine
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.source import Source, escaped, ids_of, new_id
from ocrray.sources.ocr_files import alto


def read_lines(page: etree._Element) -> list[tuple[etree._Element, str]]:
    """Return the lines of a page, each with its text."""
    return [(element, line.text) for element, line in alto.read_lines(page)]


def write(source: Source, root: etree._Element, lines: Iterable[tuple[etree._Element, str, str]], step: ProcessingStep) -> None:
    """Replace the old text of each `(line, old, new)` by the new one, and record the step in the file's history."""
    document = AltoDocument(source, root)
    for element, old, new in lines:
        AltoLine(document, element, old).correct(new)
    document.update_hyphenation(root)
    document.write()
    _record(source, root, step)


def _record(source: Source, root: etree._Element, step: ProcessingStep) -> None:
    """Add a postProcessingStep to the last OCRProcessing or, in ALTO 4, which has none, a Processing element."""
    description = root.find("{*}Description")
    if description is None:  # it is optional, but requires a measurement unit, which is unknown here
        source.append(root, step.comment)
        return
    name = source.tag(description).name.removesuffix("Description")
    parts = (
        f"<{name}processingDateTime>{step.date}</{name}processingDateTime>"
        f"<{name}processingStepDescription>{escaped(step.description)}</{name}processingStepDescription>"
        f"<{name}processingSoftware><{name}softwareCreator>ocrray</{name}softwareCreator>"
        f"<{name}softwareName>ocrray</{name}softwareName>"
        f"<{name}softwareVersion>{escaped(step.version)}</{name}softwareVersion></{name}processingSoftware>"
    )
    processings = description.findall("{*}OCRProcessing")
    is_fourth = "ns-v4" in description.tag
    if processings and not is_fourth:
        source.append(processings[-1], f"<{name}postProcessingStep>{parts}</{name}postProcessingStep>")
        return
    identifier = new_id(ids_of(root), "ocrray")
    if is_fourth:
        source.append(description, f'<{name}Processing ID="{identifier}">{parts}</{name}Processing>')
    else:
        steps = f"<{name}ocrProcessingStep/><{name}postProcessingStep>{parts}</{name}postProcessingStep>"
        source.append(description, f'<{name}OCRProcessing ID="{identifier}">{steps}</{name}OCRProcessing>')
