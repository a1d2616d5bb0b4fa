"""PDF: pages rendered as images, with the values of their forms."""

import io
import logging
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import xxhash
from PIL import Image

from ocrray.errors import RecordError
from ocrray.sources.scans.images import PLAUSIBLE_DPI, check_page, check_page_count, check_size
from ocrray.sources.scans.page_size import Matrix, PageSize
from ocrray.storage import Location, files

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

MAGIC = re.compile(rb"\s{0,1019}%PDF-")
PDF_DPI = 300
_PDFIUM_ERR_PASSWORD = 4
_MAX_USER_UNIT = 75_000.0  # of PDF 1.7, appendix C
_pdfium_lock = threading.Lock()  # PDFium is not safe to call from two threads
_DYNAMIC_XFA = re.compile(rb"<(?:\w+:)?dynamicRender>\s*required")
_XFA_SHELL = re.compile(r"\bplease wait\b|if this message is not eventually replaced", re.IGNORECASE)
_MAX_SHELL_CHARS = 2000  # the page that stands for a dynamic form says little else


@dataclass(frozen=True, slots=True)
class Sheet:
    """One open page, valid inside `open_sheet`."""

    page: "PdfPage"
    dpi: float
    size: tuple[int, int]
    """Width and height in pixels of the page rendered at `dpi`."""
    scale: float
    """Pixels for one unit of the page's own coordinates."""

    def render(self, reduction: float = 1) -> Image.Image:
        """Return the page in mode RGB, `reduction` times as small as `size`."""
        rendered: Image.Image = self.page.render(scale=self.scale / reduction, rev_byteorder=True).to_pil()
        return rendered.convert("RGB")

    def to_pdf(self) -> Matrix:
        """Return the map from pixels of the rendered page, y downwards, to the page's own coordinates."""
        import ctypes

        from pypdfium2 import raw

        width, height = self.size
        x, y = ctypes.c_double(), ctypes.c_double()

        def at(pixel_x: int, pixel_y: int) -> tuple[float, float]:
            raw.FPDF_DeviceToPage(self.page, 0, 0, width, height, 0, pixel_x, pixel_y, x, y)
            return x.value, y.value

        origin, right, down = at(0, 0), at(width, 0), at(0, height)
        along = [(end - start) / width for start, end in zip(origin, right, strict=True)]
        across = [(end - start) / height for start, end in zip(origin, down, strict=True)]
        return along[0], along[1], across[0], across[1], origin[0], origin[1]


def count_pages(uri: str) -> int:
    """Return the number of pages.

    Raises: RecordError: `missing`, `unreadable`, `encrypted`, `dynamic_form`.
    """
    with files.open_binary(Location.at(uri)) as file, _pdfium_lock:
        try:
            with _open_pdf(file, uri) as document:
                return check_page_count(len(document), uri)
        except RecordError:
            files.raise_failure(file)  # PDFium calls back to read, and takes every error for a broken file
            raise


def decode_page(data: bytes, page: int, uri: str, max_pixels: int) -> Image.Image:
    """Render one page (0-based) at 300 dpi, or at the highest resolution that `max_pixels` allows; `uri` names the file in
    messages.

    Raises: RecordError: as `open_sheet`.
    """
    with open_sheet(data, page, uri, max_pixels) as sheet:
        image = sheet.render()
    image.info = {"dpi": (sheet.dpi, sheet.dpi)}
    return image


def measure_page(data: bytes, page: int, uri: str, max_pixels: int) -> PageSize:
    """Return the size of one page (0-based) as `decode_page` renders it; `uri` names the file in messages.

    Raises: RecordError: as `open_sheet`.
    """
    with open_sheet(data, page, uri, max_pixels) as sheet:
        return PageSize(*sheet.size, (sheet.dpi, sheet.dpi), sheet.to_pdf())


@contextmanager
def open_sheet(data: bytes, page: int, uri: str, max_pixels: int, *, merge_forms: bool = False) -> Iterator[Sheet]:
    """Open one page; with `merge_forms` the values of its form are part of its text.

    Raises: RecordError: `missing_page`, `encrypted`, `dynamic_form`, `too_large` (less than 70 dpi would be left), `too_small`,
        `unreadable`.
    """
    import pypdfium2

    with _pdfium_lock, _open_pdf(data, uri) as document:
        check_page(page, len(document), uri)
        try:
            if document.get_formtype():
                document.init_forms()  # before the first page is opened
            sheet = document[page]
            if merge_forms and document.formenv and _flatten(sheet):
                sheet = document[page]
            width_pt, height_pt = sheet.get_size()
            unit = _user_unit(data, page)
            width_in, height_in = width_pt * unit / 72, height_pt * unit / 72
            dpi = min(PDF_DPI, math.sqrt(max_pixels / max(1e-4, width_in * height_in)))
            if dpi < PLAUSIBLE_DPI[0]:
                raise RecordError(f"{uri}: a page of {width_in:,.0f} x {height_in:,.0f} inches", kind="too_large")
            check_size(int(width_in * dpi), int(height_in * dpi), uri, max_pixels)
            scale = dpi * unit / 72
            size = (math.ceil(width_pt * scale), math.ceil(height_pt * scale))
            yield Sheet(sheet, dpi, size, scale)
        except pypdfium2.PdfiumError as err:
            raise RecordError(f"{uri}: page {page} of the PDF cannot be rendered: {err}", kind="unreadable") from None


def _flatten(sheet: "PdfPage") -> bool:
    """Make annotations and form fields part of the page's content, which has to be loaded again; False where there are none."""
    from pypdfium2 import raw

    return bool(raw.FPDFPage_Flatten(sheet, raw.FLAT_NORMALDISPLAY) == raw.FLATTEN_SUCCESS)


def _open_pdf(source: BinaryIO | bytes, uri: str) -> "PdfDocument":
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as err:
        if err.err_code == _PDFIUM_ERR_PASSWORD:
            raise RecordError(f"{uri}: the PDF needs a password; remove it first", kind="encrypted") from None
        raise RecordError(f"{uri}: the PDF is truncated or broken: {err}", kind="unreadable") from None
    if _is_dynamic_xfa(document):
        document.close()
        message = f"{uri}: a dynamic XFA form, whose pages cannot be rendered; print it to PDF with Adobe Reader"
        raise RecordError(message, kind="dynamic_form")
    return document


def _is_dynamic_xfa(document: "PdfDocument") -> bool:
    """Return whether the pages are made from XML by the viewer, and the PDF holds only one that asks to wait."""
    from pypdfium2 import PdfiumError, raw

    kind = document.get_formtype()
    if kind == raw.FORMTYPE_XFA_FULL:
        return True
    if kind != raw.FORMTYPE_XFA_FOREGROUND:
        return False
    packets = (_xfa_packet(document, number) for number in range(max(0, raw.FPDF_GetXFAPacketCount(document))))
    if any(_DYNAMIC_XFA.search(packet) for packet in packets):
        return True
    try:
        page = document[0]
        text = page.get_textpage().get_text_range()
        page.close()
    except (PdfiumError, IndexError):
        return False
    return len(document) == 1 and len(text) <= _MAX_SHELL_CHARS and bool(_XFA_SHELL.search(text))


def _xfa_packet(document: "PdfDocument", number: int) -> bytes:
    import ctypes

    from pypdfium2 import raw

    size = ctypes.c_ulong()
    if not raw.FPDF_GetXFAPacketContent(document, number, None, 0, size):
        return b""
    buffer = ctypes.create_string_buffer(size.value)
    raw.FPDF_GetXFAPacketContent(document, number, buffer, size.value, size)
    return buffer.raw


def _user_unit(data: bytes, page: int) -> float:
    """Return the length of a unit of the page's coordinates in 1/72 inch: PDFium does not read it."""
    if b"/UserUnit" not in data and b"/ObjStm" not in data:  # a page's dictionary may be in a compressed object stream
        return 1.0
    key = (len(data), xxhash.xxh3_128_digest(data))
    if key not in _units_of_last_file:
        _units_of_last_file.clear()
        _units_of_last_file[key] = _read_user_units(data)
    units = _units_of_last_file[key]
    return units[page] if page < len(units) else 1.0


_units_of_last_file: dict[tuple[int, bytes], list[float]] = {}


def _read_user_units(data: bytes) -> list[float]:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        units = [float(page.get("/UserUnit", 1)) for page in pypdf.PdfReader(io.BytesIO(data)).pages]
    except Exception:  # of many types, on files that PDFium repairs
        return []
    return [unit if 0 < unit <= _MAX_USER_UNIT else 1.0 for unit in units]
