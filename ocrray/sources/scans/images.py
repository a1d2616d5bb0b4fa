"""Raster images, decoded page by page: PNG, JPEG, WebP, TIFF, JPEG 2000, GIF, BMP.

Whatever the file holds (palettes, CMYK, 16 bits, transparency, rotation tags, absurd resolutions), the result is upright, of mode
`1`, `L` or `RGB`, with `info["dpi"]` only where it is plausible.
"""

import io
import re
import warnings
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ocrray.errors import RecordError, StoreError
from ocrray.sources.scans import jpeg, jpeg2000, samples, tiff, tiff_frames
from ocrray.sources.scans.page_size import PageSize
from ocrray.sources.scans.tiff import Resolution
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
MAX_PAGES = tiff_frames.MAX_FRAMES
PLAUSIBLE_DPI = (70, 600)
_MAX_ASPECT = 4.0  # of a pixel's sides: a fax has up to 2.1
_SQUARE_WITHIN = 0.05  # 204 x 196 dpi is square enough for a recognizer
_MAX_SAMPLES = 16  # a pixel: colours, alpha and other channels
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", *_TIFF_MAGIC, b"GIF8", b"BM", b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51")
_OTHER_FORMATS = {
    re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "): "JPEG XL",
    re.compile(rb".{4}ftyp(heic|heix|hevc|mif1|msf1)", re.DOTALL): "HEIC",
    re.compile(rb".{4}ftypavi[fs]", re.DOTALL): "AVIF",
    re.compile(rb"AT&TFORM"): "DjVu",
    re.compile(rb"II\xbc"): "JPEG XR",
    re.compile(rb"\xff\xd8\xff\xf7"): "JPEG-LS",
    re.compile(rb"8BPS"): "Photoshop",
    re.compile(rb"P[1-7]\s"): "PNM",
    re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg|<svg)", re.DOTALL): "SVG",
}
_TRUNCATED = re.compile("truncated|broken data stream|only got|beyond the end", re.IGNORECASE)
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns


def count_pages(uri: str) -> int:
    """Return the number of pages from the file's headers; files of one-page formats are not opened.

    Raises: RecordError: `missing`, `unreadable`, `empty_file`, `truncated`, `not_an_image`.
    """
    location = Location.at(uri)
    if location.name.lower().endswith(_ONE_PAGE_EXTENSIONS):
        return 1
    with files.open_binary(location) as file:
        if file.read(4) in _TIFF_MAGIC:
            return check_page_count(len(tiff_frames.page_frames(file, uri)), uri)
        file.seek(0)
        with _open_image(file, uri):
            return 1


def decode_page(data: bytes, page: int, uri: str, max_pixels: int) -> Image.Image:
    """Decode one page (0-based) of the file with this content; `uri` names it in messages.

    `info["scale"]` (x, y) is present where pixels that are not square were resampled: pixels of the result for each of the file.

    Raises: RecordError: `empty_file`, `truncated`, `not_an_image`, `unreadable`, `too_large` (pixels, by the header),
        `too_small`, `missing_page`.
    """
    if data.startswith(_TIFF_MAGIC):
        image, resolution = _decode_tiff(data, page, uri, max_pixels)
    else:
        check_page(page, 1, uri)
        image, resolution = _decode_other(data, uri, max_pixels)
    dpi = _dpi(resolution)
    image.info = {"dpi": dpi} if dpi else {}
    return _square(image, resolution, max_pixels)


def measure_page(data: bytes, page: int, uri: str, max_pixels: int) -> PageSize:
    """Return the size of one page (0-based) as it is stored, turned upright, from headers; `uri` names the file in messages.

    Raises: RecordError: as `decode_page`.
    """
    if data.startswith(_TIFF_MAGIC):
        frames = tiff_frames.page_frames(io.BytesIO(data), uri)
        check_page(page, len(frames), uri)
        if problem := frames[page].problem:
            raise problem
        frame = tiff.TiffFrame(data, frames[page].offset)
        size, resolution, orientation = frame.size, frame.resolution, frame.orientation
    else:
        check_page(page, 1, uri)
        size, resolution, orientation = _measure_other(data, uri)
    check_size(*size, uri, max_pixels)
    width, height = reversed(size) if orientation in _ROTATED else size
    return PageSize(width, height, _dpi(_upright(resolution, orientation)))


def _measure_other(data: bytes, uri: str) -> tuple[tuple[int, int], Resolution | None, int]:
    try:
        opened = _open_image(io.BytesIO(data), uri)
    except RecordError:
        if header := jpeg.read_header(data):
            return header.size, None, 1
        raise
    with opened as image:
        return image.size, _resolution(image.info), image.getexif().get(0x0112, 1)


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


def _decode_tiff(data: bytes, page: int, uri: str, max_pixels: int) -> tuple[Image.Image, Resolution | None]:
    frames = tiff_frames.page_frames(io.BytesIO(data), uri)
    check_page(page, len(frames), uri)
    problem = frames[page].problem
    if problem:
        raise problem
    compression = ""
    try:
        frame = tiff.TiffFrame(data, frames[page].offset)
        check_size(*frame.size, uri, max_pixels)
        if frame.samples_per_pixel > _MAX_SAMPLES:
            raise RecordError(f"{uri}: {frame.samples_per_pixel:,} samples a pixel, which is no scan", kind="unreadable")
        compression = frame.compression_name
        frame.check_extents()
        return _plain(frame.decode()), _upright(frame.resolution, frame.orientation)
    except RecordError:
        raise
    # Decoders raise errors of many types on broken files (OSError, SyntaxError, struct.error, IndexError, ...).
    except Exception as err:
        raise _broken(uri, err, compression) from None


def _decode_other(data: bytes, uri: str, max_pixels: int) -> tuple[Image.Image, Resolution | None]:
    try:
        opened = _open_image(io.BytesIO(data), uri)
    except RecordError:
        header = jpeg.read_header(data)
        if header is None:
            raise
        check_size(*header.size, uri, max_pixels)
        try:
            return jpeg.decode(data, header), None
        except Exception as err:  # as above
            raise _broken(uri, err, f"JPEG of {header.bits} bits") from None
    with opened as image:
        try:
            check_size(*image.size, uri, max_pixels)
            resolution, orientation = _resolution(image.info), image.getexif().get(0x0112, 1)
            deep = _decode_deep(data, image)
            if deep is None:
                image.load()
                deep = image
            ImageOps.exif_transpose(deep, in_place=True)
            return _plain(deep), _upright(resolution, orientation)
        except RecordError:
            raise
        except Exception as err:  # as above
            raise _broken(uri, err) from None


def _decode_deep(data: bytes, image: Image.Image) -> Image.Image | None:
    """Decode depths that Pillow reduces wrongly; None for all others."""
    header = jpeg2000.read_header(data) if image.format == "JPEG2000" else None
    if header and not header.is_plain:
        try:
            return jpeg2000.decode(data, header)
        except Exception:  # of many types; what has eight bits or fewer Pillow may still decode
            if max(header.depths) > 8:
                raise
            return None
    if image.format == "PNG" and data[24] == 16 and data[25] in (2, 4, 6):  # bits; colours or alpha: Pillow drops the low byte
        import imagecodecs

        meaning = samples.Meaning(
            colour="grey" if data[25] == 4 else "rgb", bits=16, alpha="none" if data[25] == 2 else "straight"
        )
        deep = samples.to_image(imagecodecs.png_decode(data), meaning)
        deep.info["exif"] = image.info.get("exif", b"")
        return deep
    return None


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
    name = next((name for pattern, name in _OTHER_FORMATS.items() if pattern.match(head)), "")
    if name:
        message = f"{uri}: {name}, which is not read; convert it to {FORMATS[0]} or TIFF"
        return RecordError(message, kind="unreadable" if head.startswith(_MAGIC) else "not_an_image")
    if not head.startswith(_MAGIC):
        return RecordError(f"{uri}: not an image (read are {', '.join(FORMATS)} and PDF)", kind="not_an_image")
    if file.seek(0, io.SEEK_END) < 64:
        return RecordError(f"{uri}: the image is truncated; copy the file again", kind="truncated")
    return RecordError(f"{uri}: the image's header is broken, or of a kind that is not supported", kind="unreadable")


def _broken(uri: str, err: Exception, compression: str = "") -> RecordError:
    is_unknown = isinstance(err, UnidentifiedImageError)  # its text is the address of a buffer
    reason = "its tags make no image" if is_unknown else " ".join(str(err).split()) or type(err).__name__
    if _TRUNCATED.search(reason):
        return RecordError(f"{uri}: the image is truncated ({reason}); copy the file again", kind="truncated")
    compressed = f" (compression: {compression})" if compression else ""
    return RecordError(f"{uri}: the image cannot be decoded{compressed}: {reason}", kind="unreadable")


def _resolution(info: dict[str | tuple[int, int], object]) -> Resolution | None:
    if info.get("jfif_unit") == 0:
        return _pair(info.get("jfif_density"), unit=False)
    return _pair(info.get("dpi"), unit=True) or _pair(info.get("aspect"), unit=False)


def _pair(values: object, *, unit: bool) -> Resolution | None:
    try:
        x, y = (float(value) for value in values)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return Resolution(x, y, unit)


def _upright(resolution: Resolution | None, orientation: int) -> Resolution | None:
    if resolution and orientation in _ROTATED:
        return replace(resolution, x=resolution.y, y=resolution.x)
    return resolution


def _dpi(resolution: Resolution | None) -> tuple[float, float] | None:
    if not resolution or not resolution.unit:
        return None
    low, high = PLAUSIBLE_DPI
    x, y = resolution.x, resolution.y
    return (round(x, 2), round(y, 2)) if low <= x <= high and low <= y <= high else None


def _square(image: Image.Image, resolution: Resolution | None, max_pixels: int) -> Image.Image:
    """Resample to square pixels: the coarser direction to the finer one, or where that is too large, the other way round."""
    if not resolution or not (resolution.x > 0 and resolution.y > 0):
        return image
    aspect = resolution.x / resolution.y
    if not (1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT) or abs(aspect - 1) <= _SQUARE_WITHIN:
        return image
    scale = (1.0, aspect) if aspect > 1 else (1 / aspect, 1.0)
    fine = max(resolution.x, resolution.y)
    if image.width * image.height * max(scale) > max_pixels:
        scale = (1 / aspect, 1.0) if aspect > 1 else (1.0, aspect)
        fine = min(resolution.x, resolution.y)
    size = (max(MIN_SIDE_PX, round(image.width * scale[0])), max(MIN_SIDE_PX, round(image.height * scale[1])))
    info = {**image.info, "scale": (size[0] / image.width, size[1] / image.height)}
    if "dpi" in info:
        info["dpi"] = (round(fine, 2), round(fine, 2))
    squared = (image.convert("L") if image.mode == "1" else image).resize(size, Image.Resampling.BICUBIC)
    squared.info = info
    return squared


def _plain(image: Image.Image) -> Image.Image:
    """Convert to mode 1, L or RGB: transparency on white, high bit depths reduced to the eight highest bits in use."""
    if image.mode in ("1", "L", "RGB") and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith(("I", "F")):
        return samples.to_image(np.asarray(image), samples.Meaning(colour="grey", bits=16 if ";" in image.mode else 32))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return samples.on_white(layer.convert("RGB"), layer.getchannel("A"))
    return image.convert("RGB")
