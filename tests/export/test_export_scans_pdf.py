"""Searchable PDFs of scans: the same picture, with the corrected words where they stand on it."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pypdf
import pytest
from pdf_samples import pdf_file
from PIL import Image, ImageDraw
from pypdf.generic import DictionaryObject, NameObject
from scan_samples import BOXLESS, LINES, export_scans, failed_row, outcomes, scan_row

from ocrray.corpus.export.boxes import Box, bounding_box
from ocrray.corpus.export.scans.pdf_text import FONT_NAME, add_font, compressed_stream, text_content
from ocrray.corpus.export.scans.words import PlacedLine, PlacedWord
from ocrray.records import Line
from ocrray.sources.kinds import image_format_of
from ocrray.sources.scans import pdf
from ocrray.sources.scans.pdf_text import read_text_layer

SIZE = (300, 120)


def decoded(data: bytes, page: int = 0) -> Image.Image:
    return image_format_of(data).decode_page(data, page, "a", 10**8)


def layer_of(data: bytes, page: int = 0) -> list[Line]:
    return list(read_text_layer(data, page, "a.pdf", 10**8).lines)


def places(lines: Sequence[Line], scale: float = 1) -> list[tuple[str, list[int]]]:
    """Words with left, top, right and bottom; tops and bottoms are those of their line."""
    return [
        (word.text, [round((side or 0) * scale) for side in (word.left, line.top, word.right, line.bottom)])
        for line in lines
        for word in line.words
    ]


def picture() -> Image.Image:
    """A picture that is another one when it is turned or mirrored, with some colour."""
    image = Image.new("RGB", SIZE, (250, 240, 220))
    draw = ImageDraw.Draw(image)
    draw.polygon([(10, 10), (100, 20), (20, 110)], fill=(20, 20, 60))
    draw.rectangle((200, 5, 290, 30), fill=(160, 30, 30))
    return image


def turned(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif.tobytes()}


@pytest.mark.parametrize(
    ("name", "mode", "options", "passes"),
    [
        ("a.png", "L", {}, None),
        ("a.png", "RGBA", {}, None),
        ("a.png", "P", {}, None),
        ("a.tif", "1", {"compression": "group4"}, None),
        ("a.tif", "CMYK", {}, None),
        ("a.jpg", "RGB", {"quality": 95}, "/DCTDecode"),
        ("a.jpg", "CMYK", {"quality": 95}, None),
        *[("a.jpg", "L", {"quality": 95, **turned(number)}, "/DCTDecode") for number in range(2, 9)],
        ("a.jp2", "RGB", {}, "/JPXDecode"),
    ],
)
def test_pdf_of_scan_shows_the_same_picture(tmp_path: Path, name: str, mode: str, options: dict[str, Any], passes: str | None):
    """Of every kind, upright; JPEG and JPEG 2000 are in the PDF as they are."""
    scan = tmp_path / name
    picture().convert(mode).save(scan, dpi=(300, 300), **options)
    _, folder = export_scans(tmp_path, [scan_row(scan, LINES)], "pdf")

    data = (folder / "pdf" / f"{name}.pdf").read_bytes()
    shown, expected = decoded(data), decoded(scan.read_bytes()).convert("RGB")
    assert shown.size == expected.size or "jp2" in name  # which states no resolution
    coarse = [np.asarray(side.resize((60, 24), Image.Resampling.BOX), int) for side in (shown, expected)]  # dots become grey
    assert np.abs(coarse[0] - coarse[1]).mean() < 6
    image = pypdf.PdfReader(io.BytesIO(data)).pages[0]["/Resources"]["/XObject"]["/Scan"]
    assert (scan.read_bytes() in data) == (passes is not None)
    assert passes in (None, image["/Filter"])


def test_pdf_of_scan_has_its_words_in_their_places(tmp_path: Path):
    """Corrected, in the boxes of what was recognized, as high as their lines; the file says how the text came about."""
    scan = tmp_path / "a.png"
    picture().save(scan, dpi=(150, 150))
    exported, folder = export_scans(tmp_path, [scan_row(scan, LINES, "the cat\nsat down")], "pdf")

    data = (folder / "pdf" / "a.png.pdf").read_bytes()
    lines = layer_of(data)
    assert [line.text for line in lines] == ["the cat", "sat down"]
    for (word, sides), (_, expected) in zip(places(lines, 0.5), places(LINES), strict=True):
        assert np.allclose(sides, expected, atol=1), word
    info = pypdf.PdfReader(io.BytesIO(data)).metadata
    assert info is not None
    assert info["/OCR"].startswith("recognition: tesseract 5.5.4-abc (eng); correction: ocrray ")
    assert (info.title, exported.changed_lines, exported.new) == ("a.png", 1, 1)


def test_pdf_of_pages_of_a_scan_is_one_file(tmp_path: Path):
    """A page that failed is there without text, as is a page whose engine gave no boxes with text somewhere on it."""
    scan = tmp_path / "book.tif"
    frames = [picture().convert("1"), picture().convert("L"), picture()]
    frames[0].save(scan, save_all=True, append_images=frames[1:])
    rows = [scan_row(scan, BOXLESS, page=2), failed_row(scan, page=1), scan_row(scan, LINES)]

    _, folder = export_scans(tmp_path, rows, "pdf", pdf_jpeg_quality=80)

    data = (folder / "pdf" / "book.tif.pdf").read_bytes()
    reader = pypdf.PdfReader(io.BytesIO(data))
    filters = [page["/Resources"]["/XObject"]["/Scan"]["/Filter"] for page in reader.pages]
    assert filters == ["/CCITTFaxDecode", "/DCTDecode", "/DCTDecode"]
    texts = [[line.text for line in layer_of(data, page)] for page in range(3)]
    assert texts == [["tbe cat", "sat down"], [], ["tbe cat", "sat & down"]]
    assert reader.metadata is not None
    assert reader.metadata["/OCR"].endswith("places of lines unknown")
    assert [row["unread_pages"] for row in outcomes(folder)] == [1]


@pytest.mark.parametrize(
    "page",
    ["", "/Rotate 90", "/Rotate 180", "/Rotate 270 /CropBox [60 20 300 160]", "/UserUnit 2", "/MediaBox [-50 -20 310 160]"],
)
def test_pdf_with_text_layer_is_the_file_with_words_in_their_places(tmp_path: Path, page: str):
    """Whatever the page's own coordinates are; its bytes stay, and so does all that it shows."""
    scan = tmp_path / "a.pdf"
    content = "q 0.5 0 0 rg 100 60 80 40 re f Q 0.3 0 0 0.3 7 7 cm q"  # ends in a state that text must not inherit
    scan.write_bytes(pdf_file([], content, page))
    _, folder = export_scans(tmp_path, [scan_row(scan, LINES)], "pdf")

    data = (folder / "pdf" / "a.pdf").read_bytes()
    assert data.startswith(scan.read_bytes())
    assert decoded(data).tobytes() == decoded(scan.read_bytes()).tobytes()
    assert len(places(layer_of(data))) == 4
    for (word, sides), (expected_word, expected) in zip(places(layer_of(data)), places(LINES), strict=True):
        assert word == expected_word
        assert np.allclose(sides, expected, atol=2), word


def test_pdf_that_had_a_text_layer_has_the_new_one_alone(tmp_path: Path):
    """Invisible text is taken off, in whatever way it is set; what is printed stays."""
    scan = tmp_path / "a.pdf"
    old = "BT /F 12 Tf 3 Tr 20 100 Td (old) Tj q 0 Tr Q T* [(lay) -10 (er)] TJ ET BT /F 12 Tf 0 Tr 20 40 Td (print) Tj ET"
    scan.write_bytes(pdf_file([], old))
    _, folder = export_scans(tmp_path, [scan_row(scan, LINES)], "pdf")

    data = (folder / "pdf" / "a.pdf").read_bytes()
    assert sorted(line.text for line in layer_of(data)) == ["print", "sat down", "tbe cat"]
    assert decoded(data).tobytes() == decoded(scan.read_bytes()).tobytes()


def test_pdf_page_read_from_its_own_text_layer_keeps_it(tmp_path: Path):
    """A second layer would make every word be found twice."""
    scan = tmp_path / "a.pdf"
    scan.write_bytes(pdf_file([], "BT /F 12 Tf 20 100 Td (print) Tj ET"))
    _, folder = export_scans(tmp_path, [scan_row(scan, LINES, recognizer=None)], "pdf")

    assert [line.text for line in layer_of((folder / "pdf" / "a.pdf").read_bytes())] == ["print"]


def test_pdf_that_is_protected_fails_alone(tmp_path: Path):
    """It opens without a password, and cannot be extended; other formats are written."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf_file([], "")))
    writer.encrypt("", "owner", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    _, folder = export_scans(tmp_path, [scan_row(tmp_path / "a.pdf", LINES)], "pdf", "alto")

    assert [(row["kind"], row["error_kind"]) for row in outcomes(folder)] == [("pdf", "encrypted"), ("alto", None)]


def test_pdf_text_reads_in_every_direction_and_script():
    """Right to left, downwards, upwards, beyond the first plane; words that overlap keep the space between them."""
    lines = [
        placed({"שלום": (400, 50, 560, 90), "עולם": (250, 50, 380, 90)}),
        placed({"down": (20, 100, 50, 200), "wards": (20, 210, 50, 330)}),
        placed({"up": (560, 300, 590, 380), "right": (560, 150, 590, 290)}),
        placed({"नमस्ते": (100, 150, 200, 190), "𝔄𝔟": (190, 150, 290, 190), "fine": (300, 150, 400, 190)}),
        placed({"sen:": (100, 250, 188, 290), "vo": (164, 250, 188, 290), "the": (200, 250, 241, 290)}),
    ]
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(144, 96)
    content = text_content(lines, (0.24, 0, 0, -0.24, 0, 96), 600, 400)
    page[NameObject("/Contents")] = writer._add_object(compressed_stream(content))
    fonts = DictionaryObject({NameObject(FONT_NAME): add_font(writer)})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    file = io.BytesIO()
    writer.write(file)

    with pdf.open_sheet(file.getvalue(), 0, "a.pdf", 10**8) as sheet:
        text = sheet.page.get_textpage().get_text_range()
    assert all(
        phrase in " ".join(text.split()) for phrase in ("שלום עולם", "down", "wards", "up right", "नमस्ते 𝔄𝔟 fine", "sen: vo the")
    )


def placed(words: dict[str, tuple[int, int, int, int]]) -> PlacedLine:
    boxes = [Box(*sides) for sides in words.values()]
    return PlacedLine(
        " ".join(words), bounding_box(boxes), [PlacedWord(word, box) for word, box in zip(words, boxes, strict=True)]
    )
