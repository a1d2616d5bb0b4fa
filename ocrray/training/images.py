"""Decoding of the images that samples refer to, late: in the collator of a training worker."""

from collections.abc import Mapping

from PIL import Image

from ocrray.sources import kinds
from ocrray.storage import Location, files

MAX_FILE_BYTES = 1 << 28
MAX_PIXELS = 100_000_000  # a decoded page of this size takes 300 MB


def open_image(reference: Mapping[str, bytes | str | None]) -> Image.Image:
    """Decode the first page of an IMAGE reference (`bytes`, else the file at `path`) as an upright RGB image.

    Raises:
        RecordError: when the file is missing, too large (MAX_FILE_BYTES, MAX_PIXELS), or no image.
    """
    data, path = reference["bytes"], str(reference["path"] or "")
    if not isinstance(data, bytes):
        data = files.read_bytes(Location.at(path), MAX_FILE_BYTES)
    image = kinds.image_format_of(data).decode_page(data, 0, path or "image", MAX_PIXELS)
    return image.convert("RGB")
