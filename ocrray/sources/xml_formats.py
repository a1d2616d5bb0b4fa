"""The OCR file formats ALTO, PAGE XML and hOCR behind one door: which is it, how many pages, read one. (METS: `mets`.)"""

import re
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import Literal

from lxml import etree

from ocrray.errors import RecordError
from ocrray.sources import alto, hocr, page_xml
from ocrray.sources.document import Document
from ocrray.sources.xml_parse import local_name, parse_html, parse_xml, root_name

__all__ = ["Document", "Kind", "count_pages", "pages", "read_page", "sniff"]

Kind = Literal["alto", "page", "hocr"]

_ROOTS: dict[str, Literal["alto", "page", "mets"]] = {"alto": "alto", "PcGts": "page", "mets": "mets"}
_READERS: dict[Kind, ModuleType] = {"alto": alto, "page": page_xml, "hocr": hocr}

_HOCR = re.compile(rb"ocr_page|ocr_line|ocrx_line|ocrx_word|ocr_carea|ocr-system")
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<")


def sniff(data: bytes) -> Literal["alto", "page", "hocr", "mets"] | None:
    """Which format `data` is in, by its root element, of any namespace or version; None when it is none of these.

    The beginning of a file is enough, if it reaches the first page's element.
    """
    name = root_name(data)
    if name in _ROOTS:
        return _ROOTS[name]
    text = data.replace(b"\0", b"")  # without its NULs UTF-16 reads like ASCII
    return "hocr" if _MARKUP.match(text) and _HOCR.search(text) else None


def count_pages(kind: Kind, data: bytes) -> int:
    """How many pages the file has, at least 1; raises RecordError (`unsafe_xml`, `invalid_xml`, `too_large`, `wrong_format`)."""
    return len(pages(kind, data))


def read_page(kind: Kind, data: bytes, page: int) -> Document:
    """The page with this 0-based index; raises RecordError as `count_pages` does, and `missing_page`."""
    found = pages(kind, data)
    if not 0 <= page < len(found):
        raise RecordError(f"there is no page {page + 1}: the file has {len(found)}", kind="missing_page")
    return _READERS[kind].read(found[page])


# The pages of one file are asked for one after the other: parsing a book anew for each of its pages would take hours.
@lru_cache(maxsize=1)
def pages(kind: Kind, data: bytes) -> Sequence[etree._Element]:
    """The element of every page; raises RecordError as `count_pages` does."""
    root = parse_html(data) if kind == "hocr" else parse_xml(data)
    name = local_name(root)
    if _ROOTS.get(name, "hocr") != kind:
        raise RecordError(f"this is not {kind}: its root element is <{name}>", kind="wrong_format")
    return _READERS[kind].find_pages(root)
