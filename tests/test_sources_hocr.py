"""What is read from hOCR: texts, boxes, confidences, dialects from clean XHTML to tag soup."""

from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.errors import RecordError
from ocrray.records import Line, Word
from ocrray.sources.ocr_files.document import Document
from ocrray.sources.ocr_files.markup import count_pages, read_page


def hocr(body: str, title: str = "") -> Document:
    source = f"<html><body><div class='ocr_page' title={quoteattr(title)}>{body}</div></body></html>"
    return read_page("hocr", source.encode(), 0)


def texts(document: Document) -> list[str]:
    return [line.text for line in document.lines]


def test_hocr_line_keeps_words_boxes_and_confidences():
    """Boxes and confidences come from the titles, whatever else stands there; x_wconf becomes 0..1."""
    document = hocr(
        "<div class='ocr_carea' title='bbox 0 0 9 9'><p class='ocr_par'><span class='ocr_line' id='l'"
        " title='baseline 0 -5; bbox 10 20 110.4 50; x_size 3'>\n"
        " <span class='ocrx_word' title='x_bbox 1 1 1 1; bbox 10 20 60 50; x_wconf 75'><strong>o</strong>ld</span>\n"
        " <span class='ocrx_word extra' title='x_wconf 101'>news</span> </span></p></div>"
    )

    assert document.lines == [
        Line(
            "old news",
            10,
            20,
            110,
            50,
            words=(
                Word("old", 10, 20, 60, 50, 0.75),
                Word("news"),
            ),
        ),
    ]


@pytest.mark.parametrize("title", ["", "bbox", "bbox 1 2 3", "bbox -1 2 3 4", "bbox 9 2 3 4", "bbox 1 2 3 1e99", "bbox a b c d"])
def test_hocr_useless_box_is_none(title: str):
    """A title without a usable box costs the box, not the line."""
    assert hocr(f"<span class='ocr_line' title='{title}'>a</span>").lines == [Line("a")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<span class='ocr_line'>a  plain\n line</span>", ["a plain line"]),
        ("<span class='ocr_line'><span class='ocrx_word'>two</span><span class='ocrx_word'>words</span></span>", ["two words"]),
        ("<span class='ocr_line'><span class='ocrx_word'>a</span>,<span class='ocrx_word'>b</span></span>", ["a, b"]),
        (
            "<span class='ocr_header'>a</span><span class='ocr_caption'>b</span><span class='ocr_textfloat'>c</span>",
            ["a", "b", "c"],
        ),
        ("<div class='ocr_footer'><p class='ocr_par'><span class='ocr_line'>a</span></p></div>", ["a"]),
        ("<span class='ocrx_line'><span class='ocr_line'>a</span><span class='ocr_line'>b</span></span>", ["a", "b"]),
        ("<p class='ocr_par'><span class='ocrx_word'>no</span> <span class='ocrx_word'>lines</span></p>", ["no lines"]),
        ("<p class='ocr_par'>before<span class='ocr_line'>line</span>after</p>", ["before", "line", "after"]),
        ("<span class='ocrx_line'>a</span><span class='ocrx_line'>b</span>", ["a", "b"]),
        ("<span class='ocrx_word'>a<span class='ocr_line'>b</span></span>", ["ab"]),
        ("<span class='ocr_word'><span class='xocr_word'>old</span></span>", ["old"]),
        ("<span class='ocrx_word'>a<span class='ocrx_cinfo'>b</span><span class='ocrx_cinfo'>c</span></span>", ["abc"]),
        ("<span class='ocr_line'>a<br/>b<!-- no --><script>no</script>c</span>", ["a bc"]),
        ("<span class='ocr_line'> </span><div class='ocr_photo'/><span class='ocr_line'>a</span>", ["a"]),
    ],
)
def test_hocr_dialects_give_every_text_once(body: str, expected: list[str]):
    """Lines are the innermost lines; text that an engine left outside of them is a line of its own and is not lost."""
    assert texts(hocr(body)) == expected


def everything(body: str) -> tuple[list[list[str]], set[str]]:
    """Lines of every page, and all warnings."""
    data = f"<html><head><title>no</title></head><body>{body}</body></html>".encode()
    documents = [read_page("hocr", data, page) for page in range(count_pages("hocr", data))]
    return [texts(document) for document in documents], {name for document in documents for name in document.warnings}


PAGE = "<div class='ocr_page' title='bbox 0 0 9 9'/>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{PAGE}<div class='ocr_carea'><p class='ocr_par'><span class='ocr_line'>a</span></p></div>", [["a"]]),
        (f"{PAGE}<p class='ocr_par'>a</p>{PAGE}<p class='ocr_par'>b</p><p>c</p>", [["a"], ["b", "c"]]),
        (f"before{PAGE}behind", [["before", "behind"]]),
        (f"{PAGE}be<b>hi</b>nd", [["behind"]]),
        (f"<div>one<div>{PAGE}</div>two</div><div>three{PAGE}four</div>", [["one", "two", "three"], ["four"]]),
        ("<p>a</p><div class='ocr_page'>b</div><p>c</p><div class='ocr_page'>d</div>", [["a", "b", "c"], ["d"]]),
        ("<div class='ocr_page'>a<div class='ocr_page'>b</div>c</div>", [["a", "c"], ["b"]]),
        (
            "<div class='ocr_page'><p>one</p><p>two</p><ul><li>three</li><li>four</li></ul></div>",
            [["one", "two", "three", "four"]],
        ),
        ("<table class='ocr_page'><tr><td>one</td><td>two</td></tr></table>", [["one", "two"]]),
        ("<div class='ocr_page'><span class='ocr_title'>one</span><span class='ocr_author'>two</span></div>", [["one", "two"]]),
        ("<div class='ocr_page'><p class='ocr_line'><div>one</div><div>two</div></p></div>", [["one two"]]),
        ("<div class='ocr_page'><p class='ocr_line'>ch<span class='ocr_dropcap'>a</span>p</p></div>", [["chap"]]),
        ("<p class='ocr_line'>no page</p>", [["no page"]]),
    ],
)
def test_hocr_every_text_is_read_once_on_the_page_it_belongs_to(body: str, expected: list[list[str]]):
    """Text outside every page goes to the page before it, or to the first; blocks are apart whatever they are called."""
    assert everything(body) == (expected, set())


def test_hocr_order_is_followed():
    """The property `order` is the place among siblings; `reorder 1` and the like are not."""
    areas = [("c", "bbox 1 2 3 4; order 10"), ("x", "reorder 0"), ("a", "order 1"), ("b", "order 2; bbox 1 2 3 4")]
    body = "".join(f"<div class='ocr_carea' title='{title}'><span class='ocr_line'>{name}</span></div>" for name, title in areas)

    assert texts(hocr(body)) == ["a", "b", "c", "x"]


def test_hocr_space_between_words_is_read_once():
    """The reader puts a space between two words only where the file has none, of any width."""
    words = "<span class='ocrx_word'>two</span>{}<span class='ocrx_word'>words</span>"

    assert [texts(hocr(words.format(space))) for space in ("", " ", "\n\t", "&#160;", "&#8195;")] == [
        ["two words"],
        ["two words"],
        ["two words"],
        ["two\xa0words"],
        ["two\u2003words"],
    ]


def test_hocr_comment_without_an_end_is_an_error():
    """It would hide the rest of the page without a word; comments and scripts that end hide nothing."""
    page = "<br><script>'<!--'</script><!-- a --><!--><div class=ocr_page>one {} two</div>"

    assert texts(read_page("hocr", page.format("<!-- b -- c -->").encode(), 0)) == ["one two"]
    with pytest.raises(RecordError, match="line 1: a comment"):
        read_page("hocr", page.format("<!-- b ->").encode(), 0)


def test_hocr_text_outside_lines_has_no_box_but_its_words():
    """The box of a paragraph is not the box of a line; words of the first hOCR engines count as words."""
    body = "<p class='ocr_par' title='bbox 1 2 3 4'><span class='ocr_word' title='bbox 5 6 7 8'>old</span></p>"

    assert hocr(body).lines == [Line("old", words=(Word("old", 5, 6, 7, 8),))]


def test_hocr_tag_soup_reads_as_a_browser_would():
    """Unclosed tags, bare attributes, upper case and named characters, in UTF-8 without a declaration."""
    lines = "<P class=ocr_line title='bbox 1 2 3 4'>Zürich &eacute;<P class=ocr_line>b"
    soup = f"<!doctype html><TITLE>x</TITLE><DIV class=ocr_page>{lines}"

    assert read_page("hocr", soup.encode(), 0).lines == [Line("Zürich é", 1, 2, 3, 4), Line("b")]


def test_hocr_named_characters_of_xhtml_are_kept():
    """Characters that only the DTD of XHTML names are read without fetching it."""
    doctype = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">'
    source = f"{doctype}<html><head><title></title></head><body><p class='ocr_line'>Caf&eacute;&nbsp;au lait</p></body></html>"

    assert texts(read_page("hocr", source.encode(), 0)) == ["Café\xa0au lait"]


def test_hocr_pages_are_read_apart():
    """Each ocr_page is a page of its own, an empty one too; its image is named in its title, quoted or not."""
    names = ['image "a; b.tif"; bbox 0 0 9 9', "ppageno 1; image c.tif", "image 'd.tif'", "bbox 0 0 9 9"]
    pages = [f"<div class='ocr_page' title={quoteattr(name)}><p class='ocr_line'>{i}</p></div>" for i, name in enumerate(names)]
    data = f"<html><head><title/></head><body>{''.join(pages)}<div class='ocr_page'/></body></html>".encode()

    read = [read_page("hocr", data, page) for page in range(count_pages("hocr", data))]

    assert [texts(document) for document in read] == [["0"], ["1"], ["2"], ["3"], []]
    assert [document.image_name for document in read] == ["a; b.tif", "c.tif", "d.tif", None, None]


word = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"), min_size=1
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(word, min_size=1)), st.sampled_from(["</body></html>", "<br><p>"]))
def test_hocr_generated_page_reads_back(lines: list[list[str]], end: str):
    """Lines written as hOCR, well-formed or not, are read back as they were."""
    rows = ["\n".join(f"<span class='ocrx_word'>{escape(word)}</span>" for word in words) for words in lines]
    body = "".join(f"<span class='ocr_line'>{row}</span>\n" for row in rows)

    document = read_page("hocr", f"<html><body>{body}{end}".encode(), 0)

    assert document.lines == [Line(" ".join(words), words=tuple(Word(word) for word in words)) for words in lines]
