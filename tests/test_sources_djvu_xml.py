"""DjVuXML of djvutoxml and of the Internet Archive: every word once and in order, with boxes and confidences."""

import pytest

from ocrray.errors import RecordError
from ocrray.records import Line, Word
from ocrray.sources.kinds import markup_kind_of
from ocrray.sources.ocr_files.markup import count_pages, read_page

DOCTYPES = ["", "<!DOCTYPE DjVuXML>", '<!DOCTYPE DjVuXML PUBLIC "-//W3C//DTD DjVuXML 1.1//EN" "pubtext/DjVuXML-s.dtd">']


def page(body: str, attributes: str = "") -> str:
    inside = f"<PAGECOLUMN><REGION><PARAGRAPH>{body}</PARAGRAPH></REGION></PAGECOLUMN>"
    return f'<OBJECT data="x.djvu" {attributes}><PARAM name="DPI" value="300"/><HIDDENTEXT>{inside}</HIDDENTEXT></OBJECT><MAP/>'


def document(*pages: str, doctype: str = DOCTYPES[1]) -> bytes:
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}<DjVuXML>\n<HEAD></HEAD><BODY>\n'
    return f"{head}{''.join(pages)}</BODY></DjVuXML>".encode()


def texts(data: bytes, number: int = 0) -> list[str]:
    return [line.text for line in read_page("djvu_xml", data, number).lines]


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_djvu_xml_gives_lines_words_and_confidences(doctype: str) -> None:
    """`coords` are left, bottom, right, top and perhaps the baseline; confidences are percent; words end in a space or not."""
    words = '<WORD coords="10,50,30,20" x-confidence="96">way </WORD>\n<WORD coords="40,51,60,22,49">can</WORD>'
    data = document(page(f"<LINE>{words}</LINE>", 'usemap="book_0007.djvu"'), doctype=doctype)

    assert markup_kind_of(data).name == "djvu_xml"
    read = read_page("djvu_xml", data, 0)
    assert read.lines == [Line("way can", 10, 20, 60, 51, words=(Word("way", 10, 20, 30, 50, 0.96), Word("can", 40, 22, 60, 51)))]
    assert read.image_name == "book_0007.jp2"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<LINE><WORD>a</WORD><WORD>b</WORD></LINE>", ["a b"]),
        ("<LINE><WORD>a</WORD><WORD> - </WORD><WORD/><WORD> </WORD><WORD>b c</WORD></LINE><LINE/>", ["a - b c"]),
        ("<LINE coords='1,2,3,1'>whole &#233; line</LINE>", ["whole é line"]),
        ("before<LINE>one</LINE>between<LINE>two</LINE>after", ["before", "one", "between", "two", "after"]),
        ("<WORD>no</WORD> <WORD>line</WORD>", ["no line"]),
        ("<LINE>mixed <WORD>a</WORD> text</LINE>", ["mixed a text"]),
        ("<LINE><WORD>\n<CHARACTER>a</CHARACTER>\n<CHARACTER>b</CHARACTER></WORD><WORD>c</WORD></LINE>", ["ab c"]),
        ("<LINE><CHARACTER>a</CHARACTER>\n<CHARACTER>b</CHARACTER></LINE>", ["ab"]),
        ("<LINE><EM>unknown</EM> <WORD>a</WORD></LINE>", ["unknown", "a"]),
    ],
)
def test_djvu_xml_dialects_give_every_text_once(body: str, expected: list[str]) -> None:
    """Text may stand at any level, as djvutoxml writes it where a file has no smaller zones."""
    assert texts(document(page(body))) == expected


@pytest.mark.parametrize("coords", ["", "1,2,3", "a,b,c,d", "1,2,3,NaN", "-1,5,3,1", "1,5,99999999999,1"])
def test_djvu_xml_bad_coords_are_no_box(coords: str) -> None:
    """A box that is none is null; the word stays."""
    [line] = read_page("djvu_xml", document(page(f'<LINE><WORD coords="{coords}" x-confidence="101">a</WORD></LINE>')), 0).lines

    assert line == Line("a", words=(Word("a"),))


def test_djvu_xml_pages_are_read_apart_an_empty_one_too() -> None:
    """A page without a text layer is a record without lines."""
    data = document(page("<LINE>one</LINE>"), '<OBJECT usemap="b_0002.djvu"/>', page("<LINE>three</LINE>"))

    assert [texts(data, number) for number in range(count_pages("djvu_xml", data))] == [["one"], [], ["three"]]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (document(page("&a;"), doctype='<!DOCTYPE DjVuXML [<!ENTITY a "lol">]>'), "unsafe_xml"),
        (document(page("&a;"), doctype='<!DOCTYPE DjVuXML [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'), "unsafe_xml"),
        (document(page("caf&eacute;"), doctype=DOCTYPES[2]), "invalid_xml"),
        (document(page("x"))[:-9], "invalid_xml"),
        (b"<!DOCTYPE DjVuXML><alto/>", "wrong_format"),
    ],
)
def test_djvu_xml_bad_file_says_what_is_wrong(data: bytes, error: str) -> None:
    """Entities are never trusted, and a name that only a DTD explains is not left out in silence."""
    with pytest.raises(RecordError) as caught:
        count_pages("djvu_xml", data)

    assert caught.value.kind == error


def test_djvu_xml_text_outside_of_every_page_is_read_with_the_page_before() -> None:
    """Nothing in the file is lost but its HEAD, which names the DjVu file."""
    data = document(page("one"), "stray <WORD>word</WORD>", page("two")).replace(b"<HEAD>", b"<HEAD>file://x.djvu")

    assert [texts(data, number) for number in range(2)] == [["one", "stray", "word"], ["two"]]
