"""Pictures of scans in a PDF: as they are stored where PDF knows the format, else compressed anew without loss."""

import io
import struct
import zlib
from dataclasses import dataclass, field

from PIL import Image

from ocrray.sources.kinds import image_format_of
from ocrray.sources.scans import jpeg2000
from ocrray.sources.scans.page_size import Matrix

_JP2 = b"\0\0\0\x0cjP"
_COLOURS = {"1": "/DeviceGray", "L": "/DeviceGray", "RGB": "/DeviceRGB"}
_UPRIGHT: dict[int, Matrix] = {
    1: (1, 0, 0, 1, 0, 0),
    2: (-1, 0, 0, 1, 1, 0),
    3: (-1, 0, 0, -1, 1, 1),
    4: (1, 0, 0, -1, 0, 1),
    5: (0, -1, -1, 0, 1, 1),
    6: (0, -1, 1, 0, 0, 1),
    7: (0, 1, 1, 0, 0, 0),
    8: (0, 1, -1, 0, 1, 0),
}
"""Maps of the unit square, y upwards, that turn a picture of this EXIF orientation upright."""


@dataclass(frozen=True, slots=True)
class PdfImage:
    """A picture as PDF holds it."""

    data: bytes
    width: int
    height: int
    filter: str
    """Name of the decoder."""
    colours: str = ""
    """Name of the colour space; empty where the data says it."""
    bits: int = 8
    parameters: dict[str, int | bool] = field(default_factory=dict)
    """Of the decoder."""
    placement: Matrix = _UPRIGHT[1]
    """Turns the picture upright on the unit square."""


def pdf_image(data: bytes, page: int, uri: str, max_pixels: int, jpeg_quality: int | None) -> PdfImage:
    """Return one page (0-based) of an image file.

    JPEG and JPEG 2000 are taken as they are. Other pictures are decoded, and compressed without loss, or as JPEG of this quality
    (1..100) where they are not black and white.

    Raises: RecordError: as `images.decode_page`.
    """
    stored = _stored(data)
    if stored is not None:
        return stored
    image = image_format_of(data).decode_page(data, page, uri, max_pixels)
    if image.mode == "1":
        return _bilevel(image)
    if jpeg_quality is not None:
        return _as_jpeg(image, jpeg_quality)
    return _deflated(image)


def _stored(data: bytes) -> PdfImage | None:
    """Return a JPEG or JPEG 2000 file as it is; None for what PDF readers would show otherwise than it is decoded here."""
    if not data.startswith((b"\xff\xd8\xff", _JP2)):
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "JPEG2000")) as image:
            orientation = image.getexif().get(0x0112, 1)
            size, mode, kind = image.size, image.mode, image.format
    except Exception:  # of many types, for depths that Pillow does not know: these are decoded
        return None
    if mode not in ("L", "RGB") or orientation not in _UPRIGHT:
        return None
    if kind == "JPEG":
        return PdfImage(data, *size, "/DCTDecode", _COLOURS[mode], placement=_UPRIGHT[orientation])
    header = jpeg2000.read_header(data)
    return PdfImage(data, *size, "/JPXDecode", placement=_UPRIGHT[orientation]) if header and header.is_plain else None


def _bilevel(image: Image.Image) -> PdfImage:
    """Compress as fax of group 4: a strip of a TIFF of one strip."""
    file = io.BytesIO()
    image.save(file, "TIFF", compression="group4", strip_size=1 << 31)
    with Image.open(file, formats=("TIFF",)) as tiff:
        tags = tiff.tag_v2  # type: ignore[attr-defined]  # of TIFF only
        (start,), (count,) = tags[273], tags[279]
        is_black_one = tags[262] == 0  # white is zero
    data = file.getvalue()[start : start + count]
    parameters: dict[str, int | bool] = {"/K": -1, "/Columns": image.width, "/Rows": image.height, "/BlackIs1": not is_black_one}
    return PdfImage(data, *image.size, "/CCITTFaxDecode", _COLOURS["1"], 1, parameters)


def _as_jpeg(image: Image.Image, quality: int) -> PdfImage:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return PdfImage(file.getvalue(), *image.size, "/DCTDecode", _COLOURS[image.mode])


def _deflated(image: Image.Image) -> PdfImage:
    """Compress with PNG's predictors: the data of a PNG file without its frame."""
    file = io.BytesIO()
    image.save(file, "PNG")
    colours = len(image.getbands())
    parameters: dict[str, int | bool] = {"/Predictor": 15, "/Colors": colours, "/Columns": image.width}
    return PdfImage(_png_data(file.getvalue()), *image.size, "/FlateDecode", _COLOURS[image.mode], 8, parameters)


def _png_data(png: bytes) -> bytes:
    parts: list[bytes] = []
    place = 8
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        if png[place + 4 : place + 8] == b"IDAT":
            parts.append(png[place + 8 : place + 8 + length])
        place += 12 + length
    data = b"".join(parts)
    zlib.decompressobj().decompress(data, 1)  # a broken frame must not become a broken picture
    return data
