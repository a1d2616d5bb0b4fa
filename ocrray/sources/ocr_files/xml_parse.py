"""Parsing of untrusted XML and HTML: bounded size and depth, no entities, no network access."""

import codecs
import re
from io import BytesIO
from typing import Any

from lxml import etree

from ocrray.errors import RecordError

EXTENSIONS = (".xml", ".alto", ".hocr", ".html", ".htm", ".xhtml")
MAX_BYTES = 64_000_000
"""Size limit of a document, whose tree may take 18 times as much memory; libxml2's own are 10 MB a text and a depth of 256."""

# Comments and processing instructions would split the text around them in two.
_SAFE: dict[str, Any] = {"no_network": True, "huge_tree": False, "remove_comments": True, "remove_pis": True}
SAFE_XML: dict[str, Any] = {**_SAFE, "resolve_entities": False, "load_dtd": False}

_DECLARED_ENCODING = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
# Scripts and comments; one without an end is `<!--` alone.
_COMMENTS = re.compile(rb"<(script|style)\b.*?</\1|<!--(?:-?>|.*?--!?>)?", re.DOTALL | re.IGNORECASE)
_DECLARATION_BYTES = 4096


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def select(path: etree.XPath, element: etree._Element) -> list[etree._Element]:
    """Return the elements that a path selects, in document order."""
    found = path(element)
    return [item for item in found if isinstance(item, etree._Element)] if isinstance(found, list) else []


def root_name(data: bytes) -> str | None:
    """Return the local name of the root element, parsing no further; None if `data` is not XML up to there."""
    try:
        return local_name(_root(data))
    except etree.LxmlError:
        return None


def parse_xml(data: bytes, *, has_doctype: bool = False) -> etree._Element:
    """Return the root element of an XML document.

    Raises: RecordError: `too_large` (over MAX_BYTES or libxml2's limits), `unsafe_xml` (it has a DOCTYPE, or with `has_doctype`
        one that declares entities), `invalid_xml` (with the line number).
    """
    _refuse_too_large(data)
    try:
        require_safe(_root(data), has_doctype=has_doctype)
        root = etree.fromstring(data, etree.XMLParser(**SAFE_XML))
    except etree.LxmlError as err:
        raise as_record_error(err, data) from None
    if has_doctype:
        require_no_entities(root)
    return root


def require_safe(root: etree._Element, *, has_doctype: bool) -> None:
    """Check the DOCTYPE of a document, of which no more than the root element need be parsed.

    Raises: RecordError: `unsafe_xml`: when it has one, or with `has_doctype` one that declares entities.
    """
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and not has_doctype:
        raise RecordError("it has a DOCTYPE, which none of these formats needs and which is not trusted", kind="unsafe_xml")
    if dtd is not None and any(dtd.iterentities()):  # type: ignore[attr-defined]  # the stubs lack this method
        raise RecordError("its DOCTYPE declares entities, which are not trusted", kind="unsafe_xml")


def require_no_entities(element: etree._Element) -> None:
    """Check that no text is hidden in references to entities, which a DTD that is not read may declare.

    Raises: RecordError: `invalid_xml`.
    """
    if (entity := next(element.iter(etree.Entity), None)) is not None:
        raise RecordError(f"not well-formed: {entity.text} is not declared in the file", kind="invalid_xml")


def parse_html(data: bytes) -> etree._Element:
    """Return the root element of an HTML document, well-formed (XHTML) or not.

    Raises: RecordError: as `parse_xml`, but a DOCTYPE is `unsafe_xml` only if it declares entities.
    """
    _refuse_too_large(data)
    try:
        # XML first: to an HTML parser the `<title/>` of XHTML opens an element that swallows the page.
        root = etree.fromstring(data, etree.XMLParser(**SAFE_XML))
    except etree.XMLSyntaxError as err:
        refusal = as_record_error(err, data)
        if refusal.kind != "invalid_xml":
            raise refusal from None
        return _parse_tag_soup(data)
    require_safe(root, has_doctype=True)
    # The names that the DTD of XHTML would have defined (&eacute;) are known to the HTML parser without it.
    return root if next(root.iter(etree.Entity), None) is None else _parse_tag_soup(data)


def _parse_tag_soup(data: bytes) -> etree._Element:
    _refuse_open_comment(data)
    parser = etree.HTMLParser(**_SAFE, encoding=html_encoding(data))
    try:
        root: etree._Element | None = etree.fromstring(data, parser)
    except etree.LxmlError as err:
        raise as_record_error(err, data) from None
    # The HTML parser mends what it can and stops at what it cannot, with half a tree and no exception.
    if fatal := parser.error_log.filter_from_fatals():
        kind = "too_large" if fatal[0].type == etree.ErrorTypes.ERR_RESOURCE_LIMIT else "invalid_xml"
        raise RecordError(f"cannot be read as HTML: line {fatal[0].line}: {fatal[0].message.strip()}", kind=kind)
    if root is None:
        raise RecordError("there is no element in it", kind="invalid_xml")
    return root


def _refuse_open_comment(data: bytes) -> None:
    """Refuse a comment without an end: it hides all text behind it, and an HTML parser says nothing."""
    text = data.replace(b"\0", b"")  # of UTF-16
    if start := next((match.start() for match in _COMMENTS.finditer(text) if match[0] == b"<!--"), None):
        line = text.count(b"\n", 0, start) + 1
        raise RecordError(f"cannot be read as HTML: line {line}: a comment that does not end", kind="invalid_xml")


def _root(data: bytes) -> etree._Element:
    root: etree._Element = next(etree.iterparse(BytesIO(data), events=("start",), **SAFE_XML))[1]
    return root


def _refuse_too_large(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        message = f"the file has {len(data):,} bytes and at most {MAX_BYTES:,} are read: split it by page"
        raise RecordError(message, kind="too_large")


def as_record_error(err: etree.LxmlError, data: bytes) -> RecordError:
    """Return what is wrong with a document whose parsing raised `err`; `data` is the document, or its beginning."""
    message = " ".join(str(getattr(err, "msg", err)).split())
    if b"<!ENTITY" in data.replace(b"\0", b"").upper():  # without its NULs UTF-16 reads like ASCII
        return RecordError(f"it declares entities, which are not trusted, and is not well-formed: {message}", kind="unsafe_xml")
    if getattr(err, "code", None) == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
        return RecordError(f"a text is too long or the elements are too deep: {message}", kind="too_large")
    return RecordError(f"not well-formed: {message}", kind="invalid_xml")


def html_encoding(data: bytes) -> str | None:
    """Return the declared encoding, else UTF-8 if the bytes are valid in it (libxml2 assumes Latin-1), else None."""
    declared = _DECLARED_ENCODING.search(data[:_DECLARATION_BYTES])
    name = declared[1].decode("ascii") if declared and not data.startswith(codecs.BOM_UTF8) else "utf-8"
    try:
        data.decode(name)
        etree.HTMLParser(encoding=name)
    except (LookupError, UnicodeDecodeError):
        return None
    return name
