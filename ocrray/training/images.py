"""Images that samples refer to: checked when the samples are prepared, and decoded late, in the collator of a training worker."""

from collections.abc import Mapping

from PIL import Image

from ocrray.errors import RecordError
from ocrray.sources import kinds
from ocrray.storage import Location, files

MAX_FILE_BYTES = 1 << 28
MAX_PIXELS = 100_000_000  # a decoded page of this size takes 300 MB

Reference = Mapping[str, bytes | str | None]
"""A value of type IMAGE."""


def open_image(reference: Reference) -> Image.Image:
    """Decode the first page of an IMAGE reference (`bytes`, else the file at `path`) as an upright RGB image.

    Raises:
        RecordError: when the file is missing, too large (MAX_FILE_BYTES, MAX_PIXELS), or no image.
    """
    return _decode(_read(reference), reference, 0).convert("RGB")


def checked_image(reference: Reference) -> tuple[bytes, tuple[int, int]]:
    """Return the encoded bytes of an image that can be decoded, and its width and height in pixels.

    Raises:
        RecordError: as `open_image` does, and `several_pages`.
    """
    data = _read(reference)
    size = _decode(data, reference, 0).size
    try:
        _decode(data, reference, 1)
    except RecordError as error:
        if error.kind == "missing_page":
            return data, size
        raise
    raise RecordError(f"{_name(reference)}: has several pages, and one is asked for", "several_pages")


def _read(reference: Reference) -> bytes:
    data = reference["bytes"]
    return data if isinstance(data, bytes) else files.read_bytes(Location.at(_name(reference)), MAX_FILE_BYTES)


def _decode(data: bytes, reference: Reference, page: int) -> Image.Image:
    return kinds.image_format_of(data).decode_page(data, page, _name(reference), MAX_PIXELS)


def _name(reference: Reference) -> str:
    return str(reference["path"] or "image")
