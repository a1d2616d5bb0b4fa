"""Corrections written back: what changes in an ALTO file, and that nothing else does."""

import pytest
from export_samples import ALTO, STEP, alto_line, corrected, line_of, string, text_of
from lxml import etree

from ocrray.corpus.export.document import write_document
from ocrray.text.edits import edits_between


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
        (string("co", 0, 9) + '<SP/><HYP CONTENT="-"/>', "co-"),
        (string("co", 0, 9) + '<SP/><HYP CONTENT="-"/>', "co"),
        (string("co", 0, 9) + '<SP/><HYP CONTENT="-"/>', "op-"),
        (string("co", 0, 9) + '<HYP CONTENT="-"/>', "co -"),
        (string("co", 0, 9) + '<HYP CONTENT="-"/>', "co--"),
        (string("co-", 0, 9) + '<HYP CONTENT="-"/>', "co"),
        (string("co-", 0, 9) + '<HYP CONTENT="-"/>', "op-"),
        (string("co-", 0, 9) + '<HYP CONTENT="-"/>', "co -"),
        (string("co-", 0, 9) + '<SP/><HYP CONTENT="-"/>', "a co."),
        (string("co-", 0, 9) + "<HYP/><HYP/>", "co-x"),
        (string("two", 0, 30) + string("words", 80, 50), "two x words"),
        (string("two", 0, 30) + string("words", 80, 50), "twowords"),
        (string("two", 0, 30) + string("words", 80, 50) + string(",", 131, 4), "one words,"),
        (string("two", 0, 30) + string("words", 80, 50) + string(",", 131, 4), "two words"),
        (string("a", 0, 9) + string("b", 10, 9) + "<SP/>" + string("c", 40, 9) + string("d", 90, 9), "ab x d"),
        ("<Group>" + string("two", 0, 30) + "</Group>" + string("words", 80, 50), "one word"),
    ],
)
def test_export_alto_odd_hyphens_and_spaces_read_as_corrected(line: str, new: str):
    """A HYP alone, twice, first, apart from its word or repeated in it, and spaces that only the boxes tell."""
    corrected("alto", ALTO.format(alto_line(line)), new)

    others = alto_line(string("old", 0, 30), "<SP/>", string("news", 40, 40)).replace('ID="', 'ID="o')
    written = corrected("alto", ALTO.format(others + alto_line(line)), f"old news\n{new}")
    assert others in written.decode()


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


@pytest.mark.parametrize(
    ("first", "new", "whole"),
    [
        (string("mas-", 0, 40, ' SUBS_TYPE="HypPart1" SUBS_CONTENT="master"') + '<HYP CONTENT="-"/>', "mos-\nter", "moster"),
        (string("mas-", 0, 40, ' SUBS_TYPE="HypPart1" SUBS_CONTENT="master"') + '<HYP CONTENT="-"/>', "mas-\ntar", "mastar"),
        (string("mas-", 0, 40, ' SUBS_TYPE="HypPart1" SUBS_CONTENT="master"') + '<HYP CONTENT="-"/>', "mas\nter", None),
        (string("mas-", 0, 40, ' SUBS_TYPE="HypPart1" SUBS_CONTENT="master"'), "mos-\nter", "moster"),
        (string("mas-", 0, 40, ' SUBS_TYPE="HypPart1" SUBS_CONTENT="master"'), "mas\nter", None),
        (
            string("mas", 0, 40, ' SUBS_TYPE="HypPart1" SUBS_CONTENT="master"') + '<SP/><HYP CONTENT="-"/>',
            "mas-\nter",
            "master",
        ),
    ],
)
def test_export_alto_hyphen_said_in_content_keeps_the_word_whole(first: str, new: str, whole: str | None):
    """A hyphen in CONTENT, with or without HYP, is that of the broken word: its halves name it while the hyphen stays."""
    second = string("ter", 0, 30, ' SUBS_TYPE="HypPart2" SUBS_CONTENT="master"')

    written = corrected("alto", ALTO.format(alto_line(first) + alto_line(second)), new)

    halves = [word for word in etree.fromstring(written).iter("{*}String") if word.get("SUBS_TYPE")]
    assert [(word.get("SUBS_TYPE"), word.get("SUBS_CONTENT")) for word in halves] == (
        [("HypPart1", whole), ("HypPart2", whole)] if whole else []
    )


def test_export_alto_last_space_of_a_file_stays_for_the_other_lines():
    """A file that lost its last SP would read every String as a word of its own."""
    marks = alto_line(string("Heeren", 0, 60), string(",", 60, 4))

    written = corrected("alto", ALTO.format(alto_line(string("c", 0, 10), "<SP/>", string("at", 30, 20)) + marks), "cat\nHeeren,")

    assert marks in written.decode()
