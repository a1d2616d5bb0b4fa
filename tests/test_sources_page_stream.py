"""Files too large for one tree are read page by page, with the same result and one page in memory."""

import gzip
from collections.abc import Iterator

import pytest

from ocrray.errors import RecordError
from ocrray.sources.ocr_files import markup, page_stream, xml_parse
from ocrray.sources.ocr_files.document import Document

PAGES = 9
WORDS = "".join(f"<w>{{0}}.{number:09}</w>" for number in range(40))


def book(kind: str) -> bytes:
    """A file of several pages, one of them empty; each has some thousand bytes."""
    if kind == "abbyy":
        form = '<page><block blockType="Text"><text><par><line><formatting>{}</formatting></line></par></text></block></page>'
        pages = "".join(form.format(WORDS.format(page).replace("<w>", "").replace("</w>", " ")) for page in range(PAGES))
        return f"<document>{pages}<page/></document>".encode()
    if kind == "djvu_xml":
        pages = "".join(f"<OBJECT><LINE>{WORDS.format(page)}</LINE></OBJECT><MAP/>\n" for page in range(PAGES))
        words = pages.replace("<w>", "<WORD>").replace("</w>", "</WORD>")
        return f"<!DOCTYPE DjVuXML><DjVuXML><BODY>{words}<OBJECT/></BODY></DjVuXML>".encode()
    pages = "".join(f"<div class='ocr_page'><p class='ocr_line'>{WORDS.format(page)}</p></div>\n" for page in range(PAGES))
    words = pages.replace("<w>", "<span class='ocrx_word'>").replace("</w>", "</span>")
    head = '<!DOCTYPE html PUBLIC "x" "y.dtd"><html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title></head><body>'
    return f"{head}{words}<div class='ocr_page x'/></body></html>".encode()


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A few thousand bytes are the most that is read at once."""
    monkeypatch.setattr(xml_parse, "MAX_BYTES", 4000)
    monkeypatch.setattr(page_stream, "_CHUNK_BYTES", 1000)
    for cache in (markup._content, markup._stream, markup.pages):
        cache.cache_clear()
    yield
    for cache in (markup._content, markup._stream, markup.pages):
        cache.cache_clear()


def read(kind: str, data: bytes) -> list[Document]:
    return [markup.read_page(kind, data, page) for page in range(markup.count_pages(kind, data))]


@pytest.mark.parametrize("kind", ["abbyy", "djvu_xml", "hocr"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_page_of_a_large_file_gives_what_one_tree_gives(request: pytest.FixtureRequest, kind: str, pack: type) -> None:
    """Pages, in any order, are those of the file read at once; there is none behind the last."""
    data = pack(book(kind))
    at_once = read(kind, data)
    request.getfixturevalue("small_limit")

    assert len(at_once) == PAGES + 1
    assert all(page.lines for page in at_once[:-1])
    assert read(kind, data) == at_once
    assert [markup.read_page(kind, data, page) for page in (5, 2, 2, 9)] == [at_once[page] for page in (5, 2, 2, 9)]
    for page in (-1, PAGES + 1):
        with pytest.raises(RecordError) as caught:
            markup.read_page(kind, data, page)
        assert caught.value.kind == "missing_page"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ((b"</page>", b"</page>stray"), "too_large"),
        ((b"<page>", b"<p>"), "invalid_xml"),
        ((b"</document>", b""), "invalid_xml"),
        ((b"<document>", b'<!DOCTYPE document [<!ENTITY a "b">]><document>'), "unsafe_xml"),
        ((b"<document>", b"<!DOCTYPE document><document>"), "unsafe_xml"),
        ((b"document>", b"alto>"), "wrong_format"),
        ((b"page>", b"sheet>"), "too_large"),
        ((b" </formatting>", b" " * 9000 + b"</formatting>"), "too_large"),
    ],
)
@pytest.mark.usefixtures("small_limit")
def test_count_pages_of_a_bad_large_file_says_what_is_wrong(change: tuple[bytes, bytes], error: str) -> None:
    """Text outside of the pages, a page that is too large, a DOCTYPE, or broken XML: a failed record, never lost text."""
    with pytest.raises(RecordError) as caught:
        markup.count_pages("abbyy", book("abbyy").replace(*change))

    assert caught.value.kind == error


@pytest.mark.usefixtures("small_limit")
def test_count_pages_of_more_than_the_largest_file_is_refused() -> None:
    """A file that unpacks to more than `input.max_file_bytes` is not read to its end."""
    with pytest.raises(RecordError, match="unpacked"):
        markup.count_pages("abbyy", gzip.compress(book("abbyy")), 5000)
