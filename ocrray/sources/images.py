"""Raster images, decoded page by page: PNG, JPEG, WebP, TIFF, JPEG 2000, GIF, BMP.

Whatever the file holds (palettes, CMYK, 16 bits, transparency, rotation tags, absurd resolutions), the result is upright, of mode
`1`, `L` or `RGB`, with `info["dpi"]` only where it is plausible.
"""

import io
import re
import struct
import warnings
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from ocrray.errors import RecordError, StoreError
from ocrray.storage import Location, files

Image.init()  # until then Pillow knows only a few formats
# `check_size` is stricter: before any pixel is decoded, and against the user's own limit.
Image.MAX_IMAGE_PIXELS = None
# Files with odd tags or bad EXIF, of which Pillow warns, are read all the same; an unreadable one becomes a RecordError.
warnings.filterwarnings("ignore", module="PIL")

_ONE_PAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".jpe", ".webp", ".jp2", ".j2k", ".jpx", ".jpf", ".gif", ".bmp")
EXTENSIONS = (*_ONE_PAGE_EXTENSIONS, ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "JPEG2000", "GIF", "BMP")
MIN_SIDE_PX = 3  # Tesseract reads nothing narrower
MAX_PAGES = 100_000
PLAUSIBLE_DPI = (70, 600)
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


def count_pages(uri: str) -> int:
    """Return the number of pages from the file's headers; files of one-page formats are not opened.

    Raises: RecordError: `missing`, `unreadable`, `empty_file`, `truncated`, `not_an_image`.
    """
    location = Location.at(uri)
    if location.name.lower().endswith(_ONE_PAGE_EXTENSIONS):
        return 1
    with files.open_binary(location) as file, _open_image(file, uri) as image:
        return check_page_count(len(_page_frames(image, uri)), uri)


def decode_page(data: bytes, page: int, uri: str, max_pixels: int) -> Image.Image:
    """Decode one page (0-based) of the file with this content; `uri` names it in messages.

    Raises: RecordError: `empty_file`, `truncated`, `not_an_image`, `unreadable`, `too_large` (pixels, by the header),
        `too_small`, `missing_page`.
    """
    with _open_image(io.BytesIO(data), uri) as image:
        frames = _page_frames(image, uri)
        check_page(page, len(frames), uri)
        try:
            image.seek(frames[page])
            check_size(*image.size, uri, max_pixels)
            _check_extents(image, len(data))
            dpi = _dpi(image.info.get("dpi"))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            plain = _plain(image)
        except RecordError:
            raise
        # Pillow's decoders raise errors of many types on broken files (OSError, SyntaxError, struct.error, IndexError, ...).
        except Exception as err:
            raise _broken(uri, err) from None
    plain.info = {"dpi": dpi} if dpi else {}
    return plain


def check_page_count(count: int, uri: str) -> int:
    """Return `count`.

    Raises: RecordError: `unreadable` when it is outside 1..MAX_PAGES.
    """
    if not 1 <= count <= MAX_PAGES:
        raise RecordError(f"{uri}: the file claims {count:,} pages", kind="unreadable")
    return count


def check_page(page: int, pages: int, uri: str) -> None:
    """Check that the 0-based index `page` is one of `pages`.

    Raises: RecordError: `missing_page`.
    """
    if not 0 <= page < pages:
        raise RecordError(f"{uri}: page {page} of {pages} (counted from 0)", kind="missing_page")


def check_size(width: int, height: int, uri: str, max_pixels: int) -> None:
    """Check the width and height of an image in pixels.

    Raises: RecordError: `too_large`, `too_small`.
    """
    if width * height > max_pixels:
        raise RecordError(f"{uri}: {width:,} x {height:,} pixels, more than input.max_pixels ({max_pixels:,})", kind="too_large")
    if min(width, height) < MIN_SIDE_PX:
        raise RecordError(f"{uri}: {width} x {height} pixels, nothing to read", kind="too_small")


def _open_image(file: BinaryIO, uri: str) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise _unidentified(uri, file.read(16), file) from None
    except StoreError:  # from reading the file
        raise
    # Pillow's parsers raise errors of many types on broken headers.
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
    """Return the frames that are pages: no thumbnails, masks or pyramid levels. An animation is one page."""
    if not isinstance(image, TiffImageFile):
        return [0]
    pages, sizes = [], []
    for frame in range(MAX_PAGES + 1):
        try:
            image.seek(frame)
        except EOFError:
            break
        except StoreError:
            raise
        # A broken directory ends the chain of frames with errors of many types; the frames before it can still be read.
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


def _check_extents(image: Image.Image, file_size: int) -> None:
    """Refuse a TIFF with a strip beyond the end of the file: fax decoders fill it with white without an error."""
    if not isinstance(image, TiffImageFile):
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
    low, high = PLAUSIBLE_DPI
    return (round(x, 2), round(y, 2)) if low <= x <= high and low <= y <= high else None


def _plain(image: Image.Image) -> Image.Image:
    """Convert to mode 1, L or RGB: transparency on white, high bit depths reduced to the eight highest bits in use."""
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
