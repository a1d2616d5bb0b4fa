"""Pages of OCR results in XML and HTML, compressed or not, by the name of their kind."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from lxml import etree

from ocrray.errors import RecordError
from ocrray.sources.compression import Unpacked, unpacked
from ocrray.sources.kinds import KINDS, InputKind, MarkupFormat, kind_of_root
from ocrray.sources.ocr_files import xml_parse
from ocrray.sources.ocr_files.document import Document
from ocrray.sources.ocr_files.page_stream import PageStream, iterate_pages
from ocrray.sources.ocr_files.xml_parse import local_name, parse_html, parse_xml

MAX_STREAMED_BYTES = 1 << 30
"""Size limit, unpacked, of a file that is read page by page."""


def count_pages(kind: str, data: bytes, max_bytes: int = MAX_STREAMED_BYTES) -> int:
    """Return the number of pages, at least 1.

    Raises: RecordError: `unsafe_xml`, `invalid_xml`, `wrong_format`, `truncated` and `unreadable` (what is compressed),
        `too_large` (also where a file that must be read page by page has more than `max_bytes`).
    """
    content = _content(kind, data)
    if content is not None:
        return len(pages(kind, content))
    count = sum(1 for _ in _iterate(kind, data, max_bytes))
    if not count:
        raise RecordError("it is too large to be read at once, and no pages are marked in it", kind="too_large")
    return count


def read_page(kind: str, data: bytes, page: int, max_bytes: int = MAX_STREAMED_BYTES) -> Document:
    """Return the page with this 0-based index.

    Raises: RecordError: `missing_page`, and as `count_pages`.
    """
    content = _content(kind, data)
    reader = _reader(kind)
    if content is None:
        return _stream(kind, data, max_bytes).read(page, reader.read)
    found = pages(kind, content)
    if not 0 <= page < len(found):
        raise RecordError(f"there is no page {page + 1}: the file has {len(found)}", kind="missing_page")
    return reader.read(found[page])


# The pages of one file are read one after the other: parsing a book anew for each of its pages would take hours.
@lru_cache(maxsize=1)
def pages(kind: str, data: bytes) -> Sequence[etree._Element]:
    """Return the element of every page of a file that is not compressed.

    Raises: RecordError: as `count_pages`.
    """
    expected = KINDS[kind]
    root = parse_html(data) if expected.is_html else parse_xml(data, has_doctype=expected.has_doctype)
    _require_kind(root, expected)
    return _reader(kind).find_pages(root)


@lru_cache(maxsize=1)
def _content(kind: str, data: bytes) -> bytes | None:
    """Return the unpacked content of a file; None if it is too large for one tree and its pages can be read one by one."""
    try:
        content = unpacked(data, xml_parse.MAX_BYTES)
    except RecordError as err:
        if err.kind != "too_large" or KINDS[kind].page_mark is None:
            raise
        return None
    return None if len(content) > xml_parse.MAX_BYTES and KINDS[kind].page_mark else content


@lru_cache(maxsize=1)
def _stream(kind: str, data: bytes, max_bytes: int) -> PageStream:
    return PageStream(lambda: _iterate(kind, data, max_bytes))


def _iterate(kind: str, data: bytes, max_bytes: int) -> Iterator[etree._Element]:
    expected = KINDS[kind]
    if expected.page_mark is None:
        raise ValueError(f"{kind} is not read page by page")
    has_doctype = expected.has_doctype or expected.is_html
    for page in iterate_pages(Unpacked(data, max_bytes), expected.page_mark, has_doctype=has_doctype):
        _require_kind(page.getroottree().getroot(), expected)
        yield page


def _require_kind(root: etree._Element, expected: InputKind) -> None:
    name = local_name(root)
    other = kind_of_root(name)
    if other is not expected and (other or expected.root_name):
        raise RecordError(f"this is not {expected.name}: its root element is <{name}>", kind="wrong_format")


def _reader(kind: str) -> MarkupFormat:
    reader = KINDS[kind].markup
    if reader is None:
        raise ValueError(f"{kind} is no kind of markup")
    return reader
