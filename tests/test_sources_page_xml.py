"""What is read from PAGE XML: texts, boxes, confidences, reading order, dialects."""

from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.records import Line, Word
from ocrray.sources.ocr_files.document import Document
from ocrray.sources.ocr_files.markup import read_page


def page(body: str, attributes: str = "") -> Document:
    namespace = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
    return read_page("page", f'<PcGts xmlns="{namespace}"><Page {attributes}>{body}</Page></PcGts>'.encode(), 0)


def texts(document: Document) -> list[str]:
    return [line.text for line in document.lines]


def region(name: str, body: str = "", attributes: str = "") -> str:
    """A region with one line that reads like its name, then `body`."""
    return f'<TextRegion id="{name}" {attributes}><TextLine>{equiv(name)}</TextLine>{body}</TextRegion>'


def equiv(text: str, attributes: str = "") -> str:
    return f"<TextEquiv {attributes}><Unicode>{escape(text)}</Unicode></TextEquiv>"


def test_page_line_keeps_words_boxes_and_confidences():
    """The box is the smallest around the polygon, given as points or, in old files, as Point elements."""
    line = (
        '<TextLine><Coords points="30,10 5,12 40,50"/><Word><Coords><Point x="5" y="12"/><Point x="9" y="50"/></Coords>'
        + equiv("old", 'conf="0.5"')
        + "</Word>"
        + equiv("old news", 'conf="0.25"')
        + "</TextLine>"
    )

    assert page(f"<TextRegion>{line}</TextRegion>").lines == [
        Line("old news", 5, 10, 40, 50, 0.25, (Word("old", 5, 12, 9, 50, 0.5),)),
    ]


@pytest.mark.parametrize("points", ["", "1,2 NaN,4", "1,2 3", "1,-2 3,4", "1,2 3,99999999999", "1,2,3,4"])
def test_page_useless_polygon_gives_no_box(points: str):
    """A polygon with a point that is no place on a page costs the box, not the line."""
    line = f'<TextLine><Coords points="{points}"/>{equiv("a")}</TextLine>'

    assert page(f"<TextRegion>{line}</TextRegion>").lines == [Line("a")]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (equiv("second", 'index="1"') + equiv("first", 'index="0"'), "first"),
        (equiv("first") + equiv("second"), "first"),
        (equiv("unranked") + equiv("ranked", 'index="3"'), "ranked"),
        (f"<Word>{equiv('old')}</Word><Word><Glyph>{equiv('n')}</Glyph><Glyph>{equiv('o')}</Glyph></Word>", "old no"),
        (f"<Word>{equiv('old')}</Word>{equiv('  ')}", "old"),
        ("<TextEquiv><PlainText>plain</PlainText><Unicode/></TextEquiv>", "plain"),
        (equiv("a\nb"), "a b"),
        ("<TextEquiv><Unicode>a<!-- not text -->b</Unicode></TextEquiv>", "ab"),
    ],
)
def test_page_line_text_is_its_main_text_or_what_it_is_made_of(line: str, text: str):
    """The TextEquiv of lowest index counts; without one the words do, and in a word the glyphs."""
    assert texts(page(f"<TextRegion><TextLine>{line}</TextLine></TextRegion>")) == [text]


def test_page_region_with_text_but_no_lines_gives_its_lines():
    """A region's own text is read only where nothing inside it has any, and a box only where it is one line."""
    both = f"<TextRegion><TextLine><Word>{equiv('word')}</Word></TextLine>{equiv('summary')}</TextRegion>"
    only = f'<TextRegion><Coords points="1,2 3,4"/><TextLine/>{equiv("{}")}</TextRegion>'

    assert page(both + only.format("one\n\ntwo") + only.format("three")).lines == [
        Line("word", words=(Word("word"),)),
        Line("one"),
        Line("two"),
        Line("three", 1, 2, 3, 4),
    ]


def test_page_reading_order_is_followed_and_the_rest_comes_last():
    """Groups nest, ordered ones go by index, a table's cells may be named apart, cycles and lost references do no harm."""
    order = (
        '<ReadingOrder><OrderedGroup><RegionRefIndexed index="2" regionRef="a"/><RegionRefIndexed index="10" regionRef="b"/>'
        '<OrderedGroupIndexed index="0" regionRef="table"><UnorderedGroupIndexed index="1"><RegionRef regionRef="y"/>'
        '<RegionRef regionRef="nowhere"/><RegionRef regionRef="table"/></UnorderedGroupIndexed>'
        '<RegionRefIndexed index="0" regionRef="z"/></OrderedGroupIndexed></OrderedGroup></ReadingOrder>'
    )
    table = f'<TableRegion id="table">{region("x")}{region("y")}{region("z")}</TableRegion>'

    document = page(order + region("b") + region("loose") + region("a", region("nested")) + table)

    assert texts(document) == ["x", "z", "y", "a", "nested", "b", "loose"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [("top-to-bottom", "abc"), ("bottom-to-top", "cba"), ("right-to-left", "bca"), ("left-to-right", "abc")],
)
def test_page_text_line_order_places_lines_against_the_usual_direction(order: str, expected: str):
    """Lines declared to run upwards or leftwards go by their boxes, wherever it was declared."""
    corners = {"a": (10, 10), "b": (50, 20), "c": (30, 30)}
    lines = "".join(
        f'<TextLine><Coords points="{x},{y} {x + 5},{y + 5}"/>{equiv(name)}</TextLine>' for name, (x, y) in corners.items()
    )
    declared = f'textLineOrder="{order}"'

    assert "".join(texts(page(f"<TextRegion {declared}>{lines}</TextRegion>"))) == expected
    assert "".join(texts(page(f"<TextRegion>{lines}</TextRegion>", declared))) == expected


def in_order(name: str, attributes: str, kind: str = "TextLine") -> str:
    return f"<{kind} {attributes}>{equiv(name)}</{kind}>"


def custom(index: object) -> str:
    return f'custom="structure {{type:heading;}} readingOrder {{index:{index};}}"'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (in_order("a", custom(0)) + in_order("c", custom(2)) + in_order("b", custom(1)), "abc"),
        (in_order("b", 'index="1"') + in_order("a", 'index="0"') + in_order("c", 'index="10"'), "abc"),
        (in_order("b", 'index="1" ' + custom(0)) + in_order("a", 'index="0" ' + custom(1)), "ab"),
        (in_order("b", custom(1)) + in_order("c", "") + in_order("a", custom(0)), "abc"),
        (in_order("a", "") + in_order("c", custom(1)) + in_order("b", custom(0)), "abc"),
        (in_order("a", custom("x")) + in_order("b", custom("")), "ab"),
        (in_order("b", custom(1), "Word") + in_order("a", custom(0), "Word"), "a b"),
        ("<TextLine>" + in_order("b", custom(1), "Word") + in_order("a", custom(0), "Word") + "</TextLine>", "a b"),
    ],
)
def test_page_lines_and_words_say_their_order_themselves(body: str, expected: str):
    """An `index`, or Transkribus' `custom`, is the place among siblings; what has none stays behind what it follows."""
    assert "".join(texts(page(f"<TextRegion>{body}</TextRegion>"))) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (region("b", attributes=custom(1)) + region("a", attributes=custom(0)), "ab"),
        (f"<TableRegion {custom(1)}>{region('b')}</TableRegion>" + region("a", attributes=custom(0)), "ab"),
        (
            '<ReadingOrder><OrderedGroup><RegionRefIndexed index="0" regionRef="c"/></OrderedGroup></ReadingOrder>'
            + region("b", attributes=custom(1))
            + region("c", attributes=custom(2))
            + region("a", attributes=custom(0)),
            "cab",
        ),
        (
            '<ReadingOrder><UnorderedGroup><RegionRef regionRef="b"/><RegionRef regionRef="a"/></UnorderedGroup></ReadingOrder>'
            + region("a", attributes=custom(0))
            + region("b", attributes=custom(1)),
            "ab",
        ),
        ("<ReadingOrder/>" + region("b", attributes=custom(1)) + region("a", attributes=custom(0)), "ab"),
    ],
)
def test_page_regions_say_their_order_themselves_where_no_reading_order_does(body: str, expected: str):
    """`custom` of regions orders what a ReadingOrder does not list."""
    assert "".join(texts(page(body))) == expected


@pytest.mark.parametrize(
    "cell",
    [
        '<TableCell row="{}" col="{}"><TextLine>{}</TextLine></TableCell>',
        '<TextRegion><Roles><TableCellRole rowIndex="{}" columnIndex="{}"/></Roles><TextLine>{}</TextLine></TextRegion>',
        '<TableCell row="{}" col="{}">{}</TableCell>',
        '<Cell><TableCell row="{}" col="{}"><Word>{}</Word></TableCell></Cell>',
    ],
)
def test_page_cells_are_read_row_by_row(cell: str):
    """Cells of Transkribus and of PAGE 2019, in whichever order the file has them, with lines, words or text of their own."""
    places = [(0, 1, "b"), (10, 0, "e"), (1, 0, "c"), (0, 0, "a"), (1, 1, "d")]
    if "<Cell>" in cell:
        places.sort()
    cells = "".join(cell.format(row, column, equiv(name)) for row, column, name in places)

    document = page(f"<TableRegion>{cells}</TableRegion>")

    assert ("".join(texts(document)), document.warnings) == ("abcde", ())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"<Page><TextLine>{equiv('a')}</TextLine></Page>", ["a"]),
        (f"<Page><TextRegion><Foo><TextLine>{equiv('a')}</TextLine></Foo></TextRegion></Page>", ["a"]),
        (f"<Page><TextRegion><Word>{equiv('a')}</Word><Word>{equiv('b')}</Word>{equiv('ab')}</TextRegion></Page>", ["a b"]),
        (f"<Page><TextLine><Foo><Word>{equiv('a')}</Word></Foo><Word>{equiv('b')}</Word></TextLine></Page>", ["a b"]),
        (f"<Page>{region('a')}</Page><Page>{region('b')}</Page>", ["a", "b"]),
        (f"<Page/>{region('a')}", ["a"]),
        (f"<Page>{equiv('a')}</Page>", ["a"]),
        (f"<Page><TextLine>{equiv('', 'index=&apos;0&apos;')}{equiv('a', 'index=&apos;1&apos;')}</TextLine></Page>", ["a"]),
        ("<Page><TextLine><TextEquiv><Unicode>a<b>b</b>c</Unicode></TextEquiv></TextLine></Page>", ["abc"]),
    ],
)
def test_page_text_is_read_whatever_holds_it(source: str, expected: list[str]):
    """Lines and words in any element, on any of several pages or outside of all, are read once, without a warning."""
    source = source.replace("&apos;", "'")

    document = read_page("page", f"<PcGts><Metadata><Creator>me</Creator></Metadata>{source}</PcGts>".encode(), 0)

    assert (texts(document), document.warnings) == (expected, ())


@pytest.mark.parametrize(
    ("body", "is_unread"),
    [
        (f"<TextRegion><TextLine>{equiv('one')}</TextLine><TextLine/>{equiv('one two')}</TextRegion>", True),
        (f"<TextRegion><TextLine>{equiv('one')}</TextLine>{equiv('ones')}</TextRegion>", False),
        (
            f"<TextRegion><TextLine>{equiv('a b-')}</TextLine><TextLine>{equiv('c')}</TextLine>{equiv('a bc')}</TextRegion>",
            False,
        ),
        (f"<TextLine><Word>{equiv('one')}</Word><Word>{equiv('two')}</Word>{equiv('one')}</TextLine>", True),
        (f"<TextLine><Glyph>{equiv('o')}</Glyph></TextLine>", True),
        (f"<TextLine>{equiv('one')}<TextLine>{equiv('two')}</TextLine></TextLine>", True),
        ("<TextRegion>loose</TextRegion>", True),
        ("<TextLine><Unicode>loose</Unicode></TextLine>", True),
        (f"<TableCell><TextLine>{equiv('one')}</TextLine><CornerPts>0 1 2 3</CornerPts></TableCell>", False),
        (f"<TextLine>{equiv('one')}{equiv('one two', 'index=1')}</TextLine>".replace("=1", "='1'"), False),
    ],
)
def test_page_text_that_is_not_read_is_a_warning(body: str, is_unread: bool):
    """More words in a region than in its lines or in words than in their line, and text where PAGE has none; but no copies."""
    assert page(body).warnings == (("text_not_read",) if is_unread else ())


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("table-order/table-no-reading-order.xml", "5 6 7 8 9 1 2 3 4"),
        ("table-order/table-order-0001.xml", "1 2 3 4 5 6 7 8 9"),
        ("table-order/table-order-0002.xml", "1 4 7 2 5 8 3 6 9"),
        ("table-order/table-region.xml", "1 2 3 4 5 6 7 8 9"),
        ("table-order/table-unordered.xml", "1 2 3 4 5 6 7 8 9"),
    ],
)
def test_page_real_tables_read_in_their_order(shared_data: Path, name: str, expected: str):
    """The samples made to tell reading orders apart read as their authors meant."""
    document = read_page("page", (shared_data / "formats" / "dinglehopper" / name).read_bytes(), 0)

    assert " ".join(texts(document)) == expected


@pytest.mark.shared
@pytest.mark.parametrize("name", ["order.page.xml", "mixed-regions.page.xml"])
def test_page_real_regions_read_in_their_order(shared_data: Path, name: str):
    """Regions that the file does not have in order, or that are images, read as its ReadingOrder says."""
    data = (shared_data / "formats" / "dinglehopper" / name).read_bytes()
    root = ElementTree.fromstring(data)
    regions = [root.find(f".//*[@id='{reference.get('regionRef')}']") for reference in root.iterfind(".//{*}RegionRefIndexed")]
    lines = [line for region in regions for line in region.iterfind("{*}TextLine")]

    assert texts(read_page("page", data, 0)) == [line.findtext("{*}TextEquiv/{*}Unicode") for line in lines]


word = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"), min_size=1
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.lists(word, min_size=1), min_size=1), min_size=1).flatmap(
        lambda page: st.tuples(st.just(page), st.permutations(range(len(page))))
    )
)
def test_page_generated_page_reads_back(regions_and_order: tuple[list[list[list[str]]], list[int]]):
    """Lines written as PAGE, in regions whose order only the ReadingOrder tells, are read back as they were."""
    regions, order = regions_and_order
    references = [f'<RegionRefIndexed index="{rank}" regionRef="r{place}"/>' for rank, place in enumerate(order)]
    body = f"<ReadingOrder><OrderedGroup>{''.join(sorted(references, reverse=True))}</OrderedGroup></ReadingOrder>"
    for place, lines in enumerate(regions):
        rows = ["".join(f"<Word>{equiv(word)}</Word>" for word in words) + equiv(" ".join(words)) for words in lines]
        body += f'<TextRegion id="r{place}">{"".join(f"<TextLine>{row}</TextLine>" for row in rows)}</TextRegion>'

    expected = [Line(" ".join(words), words=tuple(Word(word) for word in words)) for place in order for words in regions[place]]
    assert page(body).lines == expected
