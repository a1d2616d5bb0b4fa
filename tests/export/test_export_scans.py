"""New ALTO, PAGE and hOCR files of scans: valid, with the corrected words in the boxes of what was recognized."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from lxml import etree
from PIL import Image
from scan_samples import BOXLESS, LINES, export_scans, failed_row, outcomes, scan_row, schema_errors

import ocrray
from ocrray.corpus.export.boxes import Box
from ocrray.corpus.export.corpus import ExportConfig, Exported
from ocrray.corpus.export.projection import corrected_lines
from ocrray.corpus.export.scans import alto, hocr, page_xml
from ocrray.corpus.export.scans.page import ScanPage, blocks_of
from ocrray.corpus.export.scans.words import PlacedLine, placed_line, text_of
from ocrray.records import Line, Word
from ocrray.sources.ocr_files import markup
from ocrray.text.edits import edits_between
from ocrray.text.normalise import sanitise

FORMATS = ("alto", "page", "hocr")
EXTENSIONS = {"alto": "xml", "page": "xml", "hocr": "hocr"}


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a b & c.png"
    path.parent.mkdir()
    Image.new("L", (300, 120), 255).save(path, dpi=(150, 150))
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_export_of_scan_has_corrected_words_in_their_boxes(scan: Path, kind: str):
    """Valid; unchanged words keep box and confidence, corrected ones the box; size, name and steps are in the file."""
    exported, folder = export_scans(scan.parent.parent, [scan_row(scan, LINES, "the cat\nsat down")], kind)

    data = (folder / kind / f"{scan.name}.{EXTENSIONS[kind]}").read_bytes()
    page = markup.read_page(kind, data, 0)
    assert exported == Exported(0, 0, 0, changed_lines=1, new=1)
    assert schema_errors(kind, data) == []
    assert [line.text for line in page.lines] == ["the cat", "sat down"]
    assert page.lines[0].words[0] == Word("the", 50, 40, 110, 60, None)
    cat = page.lines[0].words[1]
    assert (cat.left, cat.right, cat.confidence) == (130, 190, pytest.approx(0.91))
    assert page.image_name == scan.name
    assert all(
        part in data for part in (b"300", b"120", b"tesseract", b"5.5.4-abc", b"tagger default 0123456789ab", b"03:04:05Z")
    )


@pytest.mark.parametrize(
    ("recognizer", "software", "version", "model"),
    [
        ("tesseract deu+eng 5.5.4-abc", "tesseract", "5.5.4-abc", "model: deu+eng"),
        ("vlm org/reader 0a1b2c got/77", "ocrray", ocrray.__version__, "model: vlm org/reader 0a1b2c got/77"),
        (None, "text layer of the file", None, None),
    ],
)
def test_export_of_scan_names_what_recognized_it(
    scan: Path, recognizer: str | None, software: str, version: str | None, model: str | None
):
    """Tesseract has a version of its own; other engines are ours, with a model."""
    _, folder = export_scans(scan.parent.parent, [scan_row(scan, LINES, recognizer=recognizer)], "alto")

    step = etree.parse(folder / "alto" / f"{scan.name}.xml").find(".//{*}Processing")
    assert step is not None
    names = ("softwareName", "softwareVersion", "processingStepSettings")
    assert [step.findtext(f".//{{*}}{name}") for name in names] == [software, version, model]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("lines", [BOXLESS, None, ()], ids=["lines without boxes", "text only", "blank page"])
def test_export_without_boxes_is_valid_and_says_so(scan: Path, kind: str, lines: Sequence[Line] | None):
    """A block of text for the page, marked; a blank page is valid, too."""
    text = "" if lines == () else "tbe cat\nsat & down"
    _, folder = export_scans(scan.parent.parent, [scan_row(scan, lines, raw_text=text)], kind)

    data = (folder / kind / f"{scan.name}.{EXTENSIONS[kind]}").read_bytes()
    assert schema_errors(kind, data) == []
    assert [line.text for line in markup.read_page(kind, data, 0).lines] == text.split("\n") * bool(text)
    marks = {"alto": b'TAGREFS="no_boxes"', "page": b"boxes {none:true;}", "hocr": b"x_boxes none"}
    assert (marks[kind] in data) == bool(text)


def test_export_of_lines_with_boxes_and_words_without_keeps_the_lines_boxes(scan: Path):
    """An engine that places lines only: each format has them, and no places of words."""
    line = Line("one two", 10, 20, 90, 40, 0.5, [Word("one"), Word("two")])
    _, folder = export_scans(scan.parent.parent, [scan_row(scan, [line])], *FORMATS)

    for kind in FORMATS:
        data = (folder / kind / f"{scan.name}.{EXTENSIONS[kind]}").read_bytes()
        (read,) = markup.read_page(kind, data, 0).lines
        assert schema_errors(kind, data) == []
        assert (read.text, read.left, read.top, read.right, read.bottom) == ("one two", 10, 20, 90, 40)


def test_export_of_document_has_a_file_a_page(tmp_path: Path):
    """In a folder with the document's name; a page that failed has none, and is counted."""
    scan = tmp_path / "book.tif"
    frames = [Image.new("1", size, 1) for size in ((300, 120), (310, 130), (320, 140))]
    frames[0].save(scan, save_all=True, append_images=frames[1:])
    rows = [scan_row(scan, LINES), failed_row(scan, page=1), scan_row(scan, LINES, page=2)]

    exported, folder = export_scans(tmp_path, rows, "alto")

    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.xml"))
    assert files == ["alto/book.tif/0001.xml", "alto/book.tif/0003.xml"]
    last = etree.parse(folder / files[1]).find(".//{*}Page")
    assert last is not None
    assert [last.get(name) for name in ("PHYSICAL_IMG_NR", "WIDTH", "HEIGHT")] == ["3", "320", "140"]
    assert exported == Exported(0, 0, 0, 0, new=1)
    (row,) = outcomes(folder)
    assert (row["file"], row["files"], row["records"], row["unread_pages"]) == ("alto/book.tif", 2, 3, 1)


def test_export_of_scan_that_changed_fails_and_others_are_written(tmp_path: Path):
    """Boxes of another picture would be wrong: the scan must be the one that was read."""
    for name in ("a.png", "b.png"):
        Image.new("L", (300, 120), 255).save(tmp_path / name)
    rows = [scan_row(tmp_path / name, LINES) for name in ("a.png", "b.png")]
    Image.new("L", (300, 130), 255).save(tmp_path / "a.png")

    exported, folder = export_scans(tmp_path, rows, "alto", "hocr")

    assert exported == Exported(0, 0, failed=2, changed_lines=0, new=2)
    assert {(Path(row["uri"]).name, row["error_kind"]) for row in outcomes(folder)} == {("a.png", "other_text"), ("b.png", None)}


def test_export_without_scans_leaves_them_alone(scan: Path):
    """As before there were files of scans."""
    exported, folder = export_scans(scan.parent.parent, [scan_row(scan, LINES)])

    assert exported == Exported(0, 0, 0, 0)
    assert list(folder.iterdir()) == []


def test_export_config_of_one_format_may_leave_out_the_brackets():
    """`export: {scans: alto}`."""
    assert ExportConfig.model_validate({"scans": "alto"}).scans == ["alto"]


def words(*texts: str, glued: bool = False) -> Line:
    """A line of words, 10 wide a character; a space, if any, is 10 wide."""
    left, placed = 0, []
    for text in texts:
        placed.append(Word(text, left, 0, left + 10 * len(text), 20, 0.9))
        left += 10 * (len(text) + (not glued))
    return Line(("" if glued else " ").join(texts), 0, 0, left, 20, 0.9, placed)


@pytest.mark.parametrize(
    ("line", "new", "expected"),
    [
        (words("tbe", "cat"), "the cat", [("the", 0, 30, None), ("cat", 40, 70, 0.9)]),
        (words("thecat", "sat"), "the cat sat", [("the", 0, 26, None), ("cat", 34, 60, None), ("sat", 70, 100, 0.9)]),
        (words("th", "e", "cat"), "the cat", [("the", 0, 40, None), ("cat", 50, 80, 0.9)]),
        (words("the", "cat"), "the", [("the", 0, 30, 0.9)]),
        (words("the", "cat"), "the big cat", [("the", 0, 30, 0.9), ("big", 30, 40, None), ("cat", 40, 70, 0.9)]),
        (words("東京", "都", glued=True), "東京都", [("東京都", 0, 30, 0.9)]),
        (words("東京", "部", glued=True), "東京都", [("東京都", 0, 30, None)]),
        (words("a", "b"), "c d e", [("c", 0, 10, None), ("d", 20, 23, None), ("e", 27, 30, None)]),
    ],
)
def test_placed_words_share_the_boxes_of_what_they_replace(line: Line, new: str, expected: list[tuple[object, ...]]):
    """A split word's box is divided, joined words' boxes are one, and unchanged words keep everything."""
    placed = placed_line(line, new)

    found = [(word.text, word.box and word.box.left, word.box and word.box.right, word.confidence) for word in placed.words]
    assert found == expected
    assert text_of(placed.words) == placed.text == new


ALPHABET = [*"aāb東ש́ر-—.,;'<>&]¬=\u00a0\u200b\u00ad\t\ufeff\ufffe\U0001d504\u3000\u2028", *"      "]


def garbled(random: Random, length: int) -> str:
    return "".join(random.choices(ALPHABET, k=length))


def test_page_of_any_characters_reads_as_corrected_in_every_format():
    """Lines of odd characters, words that touch, edits anywhere; words are those of the text, and each file is well-formed."""
    random = Random(17)
    for _ in range(60):
        parts = [[sanitise(garbled(random, 4).strip()) or "x" for _ in range(3)] for _ in range(3)]
        lines = [words(*texts, glued=random.random() < 0.3) for texts in parts]
        raw = "\n".join(line.text for line in lines)
        start = random.randrange(len(raw))
        new = raw[:start] + garbled(random, 3) + raw[start + random.randrange(6) :]
        texts = corrected_lines([line.text for line in lines], edits_between(raw, new))
        placed = [placed_line(line, text) for line, text in zip(lines, texts, strict=True)]
        page = ScanPage("a.png", "hash", 0, 300, 200, None, blocks_of(placed), [], datetime(2026, 1, 1, tzinfo=UTC))

        assert all(not line.words or text_of(line.words) == line.text for line in placed)
        for kind, writer in {"alto": alto, "page": page_xml, "hocr": hocr}.items():
            read = markup.read_page(kind, writer.write(page), 0).lines
            assert [line.text.split() for line in read] == [line.text.split() for line in page.lines if line.text.split()]


def test_placed_line_whose_words_are_not_its_text_has_no_words():
    """The line's own text is right; words elsewhere on it would be wrong."""
    line = Line("one two", 0, 0, 70, 20, 0.9, [Word("three", 0, 0, 50, 20)])

    assert placed_line(line, "one two") == PlacedLine("one two", Box(0, 0, 70, 20), ())


def test_blocks_follow_columns():
    """Lines of a column are a block; the next column, far lines and lines without a box begin another; the order stays."""
    left = [PlacedLine(f"left {row}", Box(0, 30 * row, 100, 30 * row + 20)) for row in range(3)]
    right = [PlacedLine(f"right {row}", Box(60, 30 * row, 220, 30 * row + 20)) for row in range(2)]  # overlaps, but is no lower
    far = PlacedLine("far", Box(0, 400, 220, 420))

    blocks = blocks_of([*left, *right, PlacedLine(""), far, PlacedLine("a"), PlacedLine("b")])

    assert [[line.text for line in block.lines] for block in blocks] == [
        ["left 0", "left 1", "left 2"],
        ["right 0", "right 1"],
        ["far"],
        ["a", "b"],
    ]
    assert [block.box for block in blocks] == [Box(0, 0, 100, 80), Box(60, 0, 220, 50), far.box, None]
