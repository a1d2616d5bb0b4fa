"""ABBYY FineReader XML, schemas 6 to 10, in any namespace or none: text block by block, character by character.

Sources of the format: FineReader6-schema-v1.xml, FineReader8-schema-v2.xml, FineReader10-schema-v1.xml.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from statistics import fmean

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.ocr_files.document import NO_BOX, Box, Document, around, box, clean, confidence, number
from ocrray.sources.ocr_files.page_scope import scope_of
from ocrray.sources.ocr_files.text_runs import TextRun, runs_with_scope
from ocrray.sources.ocr_files.xml_parse import local_name

SIGNS = re.compile(rb"FineReader|ABBYY|<(?:[\w.-]+:)?charParams\b|\bblockType\s*=")
"""Occurs in the head of such a file, once its NULs (of UTF-16) are removed: other formats too have a root `document`."""

_PARTS = {"formatting", "charParams"}
_ALTERNATIVES = {"charRecVariants", "wordRecVariants"}
_SPACE = re.compile(r"\s+")

_Char = tuple[str, etree._Element | None]
"""One or more characters, with their charParams element if they have one; any white space is one space."""


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return every page element; the root where there is none."""
    return [element for element in root.iter("{*}page") if next(element.iterancestors("{*}page"), None) is None] or [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page in document order, cells of tables row by row; text outside of any line becomes a line.

    Alternatives that were recognized for a character or a word are read only where there is nothing else. A word is what stands
    between spaces; its confidence is the mean of its characters'.
    """
    blocks = {block.get("pageElemId"): block for block in page.iter("{*}block") if block.get("pageElemId")}

    def is_repeated(element: etree._Element) -> bool:
        # Schema 10 has a block's text in the block, or else in the stream of the section that the block belongs to.
        block = blocks.get(element.get("pageElemId")) if local_name(element) == "pageElement" else None
        return block is not None and _printed(block) == _printed(element)

    runs = runs_with_scope(page, scope_of(page, find_pages), lambda element: local_name(element) in _PARTS, is_repeated)
    lines = (_line(run) for run in runs)
    return Document([line for line in lines if line.text], None)


def _printed(element: etree._Element) -> str:
    return "".join("".join(map(str, element.itertext())).split())


def _line(run: TextRun) -> Line:
    chars = [char for piece in run.pieces for char in _chars(piece)]
    has_boxes = any(element is not None for _, element in chars)
    words = [_word(word) for word in _split(chars)] if has_boxes else []
    is_line = local_name(run.element) == "line"
    own_box = _box(run.element) if is_line else NO_BOX
    place = around(words) if is_line and own_box == NO_BOX else own_box
    return Line(clean(_SPACE.sub(" ", "".join(text for text, _ in chars))), *place, words=tuple(words))


def _chars(piece: str | etree._Element) -> Iterator[_Char]:
    """Yield the characters of a formatting, a charParams or of plain text."""
    if isinstance(piece, str):
        yield from ((char, None) for char in _SPACE.sub(" ", piece))
        return
    has_chars = next(piece.iter("{*}charParams"), None) is not None
    own_text = _own_text(piece)
    if own_text.strip() or local_name(piece) == "charParams":
        if not has_chars and piece.get("base64encoded") in ("1", "true"):
            yield from _chars(_decoded(own_text))
        else:
            yield from _inner_chars(piece, has_chars=has_chars)
        return
    if not has_chars and own_text:
        yield " ", None
    # Alternatives, for words that have nothing else.
    for variants in piece.iter("{*}wordRecVariants"):
        if (first := next(variants.iter("{*}variantText"), None)) is not None:
            yield from _inner_chars(first, has_chars=next(first.iter("{*}charParams"), None) is not None)
            yield " ", None


def _inner_chars(element: etree._Element, *, has_chars: bool) -> Iterator[_Char]:
    if local_name(element) == "charParams":
        # Some tools drop the space in an element that holds nothing else.
        yield _SPACE.sub(" ", _own_text(element).strip()) or " ", element
        return
    texts = [(element.text, None), *((child.tail, child) for child in element)]
    for text, child in texts:
        if child is not None and local_name(child) not in _ALTERNATIVES:
            yield from _inner_chars(child, has_chars=has_chars)
        # White space between characters that have elements of their own is indentation.
        if text and (text.strip() or not has_chars):
            yield from _chars(text)


def _own_text(element: etree._Element) -> str:
    """Return the text in an element without that of alternatives."""
    if not len(element):
        return element.text or ""
    inside = (_own_text(child) if local_name(child) not in _ALTERNATIVES else "" for child in element)
    tails = (child.tail or "" for child in element)
    return (element.text or "") + "".join(text + tail for text, tail in zip(inside, tails, strict=True))


def _decoded(text: str) -> str:
    """Decode text in base64, which FineReader uses for characters that XML cannot hold; return what is none as it is."""
    try:
        data = b64decode("".join(text.split()), validate=True)
        return data.decode("utf-16-le" if b"\0" in data else "utf-8")
    except (binascii.Error, ValueError):
        return text


def _split(chars: list[_Char]) -> list[list[_Char]]:
    """Split characters into words at spaces."""
    words: list[list[_Char]] = [[]]
    for char in chars:
        if char[0].isspace():
            words.append([])
        else:
            words[-1].append(char)
    return [word for word in words if word]


def _word(chars: list[_Char]) -> Word:
    elements = [element for _, element in chars if element is not None]
    text = clean("".join(text for text, _ in chars))
    return Word(text, *around([Word("", *_box(element)) for element in elements]), _confidence(elements))


def _confidence(chars: list[etree._Element]) -> float | None:
    values = [confidence(char.get("charConfidence"), best=100.0) for char in chars]  # 255 and -1: not known
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _box(element: etree._Element) -> Box:
    left, top, right, bottom = (number(element.get(side)) for side in "ltrb")
    return box(left, top, right, bottom)
