"""Corrections written back: what changes in a PAGE file, and that nothing else does."""

import pytest
from export_samples import PAGE, corrected, page_region, page_text, page_word
from lxml import etree


def test_export_page_changes_line_word_and_region_alike():
    """Every copy of the text follows; confidences and glyphs of the changed ones go, other readings and neighbours stay."""
    glyphs = '<pc:Glyph id="g"><pc:Coords points="0,1 2,3"/></pc:Glyph>'
    untouched = page_word("cat", 60)
    line = (
        page_word("tbe", 0, glyphs) + untouched + page_text("tbe cat", ' conf="0.9" index="0"') + page_text("tbc", ' index="1"')
    )

    written = corrected("page", PAGE.format(2019, page_region(line, page_text("tbe cat"))), "the cat").decode()

    assert untouched in written
    assert "Glyph" not in written
    assert "tbe" not in written
    assert written.count("the cat") == 2
    assert page_text("tbc", ' index="1"') in written
    assert written.count("conf=") == 1
    assert '<pc:Word id="w0"><pc:Coords points="0,10 50,10 50,30 0,30"/>' in written


@pytest.mark.parametrize(
    ("year", "has"), [(2019, 'pc:MetadataItem type="processingStep"'), (2013, "<pc:Comments>text corrected by ocrray 9.8.7")]
)
def test_export_page_history_is_that_of_the_version(year: int, has: str):
    """LastChange is the end of the run; a MetadataItem since 2018, a remark before."""
    written = corrected("page", PAGE.format(year, page_region(page_text("tbe"))), "the").decode()

    assert "<pc:LastChange>2026-05-04T03:02:01Z</pc:LastChange>" in written
    assert has in written


def test_export_page_split_word_gets_an_id_and_a_rectangle():
    """The second half is a Word of its own, next to the first."""
    written = corrected("page", PAGE.format(2019, page_region(page_word("ofthe", 0) + page_text("ofthe"))), "of the")

    words = etree.fromstring(written).findall(".//{*}Word")
    assert [(word.get("id"), word.find("{*}Coords").get("points")) for word in words] == [
        ("w0", "0,10 17,10 17,30 0,30"),
        ("w0_2", "25,10 50,10 50,30 25,30"),
    ]


def test_export_page_region_that_alone_has_text_changes_by_row():
    """Each row of a region's text is a line."""
    text = page_text("one &amp; 1\r\ntbe two\r\nthree")
    region = f'<pc:TextRegion id="r">{text}</pc:TextRegion>'

    written = corrected("page", PAGE.format(2010, region), "one & 1\nthe two\nthree")

    assert b"one &amp; 1\r\nthe two\r\nthree" in written


def test_export_page_ranges_of_transkribus_follow_the_text():
    """A range in `custom` covers the same words after a correction before it and in it."""
    line = page_text("tbbe Misster Smith")
    source = page_region(line).replace('<pc:TextLine id="l"', '<pc:TextLine id="l" custom="person {offset:5; length:13;}"')

    written = corrected("page", PAGE.format(2019, source), "the Mister Smith")

    assert b'custom="person {offset:4; length:12;}"' in written


CELL = '<pc:TableCell id="c" row="0" col="0">{}</pc:TableCell>'


@pytest.mark.parametrize(
    ("body", "new", "contains"),
    [
        (CELL.format(page_region(page_word("tbe", 0) + page_text("tbe"))), "the", [">the<"]),
        (CELL.format(page_text("tbe")), "the", [">the<"]),
        (
            CELL.format("<pc:X>" + page_word("tbe", 0) + page_word("cat", 60) + "</pc:X>" + page_text("tbe cat")),
            "the cat",
            ["the cat"],
        ),
        (page_word("ofthe", 0) + page_word("cat", 60), "of the cat x", ['"w0_2"', ">x<"]),
        (page_region(page_text("", ' index="0"') + page_text("tbe", ' index="1"')), "the", [page_text("the", ' index="1"')]),
        (page_region("<pc:TextEquiv><pc:Unicode>t<b>b</b>e</pc:Unicode></pc:TextEquiv>"), "the", ["<pc:Unicode>the<"]),
        (page_region(page_text("one")) + page_region(page_text("~", ' index="0"') + page_text("^", ' index="1"')), "one", []),
    ],
)
def test_export_page_reaches_all_that_is_read(body: str, new: str, contains: list[str]):
    """Cells, words outside lines, TextEquiv of a higher index, text with elements in it, and alternatives of a line that goes."""
    written = corrected("page", PAGE.format(2013, f"<pc:TableRegion>{body}</pc:TableRegion>"), new).decode()

    assert "tbe" not in written
    for part in contains:
        assert part in written


def test_export_page_words_with_an_index_keep_their_order():
    """A word put in before the first one, or behind another, is read there, in whichever order the file has the words."""
    words = [
        page_word(text, 60 * i).replace("<pc:Word", f'<pc:Word custom="readingOrder {{index:{i};}}"')
        for i, text in enumerate("abc")
    ]

    written = corrected("page", PAGE.format(2013, page_region(words[2] + words[0] + words[1])), "x a y b c z").decode()

    assert written.count("<pc:Word ") == 6
