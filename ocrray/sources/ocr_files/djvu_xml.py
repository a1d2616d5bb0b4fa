"""DjVuXML: the text layer of DjVu files as `djvutoxml` writes it, and the Internet Archive's `_djvu.xml`.

Source of the format: DTD DjVuXML 1.1 and libdjvu/DjVuText.cpp of DjVuLibre. `coords` are left, bottom, right, top, from the top
left; in the Internet Archive's files the baseline follows. `x-confidence` is in 0..100.
"""

import re
from itertools import groupby

from lxml import etree

from ocrray.records import Line, Word
from ocrray.sources.ocr_files.document import NO_BOX, Box, Document, around, box, clean, confidence, number
from ocrray.sources.ocr_files.page_scope import scope_of
from ocrray.sources.ocr_files.text_runs import TextRun, runs_with_scope
from ocrray.sources.ocr_files.xml_parse import local_name

_PARTS = {"WORD", "CHARACTER"}
_SPACE = re.compile(r"\s+")
_SEPARATOR = re.compile(r"[\s,]+")
_LEAF_SUFFIX = ".djvu"
_SCAN_SUFFIX = ".jp2"


def find_pages(root: etree._Element) -> list[etree._Element]:
    """Return every OBJECT; the root where there is none."""
    return [element for element in root.iter("{*}OBJECT") if next(element.iterancestors("{*}OBJECT"), None) is None] or [root]


def read(page: etree._Element) -> Document:
    """Return the lines of one page in document order; text outside of any LINE becomes a line, also what is behind the page."""
    runs = runs_with_scope(
        page,
        scope_of(page, find_pages),
        lambda element: local_name(element) in _PARTS,
        lambda element: local_name(element) == "HEAD",
    )
    lines = (_line(run) for run in runs)
    return Document([line for line in lines if line.text], _image_name(page))


def _line(run: TextRun) -> Line:
    """Build a line of words separated by spaces; text beside the words is kept in its place."""
    texts, words = [], []
    # Characters that are in no word are one word as long as nothing is between them.
    for name, group in groupby(run.pieces, key=lambda piece: "" if isinstance(piece, str) else local_name(piece)):
        pieces = list(group)
        if name == "CHARACTER":
            texts.append("".join(map(_text, pieces)))
            continue
        for piece in pieces:
            text = _text(piece)
            texts.append(text)
            if text and not isinstance(piece, str):
                words.append(Word(text, *_box(piece), confidence(piece.get("x-confidence"), best=100.0)))
    is_line = local_name(run.element) == "LINE"
    own_box = _box(run.element) if is_line else NO_BOX
    place = around(words) if is_line and own_box == NO_BOX else own_box
    return Line(" ".join(filter(None, texts)), *place, words=tuple(words))


def _text(piece: str | etree._Element) -> str:
    if isinstance(piece, str):
        return _collapsed(piece)
    has_characters = next(piece.iter("{*}CHARACTER"), None) is not None
    return ("" if has_characters else " ").join(filter(None, map(_collapsed, map(str, piece.itertext()))))


def _collapsed(text: str) -> str:
    return clean(_SPACE.sub(" ", text))


def _box(element: etree._Element) -> Box:
    values = [number(value) for value in _SEPARATOR.split((element.get("coords") or "").strip())]
    if len(values) < 4:
        return NO_BOX
    left, bottom, right, top = values[:4]
    # The two heights are written in either order, by the axis that a producer counts on.
    return box(min(left, right), min(bottom, top), max(left, right), max(bottom, top)) if sum(values[:4]) >= 0 else NO_BOX


def _image_name(page: etree._Element) -> str | None:
    """Return the name of the scan: the Internet Archive names a page after it, with another suffix."""
    names = [page.get("usemap"), *(param.get("value") for param in page.iter("{*}PARAM") if param.get("name") == "PAGE")]
    name = clean(next(filter(None, names), ""))
    return name.removesuffix(_LEAF_SUFFIX) + _SCAN_SUFFIX if name.endswith(_LEAF_SUFFIX) else name or None
