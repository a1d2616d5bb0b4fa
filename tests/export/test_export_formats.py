"""Corrections in ALTO, PAGE and hOCR: what changes in a file, and that nothing else does."""

import re
from datetime import UTC, datetime

import hostile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.history import Step
from ocrray.corpus.export.projection import collapsed, corrected_lines
from ocrray.errors import RecordError
from ocrray.sources import xml_formats
from ocrray.text.edits import edits_between

STEP = Step("9.8.7", "tagger default abc", datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))

ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#">
  <Description><MeasurementUnit>pixel</MeasurementUnit>
    <OCRProcessing ID="OCR_1"><ocrProcessingStep/></OCRProcessing>
  </Description>
  <Layout><Page ID="p" PHYSICAL_IMG_NR="1"><PrintSpace HPOS="0" VPOS="0" WIDTH="900" HEIGHT="900"><TextBlock ID="b">
    {}
  </TextBlock></PrintSpace></Page></Layout>
</alto>
"""
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<pc:PcGts xmlns:pc="http://schema.primaresearch.org/PAGE/gts/pagecontent/{}-07-15">
  <pc:Metadata>
    <pc:Creator>x</pc:Creator>
    <pc:Created>2001-01-01T00:00:00</pc:Created>
    <pc:LastChange>2001-01-01T00:00:00</pc:LastChange>
  </pc:Metadata>
  <pc:Page imageFilename="a.tif" imageWidth="900" imageHeight="900">
    {}
  </pc:Page>
</pc:PcGts>
"""
HOCR = """<!DOCTYPE html>
<html><head><title>a<b</title><meta name=ocr-system content="tesseract 5"><script>if (a<b) "</p>"</script></head>
<body><div class='ocr_page' title='bbox 0 0 900 900'>
{}
</div></body></html>
"""


def string(text: str, left: int, width: int, more: str = "", inside: str = "") -> str:
    place = f'HPOS="{left}" VPOS="10" WIDTH="{width}" HEIGHT="20"'
    return f'<String ID="s{left}" {place} WC="0.5" CC="123" CONTENT="{text}"{more}>{inside}</String>'


def alto_line(*children: str) -> str:
    return f'<TextLine ID="l" HPOS="0" VPOS="10" WIDTH="300" HEIGHT="20">{"".join(children)}</TextLine>'


def text_of(kind: str, data: bytes, page: int = 0) -> str:
    return "\n".join(line.text for line in xml_formats.read_page(kind, data, page).lines)


def corrected(kind: str, source: str | bytes, new: str, encoding: str = "utf-8") -> bytes:
    """The file with its first page corrected to read `new`, checked to do so."""
    data = source if isinstance(source, bytes) else source.encode(encoding)
    written = write_document(kind, data, {0: edits_between(text_of(kind, data), new)}, STEP).data
    assert text_of(kind, written) == new
    return written


def line_of(data: bytes) -> str:
    return re.search(r"<TextLine.*?</TextLine>", data.decode(), re.DOTALL)[0]


def test_export_alto_word_keeps_its_box_and_loses_its_confidence():
    """The text changes; WC, CC and glyphs were another text's; ALTERNATIVE stays, and the file notes the step."""
    inside = '<ALTERNATIVE>tbc</ALTERNATIVE> <Glyph CONTENT="t"/><Glyph CONTENT="b"/>'
    source = ALTO.format(alto_line(string("tbe", 0, 60, ' STYLE="bold"', inside), "<SP/>", string("cat", 70, 60)))

    written = corrected("alto", source, "the cat")

    place = 'HPOS="0" VPOS="10" WIDTH="60" HEIGHT="20"'
    word = f'<String ID="s0" {place} CONTENT="the" STYLE="bold"><ALTERNATIVE>tbc</ALTERNATIVE></String>'
    assert line_of(written) == alto_line(word, "<SP/>", string("cat", 70, 60))
    step = etree.fromstring(written).find(".//{*}OCRProcessing/{*}postProcessingStep")
    assert step.findtext("{*}processingDateTime") == "2026-05-04T03:02:01Z"
    assert "tagger default abc" in step.findtext("{*}processingStepDescription")
    assert step.findtext("{*}processingSoftware/{*}softwareVersion") == "9.8.7"


@pytest.mark.parametrize(
    ("version", "description", "path"),
    [
        ("3", "<OCRProcessing ID='o'><ocrProcessingStep/></OCRProcessing>", "OCRProcessing/{*}postProcessingStep"),
        ("2", "", "OCRProcessing/{*}postProcessingStep"),
        ("4", "<Processing ID='ocrray'/>", "Processing[@ID='ocrray_2']"),
    ],
)
def test_export_alto_history_is_that_of_the_version(version: str, description: str, path: str):
    """A postProcessingStep before ALTO 4, a Processing with an ID of its own since; always behind what was there."""
    processing = '<OCRProcessing ID="OCR_1"><ocrProcessingStep/></OCRProcessing>'
    source = ALTO.replace("ns-v3", f"ns-v{version}").replace(processing, description)

    written = corrected("alto", source.format(alto_line(string("tbe", 0, 60))), "the")

    description = etree.fromstring(written).find("{*}Description")
    assert description.find(f"{{*}}{path}") is not None
    assert description.find(f"{{*}}{path.partition('/')[0]}").getparent()[-1].tag.endswith("rocessing")


def test_export_alto_without_description_notes_the_step_in_a_comment():
    """A Description needs a unit of measurement, which is not to be invented."""
    source = '<alto><Layout><Page><TextLine><String CONTENT="tbe"/></TextLine></Page></Layout></alto>'

    assert b"<!-- text corrected by ocrray 9.8.7" in corrected("alto", source, "the")


def test_export_alto_split_word_shares_its_box():
    """Two strings and a space stand where one stood; the new one has no ID, and nothing of the old one's confidence."""
    line = line_of(
        corrected("alto", ALTO.format(alto_line(string("ofthe", 0, 60), "<SP/>", string("cat", 70, 60))), "of the cat")
    )

    strings = etree.fromstring(line).findall("String")
    assert [(word.get("CONTENT"), word.get("ID"), word.get("WC")) for word in strings] == [
        ("of", "s0", None),
        ("the", None, None),
        ("cat", "s70", "0.5"),
    ]
    assert [(word.get("HPOS"), word.get("WIDTH")) for word in strings] == [("0", "20"), ("30", "30"), ("70", "60")]
    assert [child.tag for child in etree.fromstring(line)] == ["String", "SP", "String", "SP", "String"]


def test_export_alto_joined_words_join_their_boxes():
    """One string stands where two and a space stood."""
    line = line_of(corrected("alto", ALTO.format(alto_line(string("c", 0, 10), "<SP/>", string("at", 30, 20))), "cat"))

    (word,) = etree.fromstring(line)
    assert (word.get("CONTENT"), word.get("HPOS"), word.get("WIDTH"), word.get("ID")) == ("cat", "0", "50", "s0")


def test_export_alto_inserted_word_takes_the_gap_and_a_deleted_one_its_space_with_it():
    """The neighbours of a word that comes or goes are not touched."""
    source = ALTO.format(alto_line(string("in", 0, 20), "<SP/>", string("house", 60, 50), "<SP/>", string("~", 120, 9)))

    line = line_of(corrected("alto", source, "in a house"))

    assert line.startswith(alto_line(string("in", 0, 20)).removesuffix("</TextLine>"))
    assert string("house", 60, 50) in line
    children = list(etree.fromstring(line))
    assert [child.tag for child in children] == ["String", "SP", "String", "SP", "String"]
    assert (children[2].get("CONTENT"), children[2].get("HPOS"), children[2].get("WIDTH")) == ("a", "20", "40")


def test_export_alto_line_without_text_keeps_a_string():
    """A TextLine must hold one."""
    first = alto_line(string("keep", 0, 60))

    written = corrected("alto", ALTO.format(first + alto_line(string("~", 0, 9), "<SP/>", string("^", 30, 9))), "keep")

    (last,) = etree.fromstring(written).findall(".//{*}TextLine")[1]
    assert last.get("CONTENT") == ""


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ('<HYP CONTENT="-"/>', "x"),
        ('<HYP CONTENT="-"/><HYP/>', "a b"),
        ('<String CONTENT=""/><HYP CONTENT="-"/>', "a -"),
        (string("a", 0, 9) + '<SP/><HYP CONTENT="-"/>', "a b-"),
        (string("a", 0, 9) + '<HYP CONTENT="-"/>', "a- b"),
        (string("a", 0, 9) + '<HYP CONTENT="-"/>', "-"),
        (string("a", 0, 9) + "<SP/>" + string("~", 20, 9) + '<HYP CONTENT="-"/>', "a -"),
        ('<HYP CONTENT="-"/>' + string("a", 0, 9), "b"),
    ],
)
def test_export_alto_odd_hyphens_read_as_corrected(line: str, new: str):
    """A HYP alone, twice, first, or apart from its word."""
    corrected("alto", ALTO.format(alto_line(line)), new)


def test_export_alto_line_of_a_hyphen_that_goes_is_empty():
    """It has no String that could stay."""
    written = corrected("alto", ALTO.format(alto_line(string("a", 0, 9)) + alto_line('<HYP CONTENT="-"/>')), "a")

    assert not len(etree.fromstring(written).findall(".//{*}TextLine")[1])


HALVES = [
    string("ad", 0, 20, ' SUBS_TYPE="HypPart1" SUBS_CONTENT="adherents,"') + '<HYP CONTENT="-"/>',
    string("herents,", 0, 60, ' SUBS_TYPE="HypPart2" SUBS_CONTENT="adherents,"') + "<SP/>" + string("of", 70, 20),
]


@pytest.mark.parametrize(
    ("raw", "new", "read", "whole"),
    [
        (["ad", "herents,"], "ad-\nherents, af", "ad-\nherents, af", "adherents,"),
        (["ad", "hcrents,"], "ad-\nherents, of", "ad-\nherents, of", "adherents,"),
        (["ab", "herents,"], "adherents, of", "ad-\nherents, of", "adherents,"),
        (["ad", "herents,"], "ad\nherents, of", "ad\nherents, of", None),
        (["ad", "herents,"], "ad-\nof", "ad-\nof", None),
        (["ad", "herents,"], "x ad-\nherents, of", "x ad-\nherents, of", "adherents,"),
        (["xad", "herents,"], "x ad-\nherents, of", "x ad-\nherents, of", "adherents,"),
    ],
)
def test_export_alto_hyphenated_word_is_told_whole(raw: list[str], new: str, read: str, whole: str | None):
    """Both halves name the corrected whole; where the hyphen or a half is gone, neither does. A dropped break stays."""
    lines = "".join(alto_line(half) for half in HALVES).replace('"ad"', f'"{raw[0]}"').replace('"herents,"', f'"{raw[1]}"')
    data = ALTO.format(lines.replace('"adherents,"', f'"{"".join(raw)}"')).encode()

    written = write_document("alto", data, {0: edits_between(text_of("alto", data), new)}, STEP).data

    assert text_of("alto", written) == read
    halves = [word for word in etree.fromstring(written).iter("{*}String") if word.get("SUBS_TYPE")]
    assert [word.get("SUBS_CONTENT") for word in halves] == ([whole, whole] if whole else [])
    if whole:
        assert [word.get("SUBS_TYPE") for word in halves] == ["HypPart1", "HypPart2"]
        assert whole.startswith(halves[0].get("CONTENT"))
        assert halves[1].get("CONTENT") == "herents,"


def page_word(text: str, left: int, inside: str = "") -> str:
    return (
        f'<pc:Word id="w{left}"><pc:Coords points="{left},10 {left + 50},10 {left + 50},30 {left},30"/>{inside}'
        f'<pc:TextEquiv conf="0.5"><pc:Unicode>{text}</pc:Unicode></pc:TextEquiv></pc:Word>'
    )


def page_text(text: str, more: str = "") -> str:
    return f"<pc:TextEquiv{more}><pc:Unicode>{text}</pc:Unicode></pc:TextEquiv>"


def page_region(line: str, own: str = "") -> str:
    coords = '<pc:Coords points="0,10 300,10 300,30 0,30"/>'
    return f'<pc:TextRegion id="r">{coords}<pc:TextLine id="l">{coords}{line}</pc:TextLine>{own}</pc:TextRegion>'


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


def hocr_word(text: str, left: int) -> str:
    return f"<span class='ocrx_word' id='w{left}' title='bbox {left} 10 {left + 50} 30; x_wconf 50'>{text}</span>"


def hocr_line(inside: str) -> str:
    return f"<span class='ocr_line' title=\"bbox 0 10 300 30\">{inside}</span>"


def test_export_hocr_word_keeps_its_mark_up():
    """The text changes inside its mark-up, x_wconf goes, and ocr-system tells of the step; the file need not be well-formed."""
    untouched = hocr_word("c&aacute;t", 60)
    source = HOCR.format(hocr_line(hocr_word("<strong>tbe</strong>", 0) + " " + untouched + "<br>"))

    written = corrected("hocr", source, "the cát").decode()

    changed = "<span class='ocrx_word' id='w0' title='bbox 0 10 50 30'><strong>the</strong></span>"
    assert hocr_line(changed + " " + untouched + "<br>") in written
    assert 'content="tesseract 5; text corrected by ocrray 9.8.7 (tagger default abc) 2026-05-04T03:02:01Z"' in written


def test_export_hocr_words_are_split_joined_inserted_and_deleted():
    """Boxes are shared, joined, taken from the gap; text in no word is text of its own."""
    words = " ".join(hocr_word(text, left) for text, left in (("ofthe", 0), ("c", 60), ("at", 120), ("~", 180), ("sat", 240)))

    written = corrected("hocr", HOCR.format(hocr_line(words) + "<p>loose tbxt</p>"), "of the cat sat\nloose text").decode()

    found = re.findall(r"<span class='ocrx_word'( id='\w+')? title='([^']*)'>(\w+)</span>", written)
    assert [(title, text) for _, title, text in found] == [
        ("bbox 0 10 17 30", "of"),
        ("bbox 25 10 50 30", "the"),
        ("bbox 60 10 170 30", "cat"),
        ("bbox 240 10 290 30; x_wconf 50", "sat"),
    ]
    assert "<p>loose text</p>" in written


def test_export_hocr_end_tags_may_be_left_out():
    """An element without one ends where the next begins, or what is around it ends."""
    source = HOCR.format(
        "<p class=ocr_par>one tbe<p class=ocr_par>" + hocr_line("two tbe<br>") + "<table><tr><td>cell tbe</table>"
    )

    written = corrected("hocr", source, "one the\ntwo the\ncell the").decode()

    for text in ("<p class=ocr_par>one the<p class=ocr_par>", ">two the<br></span>", "<td>cell the</table>"):
        assert text in written


def test_export_hocr_that_cannot_be_followed_is_refused():
    """Tags that the parser drops or moves would put words in the wrong place: such a file fails, by name."""
    source = HOCR.format("</table></p><div a=1></i><table>x<tr><div>" + hocr_line("tbe")).replace("</body>", "</b><body a=2>")

    with pytest.raises(RecordError) as error:
        write_document("hocr", source.encode(), {0: edits_between(text_of("hocr", source.encode()), "the")}, STEP)
    assert error.value.kind == "not_traceable"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_export_keeps_the_encoding(encoding: str):
    """What the encoding lacks becomes a reference; all other bytes stay, line ends and byte order mark too."""
    line = alto_line(string("tbe", 0, 60), "<!-- é -->", "<SP/>", string("œuvre" if "8859" not in encoding else "é", 70, 60))
    source = ALTO.format(line).replace("UTF-8", encoding.removesuffix("-sig")).replace("\n", "\r\n")
    data = source.encode(encoding)
    new = text_of("alto", data).replace("tbe", "Ω<&'\"")

    written = corrected("alto", data, new)

    assert "<!-- é -->".encode(encoding.replace("-sig", ""))[-16:] in written
    assert written[:60] == data[:60]
    assert written[-120:] == data[-120:]


def test_export_without_a_change_is_the_same_bytes():
    """No edits, and edits of white space only, leave a file as it is."""
    data = ALTO.format(alto_line(string("the", 0, 60), "<SP/>", string("cat", 70, 60))).encode()

    for new in ("the cat", "the  cat "):
        written = write_document("alto", data, {0: edits_between("the cat", new)}, STEP)
        assert (written.data, written.changed_lines) == (data, 0)


def test_export_refuses_edits_of_another_text_or_page():
    """A file that is not the one that was read is an error with a kind."""
    data = ALTO.format(alto_line(string("the", 0, 60))).encode()

    for edits, kind in (({0: edits_between("xyz", "xya")}, "other_text"), ({1: edits_between("a", "b")}, "missing_page")):
        with pytest.raises(RecordError) as error:
            write_document("alto", data, edits, STEP)
        assert error.value.kind == kind


def test_export_hostile_file_is_a_record_error_or_reads_as_corrected():
    """No file that attackers send breaks out of the one error that stands for it."""
    for name, (data, kind) in hostile.documents().items():
        format_ = next((known for known in ("alto", "page", "hocr") if f".{known}" in name), None)
        if format_ and kind == hostile.GOOD:
            corrected(format_, data, text_of(format_, data).replace("o", "e<&"))
        elif format_:
            with pytest.raises(RecordError) as error:
                write_document(format_, data, {0: edits_between("x", "y")}, STEP)
            assert error.value.kind == kind


words = st.text(st.sampled_from("abcé-&<\"',.¬"), min_size=1, max_size=7)
lines = st.lists(st.lists(words, min_size=1, max_size=5), min_size=1, max_size=4)
correction = st.text(st.sampled_from("abcé-&<\"'. \n"), max_size=60)


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def as_alto(lines: list[list[str]], space: str, touch: int) -> str:
    rows = []
    for number, line in enumerate(lines):
        strings = [string(escape(word), 60 * i, 50) for i, word in enumerate(line)]
        hyphen = '\n<HYP CONTENT="-"/>' if number % 2 else ""
        rows.append(alto_line("\n " + (space.join(strings) if (number + 1) % 3 or touch else "".join(strings)) + hyphen))
    return ALTO.format("\n".join(rows) + f"<TextLine>{space}{space}</TextLine>")


def as_page(lines: list[list[str]], with_lines: bool, with_words: bool) -> str:
    rows = []
    for number, line in enumerate(lines):
        found = [page_word(escape(word), 60 * i).replace('id="', f'id="n{number}') for i, word in enumerate(line)]
        text = page_text(escape(" ".join(line)))
        rows.append(
            page_region("\n".join([*(found if with_words else []), *([text] if with_lines or not with_words else [])]), text)
        )
    return PAGE.format(2019, "\n".join(rows))


def as_hocr(lines: list[list[str]], bare: int) -> str:
    rows = [
        hocr_line(" ".join(escape(word) if i % 3 == bare else hocr_word(escape(word), 60 * i) for i, word in enumerate(line)))
        for line in lines
    ]
    return HOCR.format("\n".join(rows))


documents = st.one_of(
    st.tuples(st.just("alto"), st.builds(as_alto, lines, st.sampled_from(["", "<SP/>"]), st.integers(0, 1))),
    st.tuples(st.just("page"), st.builds(as_page, lines, st.booleans(), st.booleans())),
    st.tuples(st.just("hocr"), st.builds(as_hocr, lines, st.integers(0, 3))),
)


@settings(max_examples=150, deadline=None)
@given(documents, correction)
def test_export_any_correction_of_any_page_reads_back(document: tuple[str, str], new: str):
    """Whatever the correction says, the written file reads so, line by line, with every box inside its line's."""
    kind, source = document
    data = source.encode()
    raw = text_of(kind, data)
    edits = edits_between(raw, new)
    expected = [collapsed(line) for line in corrected_lines(raw.split("\n"), edits) if line]

    written = write_document(kind, data, {0: edits}, STEP).data

    page = xml_formats.read_page(kind, written, 0)
    assert [collapsed(line.text) for line in page.lines] == expected
    for line in page.lines:
        for word in line.words:
            assert line.left is None or line.left <= word.left <= word.right <= line.right
