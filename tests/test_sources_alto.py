"""What is read from ALTO: texts, boxes, confidences, reading order, dialects."""

from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.records import Line, Word
from ocrray.sources.ocr_files.document import Document
from ocrray.sources.ocr_files.markup import count_pages, read_page


def alto(body: str, before: str = "") -> Document:
    namespace = "http://www.loc.gov/standards/alto/ns-v4#"
    source = f'<alto xmlns="{namespace}">{before}<Layout><Page><PrintSpace>{body}</PrintSpace></Page></Layout></alto>'
    return read_page("alto", source.encode(), 0)


def texts(document: Document) -> list[str]:
    return [line.text for line in document.lines]


def test_alto_line_keeps_words_boxes_and_confidences():
    """Fractions round, a box is left, top, right, bottom, and confidences stay in 0..1."""
    document = alto(
        '<TextLine HPOS="10.4" VPOS="20" WIDTH="100.2" HEIGHT="30">'
        '<String CONTENT="old" HPOS="10.4" VPOS="20" WIDTH="50" HEIGHT="30" WC="0.75"/><SP/><String CONTENT="news"/></TextLine>'
    )

    assert document.lines == [
        Line(
            "old news",
            10,
            20,
            111,
            50,
            words=(
                Word("old", 10, 20, 60, 50, 0.75),
                Word("news"),
            ),
        ),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('<String CONTENT="Heeren"/><String CONTENT=","/><SP/><String CONTENT="a"/>', "Heeren, a"),
        ('<String CONTENT="Heeren"/><String CONTENT=","/>', "Heeren ,"),
        ('<SP/><String CONTENT="ad" SUBS_TYPE="HypPart1" SUBS_CONTENT="adherents"/><HYP CONTENT="-"/>', "ad-"),
        ('<String CONTENT="ad"/><HYP/>', "ad-"),
        ('<String CONTENT="a&#10;b"/><String/><String CONTENT=""/>', "a b"),
        ('<String CONTENT="a"><ALTERNATIVE>b</ALTERNATIVE><Glyph CONTENT="c"/></String>', "a"),
    ],
)
def test_alto_line_text_is_the_line_as_printed(line: str, text: str):
    """Strings touch where the file writes its spaces itself; the hyphen stays, and what it hyphenates is not filled in."""
    assert texts(alto(f"<TextLine>{line}</TextLine>")) == [text]


def test_alto_without_reading_order_follows_the_file():
    """Lines of blocks in blocks come where they stand, and those without text not at all."""
    lines = [f'<TextLine><String CONTENT="{name}"/></TextLine>' for name in "abc"]
    composed = f"<ComposedBlock><ComposedBlock><TextBlock>{lines[1]}<TextLine/></TextBlock></ComposedBlock></ComposedBlock>"

    assert texts(alto(f"<TextBlock>{lines[0]}</TextBlock>{composed}<TextBlock>{lines[2]}</TextBlock>")) == ["a", "b", "c"]


def test_alto_reading_order_is_followed_and_the_rest_comes_last():
    """References name blocks, lines or strings, several at once, repeatedly or in vain; every line is read once."""
    body = "".join(
        f'<TextBlock ID="b{block}">'
        + "".join(
            f'<TextLine ID="l{block}{line}"><String ID="s{block}{line}" CONTENT="{block}{line}"/></TextLine>' for line in (1, 2)
        )
        + "</TextBlock>"
        for block in (1, 2, 3)
    )
    order = (
        '<ReadingOrder><OrderedGroup><ElementRef REF="b3"/><UnorderedGroup><ElementRef REF="l22 b3"/></UnorderedGroup>'
        '<ElementRef REF="s12"/><ElementRef REF="nothing"/></OrderedGroup></ReadingOrder>'
    )

    assert texts(alto(body, order)) == ["31", "32", "22", "12", "11", "21"]


@pytest.mark.parametrize("value", ["", "-5", "NaN", "inf", "1e300", "4294967296", "12px"])
def test_alto_useless_coordinate_gives_no_box(value: str):
    """A coordinate that is no place on a page costs the box, not the line; a confidence out of range is none."""
    line = f'<TextLine HPOS="{value}" VPOS="1" WIDTH="1" HEIGHT="1"><String CONTENT="a" WC="{value}"/></TextLine>'

    assert alto(line).lines == [Line("a", words=(Word("a"),))]


def test_alto_image_name_is_that_of_the_description():
    """The scan is named as the file names it, white space aside; a blank name is none."""
    source = "<Description><sourceImageInformation><fileName>{}</fileName></sourceImageInformation></Description>"

    assert alto("", source.format("\n  ../MASTER/1.jp2 ")).image_name == "../MASTER/1.jp2"
    assert alto("", source.format("\n")).image_name is None


def test_alto_pages_are_read_apart():
    """Each Page is a page of its own, an empty one too; a file without any is one page without lines."""
    source = "<alto><Layout><Page>{}</Page><Page/><Page>{}</Page></Layout></alto>"
    data = source.format(*(f'<TextLine><String CONTENT="{name}"/></TextLine>' for name in "ab")).encode()

    assert [texts(read_page("alto", data, page)) for page in range(count_pages("alto", data))] == [["a"], [], ["b"]]
    assert texts(read_page("alto", b"<alto><Layout/></alto>", 0)) == []


word = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"), min_size=1
)
boxes = st.one_of(
    st.just((None,) * 4), st.tuples(*[st.integers(0, 2**15)] * 4).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
)
words = st.builds(lambda text, box, confidence: Word(text, *box, confidence), word, boxes, st.none() | st.floats(0, 1))
lines = st.builds(
    lambda box, words: Line(" ".join(word.text for word in words), *box, words=tuple(words)), boxes, st.lists(words, min_size=1)
)


def place(item: Line | Word) -> str:
    if item.left is None:
        return ""
    width, height = item.right - item.left, item.bottom - item.top
    return f'HPOS="{item.left}.0" VPOS="{item.top}" WIDTH="{width}" HEIGHT="{height}"'


def certainty(word: Word) -> str:
    return "" if word.confidence is None else f'WC="{word.confidence}"'


@settings(max_examples=50, deadline=None)
@given(st.lists(lines), st.sampled_from(["<SP/>", ""]))
def test_alto_generated_page_reads_back(lines: list[Line], space: str):
    """Lines written as ALTO, with or without its spaces, are read back as they were."""
    rows = []
    for line in lines:
        strings = [f"<String CONTENT={quoteattr(word.text)} {place(word)} {certainty(word)}/>" for word in line.words]
        rows.append(f"<TextLine {place(line)}>{space.join(strings)}</TextLine>")
    # One SP on the page says that the file writes its spaces.
    assert alto("".join(rows) + f"<TextLine>{space}</TextLine>").lines == lines


def boxed(text: str, left: int, width: int, more: str = "") -> str:
    return f'<String CONTENT="{text}" HPOS="{left}" VPOS="0" WIDTH="{width}" HEIGHT="20" {more}/>'


WITH_SPACES = '<TextLine><String CONTENT="old"/><SP/><String CONTENT="news"/></TextLine>'


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (boxed("two", 0, 30) + boxed("words", 60, 50), "two words"),
        (boxed("words", 60, 50) + boxed("two", 0, 30), "words two"),
        (boxed("Heeren", 0, 60) + boxed(",", 62, 4), "Heeren,"),
        (boxed("D", 0, 30) + boxed("er", 31, 20), "Der"),
        ('<String CONTENT="two"/><String CONTENT="words"/>', "two words"),
        ('<String CONTENT="Heeren"/><String CONTENT=","/>', "Heeren,"),
        (boxed("two", 0, 30) + boxed("words", 0, 30), "two words"),
        ('<String CONTENT="two" HPOS="0" WIDTH="0"/><String CONTENT="words" HPOS="0" WIDTH="0"/>', "two words"),
        ('<String CONTENT="a"/><SP/><String CONTENT="b"/><String CONTENT="c"/>', "a bc"),
        (boxed("a", 0, 10) + "<SP/>" + boxed("b", 20, 10) + boxed("c", 50, 10), "a b c"),
        (boxed("a", 0, 10) + "<SP/>" + boxed("b", 20, 10) + boxed(".", 50, 10), "a b."),
        ('<String CONTENT="a"/><SP/><SP/><String CONTENT="b"/>', "a b"),
        ('<SP/><String CONTENT="two"/><String CONTENT="words"/><SP/>', "two words"),
        ('<String CONTENT="a"/><SP/><String CONTENT="b"/><String CONTENT=" "/><String CONTENT="c"/>', "a b c"),
        ('<String CONTENT="a"/><SP/><String CONTENT="b "/><String CONTENT="c"/><String CONTENT=" d"/>', "a b c d"),
    ],
)
def test_alto_space_is_read_once_where_the_line_or_its_boxes_say_so(line: str, text: str):
    """In a file that has SP elsewhere, a line without any is no single word, and one with some is trusted but for wide gaps."""
    assert texts(alto(f"{WITH_SPACES}<TextLine>{line}</TextLine>")) == ["old news", text]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('<String CONTENT="mas-"/><HYP CONTENT="-"/>', "mas-"),
        ('<String CONTENT="mas-"/><HYP/>', "mas-"),
        ('<String CONTENT="mas¬"/><HYP CONTENT="-"/>', "mas¬"),
        ('<String CONTENT="mas⸗"/><HYP CONTENT="&#xAD;"/>', "mas⸗"),
        ('<String CONTENT="mas="/><HYP CONTENT="="/>', "mas="),
        ('<String CONTENT="mas-"/><SP/><HYP CONTENT="-"/>', "mas-"),
        ('<String CONTENT="mas"/><HYP CONTENT="-"/><HYP CONTENT="-"/>', "mas-"),
        ('<String CONTENT="co"/><SP/><HYP CONTENT="-"/>', "co -"),
        ('<String CONTENT="mas."/><HYP CONTENT="-"/>', "mas.-"),
    ],
)
def test_alto_hyphen_said_twice_is_read_once(line: str, text: str):
    """CONTENT and HYP may both hold the hyphen of a broken word, and not always the same one."""
    assert texts(alto(f"<TextLine>{line}</TextLine>")) == [text]


def block(name: str, more: str = "") -> str:
    return f'<TextBlock ID="{name}" {more}><TextLine><String CONTENT="{name}"/></TextLine></TextBlock>'


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (block("c") + block("a", 'IDNEXT="b"') + block("b", 'IDNEXT="c"'), "a b c"),
        (block("x") + block("b") + block("y") + block("a", 'IDNEXT="b"') + block("z"), "x y a b z"),
        (block("a", 'IDNEXT="nothing"') + block("b", 'IDNEXT="b"'), "a b"),
        (block("a", 'IDNEXT="b"') + block("b", 'IDNEXT="a"') + block("c"), "c a b"),
        (block("a", 'IDNEXT="p"') + block("b") + '<Illustration ID="p" IDNEXT="c"/>' + block("d") + block("c"), "a c b d"),
        (block("a", 'IDNEXT="c"') + block("b", 'IDNEXT="c"') + block("c"), "a c b"),
        (f'{block("z", "")}<ComposedBlock ID="g" IDNEXT="z">{block("a")}{block("b")}</ComposedBlock>', "a b z"),
    ],
)
def test_alto_idnext_leads_to_the_next_block(blocks: str, expected: str):
    """A block follows the one that names it, also through blocks without text; circles and lost names lose nothing."""
    assert " ".join(texts(alto(blocks))) == expected


def test_alto_margins_are_read_where_they_are_on_the_page():
    """The schema has PrintSpace as the last part of a page; it is read between header, side notes and footer."""
    parts = ("TopMargin", "LeftMargin", "RightMargin", "BottomMargin", "PrintSpace")
    source = "".join(f"<{part}>{block(part)}</{part}>" for part in parts)

    document = read_page("alto", f"<alto><Layout><Page>{source}</Page></Layout></alto>".encode(), 0)

    assert texts(document) == ["TopMargin", "LeftMargin", "PrintSpace", "RightMargin", "BottomMargin"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('<Page><TextBlock><String CONTENT="a"/><SP/><String CONTENT="b"/></TextBlock></Page>', ["a b"]),
        ('<Page><TextLine><Group><String CONTENT="a"/></Group><String CONTENT="b"/></TextLine></Page>', ["a b"]),
        ('<Page><Table><Cell><TextLine><String CONTENT="a"/></TextLine></Cell></Table></Page>', ["a"]),
        ('<Page><TextLine><String CONTENT="a"/><TextLine><String CONTENT="b"/></TextLine></TextLine></Page>', ["a", "b"]),
        ('<Page><TextLine><String><Glyph CONTENT="a"/><Glyph CONTENT="b"/></String></TextLine></Page>', ["ab"]),
        (f"{block('a')}<Page/>{block('b')}", ["a", "b"]),
        (f"<Page>{block('a')}<Page>{block('b')}</Page>{block('c')}</Page>", ["a", "c"]),
    ],
)
def test_alto_text_is_read_whatever_holds_it(source: str, expected: list[str]):
    """Strings outside lines, lines in unknown elements and outside the page are read, once, without a warning."""
    document = read_page("alto", f"<alto><Description>x</Description><Layout>{source}</Layout></alto>".encode(), 0)

    assert (texts(document), document.warnings) == (expected, ())


@pytest.mark.parametrize(
    "body",
    ["<TextBlock>loose</TextBlock>", '<TextLine CONTENT="loose"/>', "<Shape/>loose<TextBlock/>", '<Variant CONTENT="x"/>'],
)
def test_alto_text_that_is_not_read_is_a_warning(body: str):
    """Text where ALTO has none is left out, and the record says so."""
    document = alto(f"{block('a')}{body}")

    assert (texts(document), document.warnings) == (["a"], ("text_not_read",))
