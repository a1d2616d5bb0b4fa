"""Text of an XML or HTML file with the position of each element, and replacement of parts of that text.

Bytes that are not replaced stay as they are.
"""

import codecs
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from itertools import chain, count

from lxml import etree

from ocrray.errors import RecordError
from ocrray.sources.ocr_files.xml_parse import html_encoding

_MARKUP = re.compile(
    r"""<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)|<![^\[>]*(?:\[[^\]]*\]\s*)?>"""
    r"""|<(?P<close>/)?(?P<name>[^\s<>/"'=]+)(?P<attributes>(?:[^<>"']|"[^"]*"|'[^']*')*?)(?P<empty>/)?>""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""(\s+)([^\s=/>"']+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s>"']+)""")
_COMMENT = re.compile(r"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(slots=True)
class Tag:
    """Position of an element: its start tag from `start` to `open_end`, its end tag from `close` to `end`."""

    name: str  # as written, with its prefix
    start: int
    open_end: int
    is_empty: bool
    close: int = -1  # -1 until the end tag is found
    end: int = -1
    is_implied: bool = False  # the end tag is omitted (HTML): the element ends no later than its parent


@dataclass
class Source:
    """Text of a file and the tags of its parsed elements. Changes are collected and applied by `written`."""

    text: str
    encoding: str
    tags: dict[etree._Element, Tag]
    _splices: list[tuple[int, int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, data: bytes, root: etree._Element, *, is_html: bool) -> "Source":
        """Locate the elements of the tree that was parsed from `data`.

        Raises: RecordError: `not_traceable` when tree and text do not match.
        """
        encoding = _encoding(data, root)
        try:
            text = data.decode(encoding)
            same = text.encode(encoding) == data
        except (LookupError, UnicodeError):
            same = False
        if not same:
            raise RecordError(f"the bytes of this file are not {encoding} throughout", kind="not_traceable")
        return cls(text, encoding, _matched(root, _tags(text, is_html=is_html), is_html=is_html))

    def splice(self, start: int, end: int, new: str) -> None:
        """Replace the text from `start` to `end` by `new`."""
        self._splices.append((start, end, new))

    def written(self) -> bytes:
        """Apply all changes; a character that the encoding lacks is written as a character reference.

        Raises: RecordError: `not_traceable` when two changes overlap.
        """
        parts: list[str] = []
        done = 0
        for start, end, new in sorted(self._splices, key=lambda splice: splice[:2]):
            if start < done:
                raise RecordError("two changes overlap", kind="not_traceable")
            parts += [self.text[done:start], new]
            done = end
        return "".join([*parts, self.text[done:]]).encode(self.encoding, "xmlcharrefreplace")

    def tag(self, element: etree._Element) -> Tag:
        """Return the element's position.

        Raises: RecordError: `not_traceable` for an element that the parser added.
        """
        if (tag := self.tags.get(element)) is None:
            raise RecordError(f"an element <{element.tag}> that is not in the file", kind="not_traceable")
        return tag

    def end(self, element: etree._Element) -> int:
        """Return the position behind the element."""
        tag = self.tag(element)
        return self.close(element) if tag.is_implied else tag.end

    def close(self, element: etree._Element) -> int:
        """Return the position of the end tag, or where it belongs if it is omitted."""
        tag = self.tag(element)
        ancestor: etree._Element | None = element
        following = None
        while tag.is_implied and ancestor is not None and (following := ancestor.getnext()) is None:
            ancestor = ancestor.getparent()
        return tag.close if following is None else min(tag.close, self.tag(following).start)

    def indent(self, place: int) -> str:
        """Return the white space before `place`, at most 1000 characters."""
        before = self.text[max(0, place - 1000) : place]
        return before[len(before.rstrip(" \t\r\n")) :]

    def remove(self, element: etree._Element) -> None:
        """Remove the element and the white space before it."""
        start = self.tag(element).start
        self.splice(start - len(self.indent(start)), self.end(element), "")

    def set_attributes(self, element: etree._Element, values: Mapping[str, str | None]) -> None:
        """Set the element's attributes; a value of None removes the attribute."""
        tag = self.tag(element)
        self.splice(tag.start, tag.open_end, self.start_tag(element, values))

    def start_tag(self, element: etree._Element, values: Mapping[str, str | None]) -> str:
        """Return the element's start tag as written, with these attributes set and those that are None removed."""
        tag = self.tag(element)
        missing = {name: value for name, value in values.items() if value is not None}

        def replaced(match: re.Match[str]) -> str:
            space, name, equals, old = match.groups()
            if name not in values:
                return match[0]
            value = values[name]
            missing.pop(name, None)
            if value is None:
                return ""
            return f"{space}{name}{equals}{quoted(value, old[0])}"

        head = 1 + len(tag.name)
        written = self.text[tag.start : tag.open_end]
        body = _ATTRIBUTE.sub(replaced, written[head:])
        attributes = len(body.removesuffix(">").removesuffix("/").rstrip())
        new = "".join(f" {name}={quoted(value)}" for name, value in missing.items())
        return f"{written[:head]}{body[:attributes]}{new}{body[attributes:]}"

    def append(self, element: etree._Element, markup: str) -> None:
        """Add `markup` as the last child of an element, indented like the others."""
        tag = self.tag(element)
        if tag.is_empty:
            opened = re.sub(r"\s*/>\Z", ">", self.text[tag.start : tag.open_end])
            self.splice(tag.start, tag.open_end, f"{opened}{markup}</{tag.name}>")
        elif len(element):
            self.splice(self.end(element[-1]), self.end(element[-1]), self.indent(self.tag(element[0]).start) + markup)
        else:
            self.splice(tag.open_end, tag.open_end, markup)

    def text_span(self, element: etree._Element, *, is_tail: bool = False) -> tuple[int, int]:
        """Return start and end of the element's `text` (or `tail`)."""
        if is_tail:
            start, following, parent = self.end(element), element.getnext(), element.getparent()
        else:
            start, following, parent = self.tag(element).open_end, (element[0] if len(element) else None), element
        if following is not None:
            return start, self.tag(following).start
        return start, len(self.text) if parent is None else self.close(parent)

    def set_text(self, element: etree._Element, new: str, *, is_tail: bool = False) -> None:
        """Replace the element's `text` (or `tail`) by `new`; comments in it are kept, behind `new`."""
        tag = self.tag(element)
        if tag.is_empty and not is_tail:
            opened = re.sub(r"\s*/>\Z", ">", self.text[tag.start : tag.open_end])
            self.splice(tag.start, tag.open_end, f"{opened}{escaped(new)}</{tag.name}>")
            return
        start, end = self.text_span(element, is_tail=is_tail)
        old = self.text[start:end]
        if "\r\n" in old:
            new = new.replace("\n", "\r\n")
        self.splice(start, end, escaped(new) + "".join(_COMMENT.findall(old)))


def empty_element(name: str, values: Mapping[str, str | None]) -> str:
    """Return an empty element with these attributes, without those that are None."""
    attributes = "".join(f" {key}={quoted(value)}" for key, value in values.items() if value is not None)
    return f"<{name}{attributes}/>"


def ids_of(root: etree._Element) -> set[str]:
    """Return all element ids of the file."""
    attributes = ((str(name), str(value)) for element in root.iter("{*}*") for name, value in element.items())
    return {value for name, value in attributes if name.rpartition("}")[2].lower() == "id"}


def new_id(taken: set[str], wish: str) -> str:
    """Return an unused id, `wish` itself or with a number appended, and add it to `taken`."""
    identifier = next(name for name in chain([wish], (f"{wish}_{i}" for i in count(2))) if name not in taken)
    taken.add(identifier)
    return identifier


def escaped(text: str) -> str:
    """Escape text for use between tags."""
    return escape(text, quote=False)


def quoted(value: str, quote: str = '"') -> str:
    """Escape an attribute value and put it in quotes."""
    quote = quote if quote in "\"'" else '"'
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\t", "&#9;").replace("\n", "&#10;")
    return quote + value.replace(quote, "&quot;" if quote == '"' else "&#39;") + quote


def _encoding(data: bytes, root: etree._Element) -> str:
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return name
    return root.getroottree().docinfo.encoding or html_encoding(data) or "latin-1"


def _tags(text: str, *, is_html: bool) -> list[tuple[Tag, str]]:
    """Return the start tags in file order, each with its attributes as written and the position of its end tag."""
    found: list[tuple[Tag, str]] = []
    open_tags: list[Tag] = []
    waiting: Counter[str] = Counter()  # names of `open_tags`, counted
    place = 0
    while match := _MARKUP.search(text, place):
        place = match.end()
        name = match["name"]
        if name is None:
            continue
        key = name.lower() if is_html else name
        if match["close"]:
            while waiting[key]:
                tag = open_tags.pop()
                its_key = tag.name.lower() if is_html else tag.name
                waiting[its_key] -= 1
                if its_key == key:
                    tag.close, tag.end = match.span()
                    break
                tag.close = tag.end = match.start()
                tag.is_implied = True
            continue
        tag = Tag(name, match.start(), match.end(), bool(match["empty"]))
        found.append((tag, match["attributes"]))
        if tag.is_empty or (is_html and key in _VOID):
            tag.close = tag.end = match.end()
        else:
            open_tags.append(tag)
            waiting[key] += 1
        if is_html and not tag.is_empty and key in ("script", "style"):
            closing = re.compile(f"</{name}", re.IGNORECASE).search(text, place)
            place = closing.start() if closing else len(text)
    for tag in open_tags:
        tag.close = tag.end = len(text)
        tag.is_implied = True
    return found


def _same(name: str, other: str, is_html: bool) -> bool:
    return name == other or (is_html and name.lower() == other.lower())


def _matched(root: etree._Element, tags: list[tuple[Tag, str]], *, is_html: bool) -> dict[etree._Element, Tag]:
    """Match elements and tags, both in file order; an HTML parser adds elements, which have no attributes.

    Raises: RecordError: `not_traceable` when they do not match.
    """
    matched: dict[etree._Element, Tag] = {}
    following = iter(tags)
    tag: Tag | None
    tag, attributes = next(following, (None, ""))
    for element in root.iter("{*}*"):
        name = element.tag.rpartition("}")[2]
        same_name = tag is not None and _same(tag.name.rpartition(":")[2], name, is_html)
        if tag is not None and same_name and (not is_html or _fits(attributes, element)):
            matched[element] = tag
            tag, attributes = next(following, (None, ""))
        elif not is_html or element.attrib:
            break
    if tag is not None or not matched:
        raise RecordError("its elements cannot be located in the file", kind="not_traceable")
    return matched


def _fits(attributes: str, element: etree._Element) -> bool:
    """Return whether the attributes as written hold the element's id and title."""
    written = {match[2].lower(): match[4] for match in _ATTRIBUTE.finditer(attributes)}
    return all(
        " ".join(unescape(written.get(name, "").strip("\"'")).split()) == " ".join((element.get(name) or "").split())
        for name in ("id", "title")
    )
