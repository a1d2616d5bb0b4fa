"""Open one page of a file of any kind: as an image, or as the text that the file holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from PIL import Image

from ocrray.errors import RecordError
from ocrray.records import Line
from ocrray.sources import kinds
from ocrray.sources.ocr_files import markup
from ocrray.sources.scans.pdf_text import TextLayer, read_text_layer
from ocrray.sources.streams import TextEncoding
from ocrray.sources.text_files import read_text_file
from ocrray.storage import Location, files
from ocrray.text.dehyphenation import Division


@dataclass(frozen=True, slots=True)
class LoadedPage:
    """Text of one page; `lines` is None for plain text, `image_uri` where no scan lies beside the file."""

    text: str
    lines: Sequence[Line] | None
    image_uri: str | None
    content_hash: str
    """sha256 (hex) of the whole file."""
    warnings: Sequence[str] = ()
    """Keys of `records.WARNING_MEANINGS`."""
    divisions: Sequence[Division] = ()
    """Line ends in `text` where the file says that a word is divided."""


def open_image(uri: str, page: int = 0, *, max_pixels: int, max_file_bytes: int) -> tuple[Image.Image, str]:
    """Return the image of one page (0-based) of a scan, and the sha256 (hex) of the file. Its content determines its format.

    Raises: RecordError: `missing`, `unreadable`, `empty_file`, `truncated`, `not_an_image`, `too_large` (bytes, or pixels by the
        header), `too_small`, `encrypted`, `missing_page`.
    """
    data, digest = files.read_hashed(Location.at(uri), max_file_bytes)
    return kinds.image_format_of(data).decode_page(data, page, uri, max_pixels), digest


def open_text_layer(uri: str, page: int, *, max_pixels: int, max_file_bytes: int) -> tuple[TextLayer, str]:
    """Return the text layer of one page (0-based) of a PDF, and the sha256 (hex) of the file.

    Raises: RecordError: as `open_image`.
    """
    data, digest = files.read_hashed(Location.at(uri), max_file_bytes)
    return read_text_layer(data, page, uri, max_pixels), digest


def open_document(kind: str, uri: str, page: int, *, encoding: str, max_file_bytes: int) -> LoadedPage:
    """Return page `page` (0-based) of the file at `uri`; `kind` is a markup format, or `text`.

    Raises: RecordError: as `files.read_bytes`, `read_text_file` and `markup.read_page`.
    """
    location = Location.at(uri)
    if kinds.KINDS[kind].texts:
        text = read_text_file(uri, TextEncoding(encoding, "input.encoding"), max_file_bytes)
        return LoadedPage(text, None, None, files.read_hashed(location, max_file_bytes)[1])
    data, content_hash = files.read_hashed(location, max_file_bytes)
    document = markup.read_page(kind, data, page, max_file_bytes)
    lines = document.lines
    text = "\n".join(line.text for line in lines)
    ends = accumulate(1 + len(line.text) for line in lines)
    divisions = [Division(end - 1, document.divisions[i]) for i, end in enumerate(ends) if i in document.divisions]
    image_uri = _image_uri(location, document.image_name)
    return LoadedPage(text, lines, image_uri, content_hash, document.warnings, divisions)


def _image_uri(document: Location, image_name: str | None) -> str | None:
    """Return the scan that the file names, if it lies in the same folder: a name in a file is never followed elsewhere."""
    if not image_name:
        return None
    image = document.parent().child(image_name.replace("\\", "/").rpartition("/")[2])
    try:
        files.stat(image)
    except RecordError:
        return None
    return image.uri
