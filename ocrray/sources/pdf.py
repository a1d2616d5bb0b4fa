"""PDF: pages rendered as images."""

import math
import re
import threading
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from ocrray.errors import RecordError
from ocrray.sources.images import PLAUSIBLE_DPI, check_page, check_page_count, check_size
from ocrray.storage import Location, files

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

MAGIC = re.compile(rb"\s{0,1019}%PDF-")
PDF_DPI = 300
_PDFIUM_ERR_PASSWORD = 4
_pdfium_lock = threading.Lock()  # PDFium is not safe to call from two threads


def count_pages(uri: str) -> int:
    """Return the number of pages.

    Raises: RecordError: `missing`, `unreadable`, `encrypted`.
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

    Raises: RecordError: `missing_page`, `encrypted`, `too_large` (less than 70 dpi would be left), `too_small`, `unreadable`.
    """
    import pypdfium2

    with _pdfium_lock, _open_pdf(data, uri) as document:
        check_page(page, len(document), uri)
        try:
            sheet = document[page]
            width_pt, height_pt = sheet.get_size()
            dpi = min(PDF_DPI, 72 * math.sqrt(max_pixels / max(1.0, width_pt * height_pt)))
            if dpi < PLAUSIBLE_DPI[0]:
                raise RecordError(f"{uri}: a page of {width_pt / 72:,.0f} x {height_pt / 72:,.0f} inches", kind="too_large")
            check_size(int(width_pt * dpi / 72), int(height_pt * dpi / 72), uri, max_pixels)
            rendered: Image.Image = sheet.render(scale=dpi / 72, rev_byteorder=True).to_pil()
            image = rendered.convert("RGB")
        except pypdfium2.PdfiumError as err:
            raise RecordError(f"{uri}: page {page} of the PDF cannot be rendered: {err}", kind="unreadable") from None
    image.info = {"dpi": (dpi, dpi)}
    return image


def _open_pdf(source: BinaryIO | bytes, uri: str) -> "PdfDocument":
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as err:
        if err.err_code == _PDFIUM_ERR_PASSWORD:
            raise RecordError(f"{uri}: the PDF needs a password; remove it first", kind="encrypted") from None
        raise RecordError(f"{uri}: the PDF is truncated or broken: {err}", kind="unreadable") from None
