"""ABBYY FineReader XML of all versions: every character once and in order, with boxes and confidences."""

import base64

import pytest

from ocrray.errors import RecordError
from ocrray.records import Line, Word
from ocrray.sources.kinds import markup_kind_of
from ocrray.sources.ocr_files.markup import count_pages, read_page

SPACES = {6: "FineReader6-schema-v1", 8: "FineReader8-schema-v2", 9: "FineReader9-schema-v1", 10: "FineReader10-schema-v1"}


def document(body: str, version: int = 10) -> bytes:
    """A file of one page."""
    space = f"http://www.abbyy.com/FineReader_xml/{SPACES[version]}.xml"
    return f'<document xmlns="{space}" version="1.0" producer="x"><page width="99" height="99">{body}</page></document>'.encode()


def char(text: str, left: int, confidence: int = 80, more: str = "") -> str:
    box = f'l="{left}" t="1" r="{left + 4}" b="9"'
    return f'<charParams {box} charConfidence="{confidence}" wordStart="true" {more}>{text}</charParams>\n'


def line(inside: str, box: str = 'l="1" t="1" r="50" b="9"') -> str:
    return f'<line baseline="8" {box}><formatting lang="EnglishUnitedStates">\n{inside}</formatting></line>'


def block(lines: str) -> str:
    return (
        f'<block blockType="Text" l="1" t="1" r="50" b="9"><region><rect l="1"/></region><text><par>{lines}</par></text></block>'
    )


def texts(data: bytes, page: int = 0) -> list[str]:
    return [line.text for line in read_page("abbyy", data, page).lines]


@pytest.mark.parametrize("version", SPACES)
def test_abbyy_of_any_version_gives_lines_words_and_confidences(version: int) -> None:
    """A word is what stands between spaces; its box is around its characters, its confidence their mean, 255 is none."""
    data = document(block(line(char("I", 1) + char("t", 6, 60) + char(" ", 11, 255) + char("é", 16, 255))), version)

    assert markup_kind_of(data).name == "abbyy"
    assert count_pages("abbyy", data) == 1
    words = (Word("It", 1, 1, 10, 9, pytest.approx(0.7)), Word("é", 16, 1, 20, 9))
    assert read_page("abbyy", data, 0).lines == [Line("It é", 1, 1, 50, 9, words=words)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (block(line("SUPERIOR COURT OF")), ["SUPERIOR COURT OF"]),
        (block(line("\n\t\tA 1\n\t\t")), ["A 1"]),
        (block(line(char("a", 1) + char("", 6) + char("b", 9))), ["a b"]),
        (block(line(char("a", 1) + char("\t", 6, more='isTab="1"') + char("b", 9))), ["a b"]),
        (block(line(char("\n   a\n  ", 1) + char("b  c", 6))), ["ab c"]),
        (block(line(char("ﬀ", 1) + "loose" + char("&amp;", 9))), ["ﬀ loose&"]),
        (block("<line><formatting>bold </formatting><formatting>,</formatting>\n<formatting>x</formatting></line>"), ["bold ,x"]),
        (block(f"<line>{char('a', 1)}{char('b', 6)}</line>"), ["ab"]),
        (block(line(char("a", 1)) + line("") + line(char(" ", 1)) + line(char("b", 1))), ["a", "b"]),
        ("<block><text><par>no line<line><formatting>x</formatting></line>tail</par></text></block>", ["no line", "x", "tail"]),
        ("<group type='headings'>" + block(line("in a group")) + "</group>", ["in a group"]),
        (
            '<block blockType="Table"><row><cell><text><par>'
            + line("1")
            + "</par></text></cell><cell><text><par>"
            + line("2")
            + "</par></text></cell></row><row><cell><text><par>"
            + line("3")
            + "</par></text></cell></row></block>",
            ["1", "2", "3"],
        ),
        (
            block(line(char("a<charRecVariants><charRecVariant charConfidence='9'>o</charRecVariant></charRecVariants>", 1))),
            ["a"],
        ),
        (block(line(char("<charRecVariants><charRecVariant>o</charRecVariant></charRecVariants>a", 1))), ["a"]),
        (
            block(
                line(
                    "<wordRecVariants><wordRecVariant><variantText>" + char("x", 1) + "</variantText></wordRecVariant>"
                    "</wordRecVariants>" + char("a", 1)
                )
            ),
            ["a"],
        ),
        (
            block(
                line(
                    "<wordRecVariants><wordRecVariant><variantText>only</variantText></wordRecVariant><wordRecVariant>"
                    "<variantText>other</variantText></wordRecVariant></wordRecVariants>"
                )
            ),
            ["only"],
        ),
        (
            '<block blockType="Text" pageElemId="e1"/><pageSection><pageStream><pageElement pageElemId="e1"><text><par>'
            + line("in the stream")
            + "</par></text></pageElement></pageStream></pageSection>",
            ["in the stream"],
        ),
        (
            '<block blockType="Text" pageElemId="e1">' + block(line("once")) + "</block><pageSection><pageStream>"
            '<pageElement pageElemId="e1"><text><par>' + line("once") + "</par></text></pageElement></pageStream></pageSection>",
            ["once"],
        ),
        (
            "<par><line><formatting base64encoded='1'>{}</formatting></line><line><formatting base64encoded='true'>"
            "{}</formatting></line><line><formatting base64encoded='1'>not coded!</formatting></line></par>".format(
                base64.b64encode("Grüße".encode()).decode(), base64.b64encode("Año".encode("utf-16-le")).decode()
            ),
            ["Grüße", "Año", "not coded!"],
        ),
        ('<block blockType="Picture"/><block blockType="Barcode"><barcodeInfo type="x"/></block>', []),
    ],
)
def test_abbyy_dialects_give_every_text_once(body: str, expected: list[str]) -> None:
    """Text without characters of its own, tables, alternatives, sections of schema 10, and text outside of any line."""
    assert texts(document(body)) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [('l="5" t="6" r="7" b="8"', (5, 6, 7, 8)), ("", (1, 1, 5, 9)), ('l="x" t="6" r="7" b="8"', (1, 1, 5, 9))],
)
def test_abbyy_line_box_is_its_own_or_around_its_words(attributes: str, expected: tuple[int, ...]) -> None:
    """A line whose own box is missing or no box has that of its words."""
    [found] = read_page("abbyy", document(block(line(char("a", 1), attributes))), 0).lines

    assert (found.left, found.top, found.right, found.bottom) == expected


def test_abbyy_pages_are_read_apart_an_empty_one_too() -> None:
    """Every page is a record, one without text as well."""
    pages = "".join(f"<page>{block(line(text)) if text else ''}</page>" for text in ("one", "", "three"))
    data = f'<document producer="ABBYY FineReader 8.0">{pages}</document>'.encode()

    assert [texts(data, page) for page in range(count_pages("abbyy", data))] == [["one"], [], ["three"]]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'<document><page><block blockType="Text">', "abbyy"),
        (b'<a:document xmlns:a="http://www.abbyy.com/FineReader_xml/FineReader10-schema-v1.xml"/>', "abbyy"),
        ('<?xml version="1.0" encoding="UTF-16"?><document producer="ABBYY"/>'.encode("utf-16"), "abbyy"),
        (b'<document xmlns="http://www.scansoft.com/omnipage/xml/ssdoc-schema3.xsd"><page/></document>', None),
        (b"<document><title>A report</title></document>", None),
    ],
)
def test_abbyy_is_told_from_other_documents(data: bytes, kind: str | None) -> None:
    """Other formats too have a root element `document`."""
    found = markup_kind_of(data)

    assert (found and found.name) == kind


def test_abbyy_with_a_doctype_is_refused() -> None:
    """No FineReader writes a DOCTYPE."""
    with pytest.raises(RecordError, match="DOCTYPE"):
        count_pages("abbyy", b'<!DOCTYPE document [<!ENTITY a "b">]>' + document(""))


def test_abbyy_text_outside_of_every_page_is_read_with_the_page_before() -> None:
    """Nothing in the file is lost, wherever it stands; a section that says other than its block is read too."""
    body = "before<page>one</page>between<block><text>two</text></block><page>three</page>behind"

    data = f"<document producer='ABBYY'>{body}</document>".encode()
    assert [texts(data, page) for page in range(2)] == [["before", "one", "between", "two"], ["three", "behind"]]
    section = '<pageSection><pageElement pageElemId="e">other</pageElement></pageSection>'
    assert texts(document(f'<block pageElemId="e">text</block>{section}')) == ["text", "other"]
