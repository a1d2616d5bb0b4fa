"""The text layer of PDF pages as input: in reading order, in the pixels of the page, and only where it is sound."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pdf_samples import pdf_file
from PIL import Image, ImageDraw, ImageFont

from ocrray.errors import ConfigError, RecordError
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources.input import InputConfig
from ocrray.sources.scans import pdf
from ocrray.sources.scans.pdf_text import read_text_layer
from ocrray.sources.worklist import list_records
from ocrray.stages.load import Load
from ocrray.stages.text_layer import doubt, is_unread

LEFT = [
    "The harbour master came to the",
    "quay in April 1872 and he read",
    "the letter of the company to all",
    "of the sailors who went",
]
RIGHT = [
    "In silence they sailed on the",
    "morrow and the ship was lost",
    "near the cape of the storms with",
    "all her crew and cargo",
]
COLUMNS = [*LEFT, *RIGHT]


def shown(text: str, x: float = 10, y: float = 150, *, size: float = 10, turn: str = "1 0 0 1", mode: int = 0) -> str:
    """The operators that show one text; mode 3 is invisible."""
    return f"BT /F {size} Tf {mode} Tr {turn} {x} {y} Tm ({text}) Tj ET\n"


def column(lines: list[str], x: float = 10, **options: Any) -> list[str]:
    return [shown(line, x, 150 - 12 * row, **options) for row, line in enumerate(lines)]


def texts(content: str, page: str = "") -> list[str]:
    return [line.text for line in read_text_layer(pdf_file([], content, page), 0, "a.pdf", 10**8).lines]


def rows_of(left: list[str], right: list[str]) -> list[str]:
    return [part for row in zip(left, right, strict=True) for part in row]


CELLS = [("Apples", "12", "3.20"), ("Pears", "7", "1.10"), ("Plums", "9", "0.40")]
TABLE = [shown(cell, x, 150 - 12 * row) for row, cells in enumerate(CELLS) for x, cell in zip((10, 150, 250), cells, strict=True)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (column(LEFT) + column(RIGHT, 190), COLUMNS),
        (rows_of(column(LEFT), column(RIGHT, 190)), COLUMNS),
        (column(RIGHT, 190) + column(LEFT), COLUMNS),
        (column(LEFT)[::-1], LEFT),
        ([*column(LEFT), shown("A LINE ABOVE", 100, 170)], ["A LINE ABOVE", *LEFT]),
        ([*rows_of(column(LEFT), column(RIGHT, 190)), shown("A TITLE ACROSS ALL OF THE PAGE", 80, 170)], None),
        ([shown("master", 75), shown("came", y=138), shown("The"), shown("to", 40, 138), shown("harbour", 32)], None),
        (
            TABLE,
            ["Apples 12 3.20", "Pears 7 1.10", "Plums 9 0.40"],
        ),
    ],
    ids=["columns", "row by row", "right first", "from below", "header last", "title last", "words in disorder", "table"],
)
def test_read_text_layer_is_in_reading_order(content: list[str], expected: list[str] | None) -> None:
    """Whatever the order of the file, columns of text are read one after the other, and tables row by row."""
    lines = texts("".join(content))
    if expected is None:
        expected = ["The harbour master", "came to"] if len(lines) == 2 else ["A TITLE ACROSS ALL OF THE PAGE", *COLUMNS]
    assert lines == expected


@pytest.mark.parametrize(
    ("turn", "page"),
    [
        ("1 0 0 1", ""),
        ("1 0 0 1", "/Rotate 180"),
        ("1 0 0 1", "/MediaBox [-100 -50 400 300] /CropBox [-20 -10 340 170]"),
        ("0.1 0 0 0.1", "/MediaBox [0 0 36 18] /UserUnit 10"),
        ("0 1 -1 0", "/Rotate 90 /MediaBox [0 0 180 360]"),
        ("0 -1 1 0", "/Rotate 270 /MediaBox [0 0 180 360]"),
        ("0 1 -1 0", "/MediaBox [0 0 180 360]"),
        ("-1 0 0 -1", "/Rotate 180"),
    ],
    ids=["plain", "upside down", "cropped", "user unit", "90", "270", "sideways", "upright in the end"],
)
def test_read_text_layer_boxes_are_those_of_the_ink_on_the_rendered_page(turn: str, page: str) -> None:
    """Rotation, crop boxes with an offset and user units move the boxes as they move the pixels, and the order stays."""
    a, b, c, d = map(float, turn.split())
    x, y = (180, 90) if "180 360" not in page else (90, 180)
    x, y = (18, 9) if "UserUnit" in page else (x, y)
    places = [(x + along * a + down * c, y + along * b + down * d) for along, down in ((-70, 40), (-70, 20))]
    content = "".join(
        shown(text, *place, turn=turn) for text, place in zip(("Harbour master", "He read it"), places, strict=True)
    )
    data = pdf_file([], content, page)
    layer = read_text_layer(data, 0, "a.pdf", 10**8)
    assert [line.text for line in layer.lines] == ["Harbour master", "He read it"]
    ink = pdf.decode_page(data, 0, "a.pdf", 10**8).convert("L").point(lambda grey: 255 * (grey < 128))
    around = [min(line.left for line in layer.lines), min(line.top for line in layer.lines)]
    around += [max(line.right for line in layer.lines), max(line.bottom for line in layer.lines)]
    assert around == pytest.approx(ink.getbbox(), abs=3)
    word = layer.lines[0].words[0]
    assert ink.crop((word.left, word.top, word.right, word.bottom)).getbbox() is not None


@pytest.mark.parametrize(
    ("content", "page", "expected"),
    [
        (shown("Hidden words here", mode=3), "", ["Hidden words here"]),
        (shown("Bold words") + shown("Bold words", 10.3), "", ["Bold words"]),
        (shown("Seen") + shown("Seen", mode=3), "", ["Seen"]),
        (shown("Cut off", -300) + shown("Inside"), "", ["Inside"]),
        (shown("Outside") + shown("Inside", 150, 90), "/MediaBox [0 0 360 180] /CropBox [140 60 300 120]", ["Inside"]),
        (shown("The har-") + shown("bour master", y=138), "", ["The har-", "bour master"]),
        ("BT /F 10 Tf 1 0 0 1 10 150 Tm [(The)-500(harbour)-300(mas)20(ter)] TJ ET", "", ["The harbour master"]),
        (shown("Two, "), "", ["Two,"]),
        ("", "", []),
    ],
    ids=["invisible", "bold by a shift", "twice", "off the page", "cropped off", "hyphen", "kerning", "comma", "empty"],
)
def test_read_text_layer_text_is_what_stands_on_the_page_once(content: str, page: str, expected: list[str]) -> None:
    """Invisible layers count, text off the page does not, and a word at one place is read once."""
    assert texts(content, page) == expected


def test_read_text_layer_values_of_a_form_belong_to_it() -> None:
    """What was filled in is text of the page."""
    field = "<< /Type /Annot /Subtype /Widget /T (name) /F 4 /Rect [20 80 340 110] /FT /Tx /V (William Thornbury) >>"
    form = "/AcroForm << /DA (/F 16 Tf 0 g) /DR << /Font << /F 5 0 R >> >> /Fields [6 0 R] >>"
    layer = read_text_layer(pdf_file([field], shown("Name of the sailor:"), "/Annots [6 0 R]", form), 0, "a.pdf", 10**8)
    assert layer.text == "Name of the sailor:\nWilliam Thornbury"


CMAP = b"begincmap 1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <41> <7a> <%s> endbfrange endcmap"
TO_UNICODE = "/BaseFont /Helvetica /ToUnicode 6 0 R"
SENTENCES = "".join(column(LEFT) + column(RIGHT, 190))
BAD_OCR = ["Tlic liarbonr niastcr canie lo tlie", "qiiay iu Aprii 1S72. Hc rcad tbe", "Ietter oi ihe conipany to tbe"]


def scan_of(printed: list[str], layer: str, contents: str = "") -> bytes:
    """A page that is one image with printed lines, and this layer over it."""
    image = Image.new("L", (1500, 750), 255)
    for row, line in enumerate(printed):
        ImageDraw.Draw(image).text((42, 90 + 50 * row), line, fill=0, font=ImageFont.load_default(42))
    options = "/Type /XObject /Subtype /Image /Width 1500 /Height 750 /ColorSpace /DeviceGray /BitsPerComponent 8"
    return pdf_file([], f"q 360 0 0 180 0 0 cm /I Do Q\n{contents}{layer}", contents=(image.tobytes(),), options=options)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pdf_file([], SENTENCES), ""),
        (pdf_file([], "".join(column(["Kapitan portu przyszedl na nabrzeze", "w kwietniu, a oni odeszli w milczeniu"]))), ""),
        (pdf_file([], SENTENCES, contents=(CMAP % b"0042",), font=TO_UNICODE), "letters of no language"),
        (pdf_file([], SENTENCES, contents=(CMAP % b"E041",), font=TO_UNICODE), "characters without Unicode"),
        (scan_of(LEFT, "".join(column(LEFT, mode=3))), ""),
        (scan_of(LEFT, "".join(column(BAD_OCR, mode=3))), "unlike English"),
        (scan_of(LEFT, shown("Digitized by the library", 10, 5)), "ink without text"),
        (scan_of(LEFT, ""), "ink without text"),
        (scan_of([], shown("Digitized by the library", 10, 5)), ""),
    ],
    ids=["sound", "Polish", "shifted", "private", "scan", "bad OCR", "stamp", "no layer", "stamp on a blank leaf"],
)
def test_doubt_layer_is_judged_without_its_truth(data: bytes, reason: str) -> None:
    """A wrong ToUnicode, a stamp on a scan, and OCR of long ago are found out; other languages are not taken for garbage."""
    layer = read_text_layer(data, 0, "a.pdf", 10**8)
    assert doubt(layer, reads_english=True) == reason


def loaded(data: bytes, mode: str, folder: Path) -> dict[str, Any]:
    (folder / "a.pdf").write_bytes(data)
    work = pa.Table.from_pylist(
        [{"record_id": "a.pdf#0", "uri": str(folder / "a.pdf"), "kind": "pdf", "page": 0}], schema=WORK_LIST_SCHEMA
    )
    (row,) = Load(InputConfig(paths=["unused"], pdf=mode), reads_english=True)(work).to_pylist()
    return row


@pytest.mark.parametrize(
    ("data", "mode", "text", "warnings"),
    [
        (pdf_file([], SENTENCES), "recognize", None, None),
        (pdf_file([], SENTENCES), "text", "\n".join(COLUMNS), None),
        (pdf_file([], SENTENCES), "auto", "\n".join(COLUMNS), None),
        (scan_of(LEFT, ""), "text", "", ["no_text"]),
        (scan_of(LEFT, ""), "auto", None, None),
        (scan_of([], ""), "text", "", None),
        (scan_of(LEFT, shown("Digitized", 10, 5)), "text", "Digitized", ["text_layer_doubtful"]),
        (scan_of(LEFT, shown("Digitized", 10, 5)), "auto", None, None),
    ],
)
def test_load_pdf_page_by_its_mode(tmp_path: Path, data: bytes, mode: str, text: str | None, warnings: list[str] | None) -> None:
    """With `auto` a page without a sound layer keeps no text, so that it is recognized; with `text` a person is warned."""
    row = loaded(data, mode, tmp_path)
    assert (row["status"], row["raw_text"], row["warnings"]) == (None, text, warnings)
    assert (row["content_hash"] is None) == (text is None)


def test_load_pdf_that_is_broken_fails_in_every_mode(tmp_path: Path) -> None:
    """A file that cannot be opened is no page without text."""
    assert loaded(b"%PDF-1.7\n", "auto", tmp_path)["error_kind"] == "unreadable"
    with pytest.raises(RecordError, match="page 3"):
        read_text_layer(pdf_file([], ""), 3, "a.pdf", 10**8)


def test_list_records_text_layers_need_no_recognizer(tmp_path: Path) -> None:
    """With `text` a PDF is a document; with the others it is a scan."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_file([], SENTENCES))
    rows = [row for table in list_records(InputConfig(paths=[str(path)], pdf="text"), images=False) for row in table.to_pylist()]
    assert [(row["kind"], row["error"]) for row in rows] == [("pdf", None)]
    with pytest.raises(ConfigError, match="pdf: text"):
        list(list_records(InputConfig(paths=[str(path)], pdf="auto"), images=False))


def test_is_unread_blank_page_is_none() -> None:
    """A blank leaf has no text to miss."""
    assert not is_unread(read_text_layer(scan_of([], ""), 0, "a.pdf", 10**8))
    assert is_unread(read_text_layer(scan_of(LEFT, ""), 0, "a.pdf", 10**8))


@pytest.mark.shared
def test_read_text_layer_real_newspaper_has_whole_lines(shared_data: Path) -> None:
    """Words of a real OCR layer stand in the file word by word, and within a line in disorder."""
    path = shared_data / "formats/impresso_samples/RERO2/BLB/data/BLB/18451228_01/PAGEPDF/00001.pdf"
    layer = read_text_layer(path.read_bytes(), 0, "a.pdf", 10**8)
    assert [line.text for line in layer.lines[6:8]] == ["Willkommen , verehrte Abonnenten , in diesen schönen", "Räumen ,"]
    assert doubt(layer, reads_english=False) == ""
