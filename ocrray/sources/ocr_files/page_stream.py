"""Pages of XML that is too large for one tree: read one after another, with one page in memory."""

import threading
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from lxml import etree

from ocrray.errors import RecordError
from ocrray.sources.kinds import PageMark
from ocrray.sources.ocr_files import xml_parse
from ocrray.sources.ocr_files.xml_parse import local_name

ResultT = TypeVar("ResultT")

_CHUNK_BYTES = 1 << 16
_HEAD_BYTES = 1 << 16
_NO_TEXT = {"head", "script", "style", "title"}


class Readable(Protocol):
    """File that is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; empty at the end."""


def iterate_pages(file: Readable, mark: PageMark, *, has_doctype: bool) -> Iterator[etree._Element]:
    """Yield the element of each page, which loses its content when the next is asked for.

    Raises: RecordError: `unsafe_xml`, `invalid_xml`; `too_large`: when a page has more than `xml_parse.MAX_BYTES` bytes, or
        there is text outside of the pages; and as `file.read`.
    """
    parser = etree.XMLPullParser(("start", "end"), tag=f"{{*}}{mark.name}", **xml_parse.SAFE_XML)
    page: etree._Element | None = None
    root: etree._Element | None = None
    head, size = b"", 0
    try:
        while chunk := file.read(_CHUNK_BYTES):
            head, size = head or chunk[:_HEAD_BYTES], size + len(chunk)
            parser.feed(chunk)
            for event, element in parser.read_events():
                if not isinstance(element, etree._Element):
                    continue  # not among the events asked for
                if root is None:
                    root = element.getroottree().getroot()
                    xml_parse.require_safe(root, has_doctype=has_doctype)
                if event == "start" and page is None and mark.matches(element):
                    page = element
                elif event == "end" and page is not None and element is page:
                    xml_parse.require_no_entities(page)
                    yield page
                    _drop(page, root)
                    page, size = None, len(chunk)
            if size > xml_parse.MAX_BYTES:
                message = f"a page has more than {xml_parse.MAX_BYTES:,} bytes, or there are no pages in it"
                raise RecordError(message, kind="too_large")
        _require_no_text(parser.close())
    except etree.LxmlError as err:
        raise xml_parse.as_record_error(err, head) from None


def _drop(page: etree._Element, root: etree._Element) -> None:
    """Empty a page that has been read, and remove what lies between it and the page before."""
    page.clear(keep_tail=True)  # type: ignore[call-arg]  # the stubs lack it
    _require_no_text(root, page)
    parent = page.getparent()
    while parent is not None and page.getprevious() is not None:
        del parent[0]


def _require_no_text(root: etree._Element, end: etree._Element | None = None) -> None:
    """Check that what has been parsed, up to the element `end`, holds no text."""
    for event, element in etree.iterwalk(root, ("start", "end"), tag="{*}*"):
        if element is end:
            return
        text = element.tail if event == "end" else None if local_name(element).lower() in _NO_TEXT else element.text
        if text and text.strip():
            message = f"it is too large to be read at once, and it has text outside of its pages: {text.strip()[:40]!r}"
            raise RecordError(message, kind="too_large")


class PageStream:
    """Pages of one file, to be read forwards; an earlier page costs reading the file from its beginning again."""

    def __init__(self, open_pages: Callable[[], Iterator[etree._Element]]) -> None:
        self._open_pages = open_pages
        self._pages: Iterator[etree._Element] = iter(())
        self._next = 0
        self._lock = threading.Lock()

    def read(self, page: int, read: Callable[[etree._Element], ResultT]) -> ResultT:
        """Return `read(element)` of the page with this 0-based index.

        Raises: RecordError: `missing_page`, and as `iterate_pages`.
        """
        with self._lock:
            if self._next == 0 or page < self._next:
                self._pages, self._next = self._open_pages(), 0
            for element in self._pages:
                self._next += 1
                if self._next > page >= 0:
                    return read(element)
            count, self._next = self._next, 0
        raise RecordError(f"there is no page {page + 1}: the file has {count}", kind="missing_page")
