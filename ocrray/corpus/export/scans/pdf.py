"""Searchable PDF of a scanned document: its pictures with an invisible text layer.

A PDF stays as it is and gets the layer in an incremental update, which leaves all of its bytes in place. Invisible text of an
earlier layer is taken off pages that get a new one; what a page shows never changes.
"""

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pypdf import PageObject, PdfWriter
from pypdf.errors import PyPdfError
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    ContentStream,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    StreamObject,
)

import ocrray
from ocrray.corpus.export.scans.page import ScanPage
from ocrray.corpus.export.scans.pdf_image import PdfImage, pdf_image
from ocrray.corpus.export.scans.pdf_text import FONT_NAME, add_font, compressed_stream, text_content
from ocrray.errors import RecordError
from ocrray.sources.kinds import image_format_of
from ocrray.sources.scans.page_size import Matrix, PageSize

EXTENSION = "pdf"
_DEFAULT_DPI = 300.0  # of scans that state none
_MAX_SIDE = 14_400.0  # units of a page, by PDF's own limits
_INVISIBLE = 3
_SHOWS_TEXT = (b"Tj", b"TJ", b"'", b'"')


@dataclass(frozen=True, slots=True)
class PdfSource:
    """File of the scanned document, and limits for decoding it."""

    data: bytes
    uri: str
    max_pixels: int
    jpeg_quality: int | None = None


def write_images(source: PdfSource, pages: Mapping[int, ScanPage | None]) -> bytes:
    """Return a PDF of these pages (by 0-based index) of an image file; those that are None have no text.

    Raises: RecordError: when a page with text cannot be decoded.
    """
    writer = PdfWriter()
    writer.pdf_header = "%PDF-1.7"
    font = add_font(writer)
    for number, page in sorted(pages.items()):
        try:
            _add_image_page(writer, font, source, number, page)
        except RecordError:
            if page is not None:
                raise
    _describe(writer, [page for page in pages.values() if page])
    return _written(writer)


def update_pdf(source: PdfSource, pages: Mapping[int, ScanPage | None]) -> bytes:
    """Return the PDF with a text layer on these pages (by 0-based index); those that are None stay as they are.

    Raises: RecordError: `encrypted`; `unreadable` when it is broken in a way that only rendering gets over.
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        writer = PdfWriter(io.BytesIO(source.data), incremental=True)
        if b"/Encrypt" in source.data and _is_encrypted(writer):
            raise RecordError(f"{source.uri}: the PDF is encrypted; remove the protection first", kind="encrypted")
        font = add_font(writer)
        for number, page in sorted(pages.items()):
            if page is not None:
                _add_layer(writer, font, source, number, page)
        _describe(writer, [page for page in pages.values() if page])
        return _written(writer)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError, RecursionError) as err:
        reason = " ".join(str(err).split()) or type(err).__name__
        raise RecordError(f"{source.uri}: the PDF cannot be extended: {reason}", kind="unreadable") from None


def _is_encrypted(writer: PdfWriter) -> bool:
    reader = writer._reader
    return reader is not None and reader.is_encrypted


def _add_image_page(writer: PdfWriter, font: IndirectObject, source: PdfSource, number: int, page: ScanPage | None) -> None:
    size = image_format_of(source.data).measure_page(source.data, number, source.uri, source.max_pixels)
    picture = pdf_image(source.data, number, source.uri, source.max_pixels, source.jpeg_quality)
    width, height = _points(size)
    sheet = writer.add_blank_page(width, height)
    placed = _times(picture.placement, (width, 0, 0, height, 0, 0))
    content = f"q {' '.join(f'{value:.5f}' for value in placed)} cm /Scan Do Q\n".encode("ascii")
    resources = DictionaryObject()
    resources[NameObject("/XObject")] = DictionaryObject({NameObject("/Scan"): writer._add_object(_image_object(picture))})
    if page is not None:
        matrix = (width / size.width, 0, 0, -height / size.height, 0, height)
        content += text_content(page.lines, matrix, size.width, size.height)
        resources[NameObject("/Font")] = DictionaryObject({NameObject(FONT_NAME): font})
    sheet[NameObject("/Resources")] = resources
    sheet[NameObject("/Contents")] = writer._add_object(compressed_stream(content))


def _points(size: PageSize) -> tuple[float, float]:
    """Return width and height of the page in 1/72 inch."""
    x, y = size.dpi or (_DEFAULT_DPI, _DEFAULT_DPI)
    width, height = 72 * size.width / x, 72 * size.height / y
    reduction = max(1.0, width / _MAX_SIDE, height / _MAX_SIDE)
    return width / reduction, height / reduction


def _image_object(picture: PdfImage) -> StreamObject:
    stream = StreamObject()
    stream.set_data(picture.data)
    entries = {"/Type": "/XObject", "/Subtype": "/Image", "/Filter": picture.filter}
    stream.update({NameObject(name): NameObject(value) for name, value in entries.items()})
    stream.update({NameObject("/Width"): NumberObject(picture.width), NameObject("/Height"): NumberObject(picture.height)})
    if picture.colours:
        stream[NameObject("/ColorSpace")] = NameObject(picture.colours)
        stream[NameObject("/BitsPerComponent")] = NumberObject(picture.bits)
    if picture.parameters:
        stream[NameObject("/DecodeParms")] = DictionaryObject(
            {
                NameObject(name): BooleanObject(value) if isinstance(value, bool) else NumberObject(value)
                for name, value in picture.parameters.items()
            }
        )
    return stream


def _add_layer(writer: PdfWriter, font: IndirectObject, source: PdfSource, number: int, page: ScanPage) -> None:
    size = image_format_of(source.data).measure_page(source.data, number, source.uri, source.max_pixels)
    assert size.to_pdf is not None
    sheet = writer.pages[number]
    _remove_invisible_text(writer, sheet)
    layer = writer._add_object(compressed_stream(text_content(page.lines, size.to_pdf, size.width, size.height)))
    contents = sheet.get("/Contents")
    resolved = contents.get_object() if contents is not None else None
    streams = list(resolved) if isinstance(resolved, ArrayObject) else [contents] if resolved is not None else []
    # In front: nothing that the page's own content does to the state of graphics may move the text.
    sheet[NameObject("/Contents")] = ArrayObject([layer, *streams])
    inherited = sheet.get("/Resources")  # also of the page tree
    resources = DictionaryObject(inherited.get_object()) if inherited is not None else DictionaryObject()
    known = resources.get("/Font")
    fonts = DictionaryObject(known.get_object() if known is not None else {})
    fonts[NameObject(FONT_NAME)] = font
    resources[NameObject("/Font")] = fonts
    sheet[NameObject("/Resources")] = resources


def _remove_invisible_text(writer: PdfWriter, sheet: PageObject) -> None:
    """Remove text that is shown in rendering mode 3 from the page's own content."""
    contents = sheet.get_contents()
    if contents is None or b" Tr" not in contents.get_data():
        return
    mode, saved = 0, list[int]()
    kept: list[tuple[object, bytes]] = []
    removed = False
    for operands, operator in contents.operations:
        if operator == b"q":
            saved.append(mode)
        elif operator == b"Q" and saved:
            mode = saved.pop()
        elif operator == b"Tr" and operands:
            mode = int(operands[0])
        if mode == _INVISIBLE and operator in _SHOWS_TEXT:
            removed = True
            continue
        kept.append((operands, operator))
    if removed:
        stream = ContentStream(None, writer)
        stream.operations = kept
        sheet[NameObject("/Contents")] = writer._add_object(compressed_stream(stream.get_data()))


def _describe(writer: PdfWriter, pages: list[ScanPage]) -> None:
    steps = "; ".join(dict.fromkeys(step.description for page in pages for step in page.steps))
    unplaced = "places of lines unknown" if any(line.box is None for page in pages for line in page.lines) else ""
    entries = {"/OCR": "; ".join(filter(None, (steps, f"text layer: ocrray {ocrray.__version__}", unplaced)))}
    if not writer.incremental:
        entries["/Producer"] = f"ocrray {ocrray.__version__}"
        if pages:
            entries["/Title"] = pages[0].file_name
    if pages:
        date = pages[0].date.translate(str.maketrans("", "", "-:T"))
        entries["/ModDate" if writer.incremental else "/CreationDate"] = f"D:{date}"
    writer.add_metadata(entries)


def _times(one: Matrix, other: Matrix) -> Matrix:
    """Return the map that applies `one`, then `other`."""
    a, b, c, d, e, f = one
    m, n, o, p, q, r = other
    return a * m + b * o, a * n + b * p, c * m + d * o, c * n + d * p, e * m + f * o + q, e * n + f * p + r


def _written(writer: PdfWriter) -> bytes:
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()
