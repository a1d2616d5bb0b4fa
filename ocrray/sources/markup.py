"""Pages of OCR results in XML and HTML, by the name of their kind."""

from collections.abc import Sequence
from functools import lru_cache

from lxml import etree

from ocrray.errors import RecordError
from ocrray.sources.document import Document
from ocrray.sources.kinds import KINDS, MarkupFormat, kind_of_root
from ocrray.sources.xml_parse import local_name, parse_html, parse_xml


def count_pages(kind: str, data: bytes) -> int:
    """Return the number of pages, at least 1.

    Raises: RecordError: `unsafe_xml`, `invalid_xml`, `too_large`, `wrong_format`.
    """
    return len(pages(kind, data))


def read_page(kind: str, data: bytes, page: int) -> Document:
    """Return the page with this 0-based index.

    Raises: RecordError: `missing_page`, and as `count_pages`.
    """
    found = pages(kind, data)
    if not 0 <= page < len(found):
        raise RecordError(f"there is no page {page + 1}: the file has {len(found)}", kind="missing_page")
    return _reader(kind).read(found[page])


# The pages of one file are read one after the other: parsing a book anew for each of its pages would take hours.
@lru_cache(maxsize=1)
def pages(kind: str, data: bytes) -> Sequence[etree._Element]:
    """Return the element of every page.

    Raises: RecordError: as `count_pages`.
    """
    expected = KINDS[kind]
    root = parse_html(data) if expected.is_html else parse_xml(data)
    name = local_name(root)
    other = kind_of_root(name)
    if other is not expected and (other or expected.root_name):
        raise RecordError(f"this is not {kind}: its root element is <{name}>", kind="wrong_format")
    return _reader(kind).find_pages(root)


def _reader(kind: str) -> MarkupFormat:
    reader = KINDS[kind].markup
    if reader is None:
        raise ValueError(f"{kind} is no kind of markup")
    return reader
