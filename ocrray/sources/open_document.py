"""One page of text out of any file that holds text already: plain text, ALTO, PAGE, hOCR."""

from collections.abc import Sequence
from dataclasses import dataclass

from ocrray.errors import RecordError
from ocrray.records import Line
from ocrray.sources import files, xml_formats
from ocrray.sources.text_files import read_text_file


@dataclass(frozen=True, slots=True)
class LoadedPage:
    """The text of a page, its lines where the format has any, the scan behind it where that is there, the file's sha256."""

    text: str
    lines: Sequence[Line] | None
    image_uri: str | None
    content_hash: str


def open_document(kind: str, uri: str, page: int, *, encoding: str, max_file_bytes: int) -> LoadedPage:
    """Page `page` (0-based) of the file at `uri`; `kind` is text, alto, page or hocr.

    Raises RecordError: those of `files.read_bytes`, of `read_text_file` and of `xml_formats.read_page`.
    """
    location = files.parse(uri)
    if kind == "text":
        text = read_text_file(uri, encoding, max_file_bytes)
        return LoadedPage(text, None, None, files.read_hashed(location, max_file_bytes)[1])
    data, content_hash = files.read_hashed(location, max_file_bytes)
    document = xml_formats.read_page(kind, data, page)
    text = "\n".join(line.text for line in document.lines)
    return LoadedPage(text, document.lines, _image_uri(location, document.image_name), content_hash)


def _image_uri(document: files.Location, image_name: str | None) -> str | None:
    """The scan that the file names, if it lies in the same folder: a name from a file is never followed elsewhere."""
    if not image_name:
        return None
    image = document.parent().child(image_name.replace("\\", "/").rpartition("/")[2])
    try:
        files.stat(image)
    except RecordError:
        return None
    return image.uri
