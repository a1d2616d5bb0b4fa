"""Whatever elements an ABBYY or DjVuXML file nests, each character of its text is read once, in its order."""

import gzip
from types import SimpleNamespace
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from ocrray.errors import RecordError
from ocrray.sources.kinds import KINDS
from ocrray.sources.ocr_files import markup, page_stream, xml_parse
from ocrray.sources.ocr_files.page_stream import iterate_pages

NAMES = {
    "abbyy": ("page", "block", "text", "par", "line", "formatting", "charParams", "row", "cell", "region", "unknown"),
    "djvu_xml": ("OBJECT", "HIDDENTEXT", "PARAGRAPH", "LINE", "WORD", "CHARACTER", "MAP", "unknown"),
}
ROOTS = {"abbyy": "document", "djvu_xml": "DjVuXML"}
ATTRIBUTES = st.sampled_from(
    ["", ' l="1" t="2" r="3" b="4"', ' coords="1,2,3,x"', ' l="NaN"', ' x-confidence="7" charConfidence="-1"']
)
TEXT = st.text(st.sampled_from("ab é\n¬"), max_size=4).map(escape)


def elements(kind: str) -> st.SearchStrategy[str]:
    """An element with text, elements and text behind these."""
    names = st.sampled_from(NAMES[kind])

    def around(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
        element = st.builds(lambda name, more, content: f"<{name}{more}>{''.join(content)}</{name}>", names, ATTRIBUTES, inner)
        return st.lists(element | TEXT, max_size=4)

    return st.recursive(st.lists(TEXT, max_size=2), around, max_leaves=12).map("".join)


def printed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("kind", NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_text_node_is_read_once_in_its_order(kind: str, data: st.DataObject) -> None:
    """Text beside, between and outside of lines and pages included."""
    content = f"<{ROOTS[kind]}>{data.draw(elements(kind))}</{ROOTS[kind]}>".encode()
    count = markup.count_pages(kind, content)

    lines = [line for page in range(count) for line in markup.read_page(kind, content, page).lines]

    assert printed("".join(line.text for line in lines)) == printed("".join(etree.fromstring(content).itertext()))
    for line in lines:
        assert line.text == line.text.strip() != ""
        place = 0
        for word in line.words:
            place = line.text.index(word.text, place) + len(word.text)


@pytest.mark.parametrize("kind", NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), cut=st.integers(0, 30), size=st.sampled_from([1, 7, 4096]))
def test_page_by_page_reading_loses_no_text(kind: str, data: st.DataObject, cut: int, size: int) -> None:
    """Each page read from a stream is the page of the tree; a file with text elsewhere, or one that is cut, is an error."""
    content = f"<{ROOTS[kind]}>{data.draw(elements(kind))}</{ROOTS[kind]}>".encode()
    chunks = iter([content[start : start + size] for start in range(0, len(content) - cut, size)])
    reader, mark = KINDS[kind].markup, KINDS[kind].page_mark
    file = SimpleNamespace(read=lambda _: next(chunks, b""))
    try:
        read = [reader.read(page).lines for page in iterate_pages(file, mark, has_doctype=True)]
    except RecordError as err:
        assert err.kind in ("too_large", "invalid_xml")  # noqa: PT017 - most examples raise nothing
        return
    text = "".join(line.text for lines in read for line in lines)
    assert printed(text) == printed("".join(etree.fromstring(content).itertext()))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=200), packed=st.booleans(), cut=st.integers(0, 30))
def test_read_page_of_any_bytes_raises_nothing_else(kind: str, content: bytes, packed: bool, cut: int) -> None:
    """Garbage, compressed or not, whole or not, is a RecordError or a page."""
    if KINDS[kind].markup is None:
        return
    stored = gzip.compress(content) if packed else content
    try:
        markup.read_page(kind, stored[: len(stored) - cut], 0)
    except RecordError as err:
        assert "\n" not in str(err)  # noqa: PT017


def test_limits_of_page_by_page_reading_are_those_of_a_tree() -> None:
    """A page is never larger than what is parsed at once anyway."""
    assert page_stream._CHUNK_BYTES < xml_parse.MAX_BYTES < markup.MAX_STREAMED_BYTES
