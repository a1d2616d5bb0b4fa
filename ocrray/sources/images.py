"""One page of a scan as a plain image: PNG, JPEG, WebP, TIFF, JPEG 2000, GIF, BMP, and PDF rendered.

Whatever the file holds (palettes, CMYK, 16 bits, transparency, rotation tags, absurd resolutions) the engines see mode `1`, `L`
or `RGB`, upright, with `info["dpi"]` only where it can be believed.
"""

import io
import math
import re
import struct
import threading
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ocrray.errors import RecordError
from ocrray.sources import files

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

Image.init()  # until then Pillow knows only a few formats
# The check of `open_page` is the stricter one: before any pixel is decoded, and against the user's own limit.
Image.MAX_IMAGE_PIXELS = None
# What Pillow only warns of (odd tags, bad EXIF) is read all the same; what it cannot read becomes a RecordError.
warnings.filterwarnings("ignore", module="PIL")

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "JPEG2000", "GIF", "BMP")
MIN_SIDE_PX = 3  # Tesseract reads nothing narrower
MAX_PAGES = 100_000
PDF_DPI = 300
_PLAUSIBLE_DPI = (70, 600)
_MAGIC = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"GIF8",
    b"BM",
    b"\0\0\0\x0cjP",
    b"\xff\x4f\xff\x51",
)
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _STRIP_TAGS, _TILE_TAGS = 254, 255, (273, 279), (324, 325)
_REDUCED_OR_MASK = 0b101  # NewSubfileType: bit 0 a smaller version of another frame, bit 2 a mask
_TRUNCATED = re.compile("truncated|broken data stream|only got|beyond the end", re.IGNORECASE)
_PDFIUM_ERR_PASSWORD = 4
_pdfium_lock = threading.Lock()  # PDFium is not safe to call from two threads


def open_page(uri: str, page: int = 0, *, max_pixels: int, max_file_bytes: int) -> tuple[Image.Image, str]:
    """The image of one page (0-based), and the sha256 (hex) of the whole file's bytes.

    Raises RecordError: `missing`, `unreadable`, `empty_file`, `truncated`, `not_an_image`, `too_large` (bytes, or pixels as the
    header gives them), `too_small`, `encrypted`, `missing_page`.
    """
    location = files.parse(uri)
    data, digest = files.read_hashed(location, max_file_bytes)
    if data[:1024].lstrip().startswith(b"%PDF-"):
        image = _render_pdf(data, page, uri, max_pixels)
    else:
        image = _decode(data, page, uri, max_pixels)
    return image, digest


def count_pages(uri: str, kind: str) -> int:
    """How many pages a file of `kind` "image" or "pdf" has, by its headers. Raises RecordError as `open_page` does."""
    with files.open_binary(files.parse(uri)) as file:
        if kind == "pdf":
            with _pdfium_lock, _open_pdf(file, uri) as document:
                count = len(document)
        else:
            with _open_image(file, uri) as image:
                count = len(_page_frames(image, uri))
    if not 1 <= count <= MAX_PAGES:
        raise RecordError(f"{uri}: the file claims {count:,} pages", kind="unreadable")
    return count


def _decode(data: bytes, page: int, uri: str, max_pixels: int) -> Image.Image:
    with _open_image(io.BytesIO(data), uri) as image:
        frames = _page_frames(image, uri)
        if not 0 <= page < len(frames):
            raise RecordError(f"{uri}: page {page} of {len(frames)} (counted from 0)", kind="missing_page")
        try:
            image.seek(frames[page])
            _check_size(*image.size, uri, max_pixels)
            _check_extents(image, len(data))
            dpi = _dpi(image.info.get("dpi"))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            plain = _plain(image)
        except RecordError:
            raise
        # Pillow's decoders raise all sorts on broken files (OSError, SyntaxError, struct.error, IndexError, ...).
        except Exception as err:
            raise _broken(uri, err) from None
    plain.info = {"dpi": dpi} if dpi else {}
    return plain


def _open_image(file: BinaryIO, uri: str) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise _unidentified(uri, file.read(16), file) from None
    # Pillow's parsers raise all sorts on broken headers.
    except Exception as err:
        raise _broken(uri, err) from None


def _unidentified(uri: str, head: bytes, file: BinaryIO) -> RecordError:
    if not head:
        return RecordError(f"{uri}: the file is empty", kind="empty_file")
    if not head.startswith(_MAGIC):
        return RecordError(f"{uri}: not an image (read are {', '.join(FORMATS)} and PDF)", kind="not_an_image")
    size = file.seek(0, io.SEEK_END)
    order = {b"II*\0": "<I", b"MM\0*": ">I"}.get(head[:4])
    if size < 64 or (order and struct.unpack(order, head[4:8])[0] + 64 > size):  # a TIFF's directory may lie at its end
        return RecordError(f"{uri}: the image is truncated; copy the file again", kind="truncated")
    return RecordError(f"{uri}: the image's header is broken, or of a kind that is not supported", kind="unreadable")


def _broken(uri: str, err: Exception) -> RecordError:
    reason = " ".join(str(err).split()) or type(err).__name__
    if _TRUNCATED.search(reason):
        return RecordError(f"{uri}: the image is truncated ({reason}); copy the file again", kind="truncated")
    return RecordError(f"{uri}: the image cannot be decoded: {reason}", kind="unreadable")


def _page_frames(image: Image.Image, uri: str) -> list[int]:
    """The frames that are pages: not thumbnails, masks or the levels of a pyramid. Animations are one page."""
    if image.format != "TIFF":
        return [0]
    pages, sizes = [], []
    for frame in range(MAX_PAGES + 1):
        try:
            image.seek(frame)
        except EOFError:
            break
        # A broken directory ends the chain of frames in all sorts of ways; what came before it can still be read.
        except Exception as err:
            raise RecordError(f"{uri}: the directory of frame {frame} is broken: {err}", kind="unreadable") from None
        tags = image.tag_v2
        sizes.append(image.size)
        if not (tags.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED_OR_MASK or tags.get(_SUBFILE_TYPE) == 2):
            pages.append(frame)
    if len(sizes) > 1 and all(_halved(*pair) for pair in pairwise(sizes)):
        return [0]
    return pages or [0]


def _halved(size: tuple[int, int], next_size: tuple[int, int]) -> bool:
    return all(abs(2 * small - large) <= 2 for large, small in zip(size, next_size, strict=True))


def _check_size(width: int, height: int, uri: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise RecordError(f"{uri}: {width:,} x {height:,} pixels, more than input.max_pixels ({max_pixels:,})", kind="too_large")
    if min(width, height) < MIN_SIDE_PX:
        raise RecordError(f"{uri}: {width} x {height} pixels, nothing to read", kind="too_small")


def _check_extents(image: Image.Image, file_size: int) -> None:
    """Fax decoders fill what is missing at a file's end with white, without a word."""
    if image.format != "TIFF":
        return
    for offsets, counts in (_STRIP_TAGS, _TILE_TAGS):
        ends = (start + size for start, size in zip(image.tag_v2.get(offsets, ()), image.tag_v2.get(counts, ()), strict=False))
        if any(end > file_size for end in ends):
            raise OSError("a strip or tile lies beyond the end of the file")


def _dpi(tag: object) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in tag)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    low, high = _PLAUSIBLE_DPI
    return (round(x, 2), round(y, 2)) if low <= x <= high and low <= y <= high else None


def _plain(image: Image.Image) -> Image.Image:
    """Mode 1, L or RGB: transparency on white, deep greys down to the eight highest bits in use."""
    if image.mode in ("1", "L", "RGB") and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64)).clip(min=0)
        if image.mode == "F" and values.max() <= 1:
            values = values * 255
        bits = max(8, int(values.max()).bit_length())
        return Image.fromarray((values / 2 ** (bits - 8)).clip(max=255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return image.convert("RGB")


def _open_pdf(source: BinaryIO | bytes, uri: str) -> "PdfDocument":
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as err:
        if err.err_code == _PDFIUM_ERR_PASSWORD:
            raise RecordError(f"{uri}: the PDF needs a password; remove it first", kind="encrypted") from None
        raise RecordError(f"{uri}: the PDF is truncated or broken: {err}", kind="unreadable") from None


def _render_pdf(data: bytes, page: int, uri: str, max_pixels: int) -> Image.Image:
    """The page at 300 dpi, or at the highest resolution that `max_pixels` allows."""
    import pypdfium2

    with _pdfium_lock, _open_pdf(data, uri) as document:
        if not 0 <= page < len(document):
            raise RecordError(f"{uri}: page {page} of {len(document)} (counted from 0)", kind="missing_page")
        try:
            sheet = document[page]
            width_pt, height_pt = sheet.get_size()
            dpi = min(PDF_DPI, 72 * math.sqrt(max_pixels / max(1.0, width_pt * height_pt)))
            if dpi < _PLAUSIBLE_DPI[0]:
                raise RecordError(f"{uri}: a page of {width_pt / 72:,.0f} x {height_pt / 72:,.0f} inches", kind="too_large")
            _check_size(int(width_pt * dpi / 72), int(height_pt * dpi / 72), uri, max_pixels)
            image = sheet.render(scale=dpi / 72, rev_byteorder=True).to_pil().convert("RGB")
        except pypdfium2.PdfiumError as err:
            raise RecordError(f"{uri}: page {page} of the PDF cannot be rendered: {err}", kind="unreadable") from None
    image.info = {"dpi": (dpi, dpi)}
    return image
