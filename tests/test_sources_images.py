"""Any scan, however it is stored or damaged, becomes a plain upright image or one error that a person understands."""

import hashlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import encoded, locked_pdf, noise, pdf, png_header
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, TiffImagePlugin

from ocrray.errors import RecordError
from ocrray.sources.open_page import open_image
from ocrray.sources.scans import images
from ocrray.sources.scans import pdf as pdf_format

LIMITS = {"max_pixels": 200_000_000, "max_file_bytes": 100_000_000}


def scan(width: int = 200, height: int = 120, mode: str = "L") -> Image.Image:
    """A white page with a black bar at its top left, which shows which way is up."""
    image = Image.new("L", (width, height), 255)
    ImageDraw.Draw(image).rectangle((0, 0, width // 2, height // 10), fill=0)
    return image.convert(mode)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Image.Image]:
    """Writes bytes to a file and opens page `page` of it."""

    def write_and_open(data: bytes, name: str = "scan.png", page: int = 0, **limits: int) -> Image.Image:
        (tmp_path / name).write_bytes(data)
        return open_image(str(tmp_path / name), page, **LIMITS | limits)[0]

    return write_and_open


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "JPEG2000", "GIF", "BMP"])
def test_open_image_each_format_is_read_whatever_its_name(opened: Callable[..., Image.Image], format_: str) -> None:
    """A file's bytes say what it is: a JPEG called .tif is read as well as a TIFF."""
    image = opened(encoded(scan(), format_), "scan.tif")
    assert image.size == (200, 120)
    assert image.mode in ("1", "L", "RGB")
    assert image.convert("L").getpixel((20, 5)) < 50
    assert image.convert("L").getpixel((180, 100)) > 200


def test_open_image_content_hash_is_that_of_the_file(tmp_path: Path) -> None:
    """The hash names the file's bytes, and a file that changes gets another."""
    path = tmp_path / "scan.png"
    for image in (scan(), scan(300, 300)):
        path.write_bytes(encoded(image, "PNG"))
        opened_image, content_hash = open_image(str(path), **LIMITS)
        assert content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
        assert opened_image.size == image.size


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_open_image_every_mode_becomes_a_plain_one(opened: Callable[..., Image.Image], mode: str) -> None:
    """Palettes, CMYK, transparency and deep greys are turned into what engines read, black still black and white white."""
    deep = {"I;16": (np.uint16, 257), "I": (np.int32, 257), "F": (np.float32, 1 / 255)}
    if mode in deep:
        dtype, factor = deep[mode]
        image = Image.fromarray((np.asarray(scan()).astype(np.float64) * factor).astype(dtype))
    else:
        image = scan(mode="RGB" if mode in ("CMYK", "P") else "L").convert(mode)
    plain = opened(encoded(image, "TIFF"), "scan.tif")
    assert plain.mode in ("1", "L", "RGB")
    assert plain.convert("L").getpixel((20, 5)) < 5
    assert plain.convert("L").getpixel((180, 100)) > 250


def test_open_image_twelve_bits_in_sixteen_keep_their_contrast(opened: Callable[..., Image.Image]) -> None:
    """A scanner's 12-bit greys would be near black if they were taken for 16 bits."""
    image = Image.fromarray((np.asarray(scan()).astype(np.uint16) << 4) | 15)
    assert opened(encoded(image, "TIFF"), "scan.tif").getpixel((180, 100)) == 255


def test_open_image_transparent_pixels_are_white(opened: Callable[..., Image.Image]) -> None:
    """What is transparent shows the paper, not the black that often hides there."""
    image = Image.new("RGBA", (50, 50), (0, 0, 0, 0))
    assert opened(encoded(image, "PNG")).getpixel((10, 10)) == (255, 255, 255)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
def test_open_image_rotation_tag_is_applied_once(opened: Callable[..., Image.Image], format_: str) -> None:
    """A page that was scanned lying on its side stands upright, in the formats that say so."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    options = {"exif": exif} if format_ != "TIFF" else {"tiffinfo": {274: 6}}
    image = opened(encoded(scan(), format_, **options))
    assert image.size == (120, 200)
    assert image.convert("L").getpixel((115, 20)) < 50


@pytest.mark.parametrize(("dpi", "believed"), [(300, True), (70, True), (600, True), (1, False), (2.54, False), (30000, False)])
def test_open_image_resolution_is_kept_only_where_plausible(
    opened: Callable[..., Image.Image], dpi: float, believed: bool
) -> None:
    """An engine that trusts a tag of 1 dpi reads nothing, so it is told nothing."""
    info = opened(encoded(scan(), "TIFF", dpi=(dpi, dpi)), "scan.tif").info
    assert info == ({"dpi": (dpi, dpi)} if believed else {})


def test_open_image_of_a_multi_page_tiff_is_that_page(opened: Callable[..., Image.Image], tmp_path: Path) -> None:
    """Pages are counted from 0, and one beyond the last is missing."""
    data = encoded(scan(100, 100), "TIFF", save_all=True, append_images=[scan(101, 100), scan(102, 100)])
    assert [opened(data, "book.tif", page).width for page in range(3)] == [100, 101, 102]
    assert images.count_pages(str(tmp_path / "book.tif")) == 3
    with pytest.raises(RecordError) as error:
        opened(data, "book.tif", 3)
    assert error.value.kind == "missing_page"


@pytest.mark.parametrize(
    ("sizes", "subfile_types", "pages"),
    [
        ([400, 200, 100], [0, 1, 1], [400]),
        ([400, 200, 100, 50], [None] * 4, [400]),
        ([400, 401, 402], [0, 0, 0], [400, 401, 402]),
        ([400, 100, 401, 101], [0, 1, 0, 1], [400, 401]),
        ([400, 400], [0, 4], [400]),
        ([100, 400], [1, 0], [400]),
    ],
    ids=["tagged pyramid", "untagged pyramid", "pages", "pages with thumbnails", "mask", "thumbnail first"],
)
def test_open_image_smaller_versions_are_not_pages(
    opened: Callable[..., Image.Image], tmp_path: Path, sizes: list[int], subfile_types: list[int | None], pages: list[int]
) -> None:
    """The levels of a pyramid, thumbnails and masks are frames of a TIFF, but no pages of a book."""
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer, True) as writer:
        for size, subfile_type in zip(sizes, subfile_types, strict=True):
            tags = {} if subfile_type is None else {254: subfile_type}
            scan(size, size).save(writer, format="TIFF", tiffinfo=tags)
            writer.newFrame()
    assert [opened(buffer.getvalue(), "scan.tif", page).width for page in range(len(pages))] == pages
    assert images.count_pages(str(tmp_path / "scan.tif")) == len(pages)


def test_open_image_pdf_is_rendered_at_300_dpi(opened: Callable[..., Image.Image], tmp_path: Path) -> None:
    """A PDF page of 200 x 100 points is 833 x 417 pixels, and its pages are counted."""
    image = opened(pdf(pages=3), "book.pdf", 2)
    assert image.size == (834, 417)
    assert image.mode == "RGB"
    assert image.info == {"dpi": (300, 300)}
    assert pdf_format.count_pages(str(tmp_path / "book.pdf")) == 3


def test_open_image_large_pdf_page_is_rendered_as_finely_as_fits(opened: Callable[..., Image.Image]) -> None:
    """A poster is rendered below 300 dpi rather than refused, down to where nothing could be read."""
    poster = pdf(width_pt=2000, height_pt=2000)
    image = opened(poster, "poster.pdf", max_pixels=10_000_000)
    assert 9_900_000 < image.width * image.height <= 10_010_000
    assert 110 < image.info["dpi"][0] < 120
    with pytest.raises(RecordError) as error:
        opened(poster, "poster.pdf", max_pixels=100_000)
    assert error.value.kind == "too_large"


GROUP4 = encoded(noise(800, 800).convert("1"), "TIFF", compression="group4")
HOSTILE = {
    "empty": (b"", "empty_file"),
    "text": (b"this is no image at all, whatever its name may say", "not_an_image"),
    "bomb": (png_header(2**31 - 1, 2**31 - 1), "too_large"),
    "30,000 x 30,000": (png_header(30_000, 30_000), "too_large"),
    "1 x 1": (encoded(Image.new("1", (1, 1)), "PNG"), "too_small"),
    "png with no data": (png_header(1000, 1000), "truncated"),
    "png cut in its header": (encoded(scan(), "PNG")[:20], "truncated"),
    "png cut": (encoded(noise(), "PNG")[:9000], "truncated"),
    "jpeg cut": (encoded(noise(), "JPEG")[:9000], "truncated"),
    "jp2 cut": (encoded(noise(), "JPEG2000")[:9000], "truncated"),
    "tiff cut": (encoded(noise(), "TIFF")[:9000], "truncated"),
    "tiff cut before its directory": (GROUP4[: len(GROUP4) // 2], "truncated"),
    "tiff with a broken directory": (b"II*\0\x08\0\0\0" + b"\xff" * 500, "unreadable"),
    "locked pdf": (locked_pdf(), "encrypted"),
    "pdf cut": (pdf()[:60], "unreadable"),
    "pdf with nothing in it": (b"%PDF-1.7\n%%EOF", "unreadable"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_open_image_hostile_file_becomes_an_error_of_its_kind(opened: Callable[..., Image.Image], name: str) -> None:
    """What cannot be read says what is wrong, in one line, with the file's name."""
    data, kind = HOSTILE[name]
    with pytest.raises(RecordError) as error:
        opened(data, "hostile.tif")
    assert error.value.kind == kind
    assert "hostile.tif" in str(error.value)
    assert "\n" not in str(error.value)


def test_open_image_fax_strip_that_ends_too_early_is_not_filled_with_white(opened: Callable[..., Image.Image]) -> None:
    """Fax decoders return a white rest of the page where the data ends; here that is a truncated file."""
    one_strip = encoded(noise(800, 800).convert("1"), "TIFF", compression="group4", tiffinfo={TiffImagePlugin.ROWSPERSTRIP: 800})
    tags = Image.open(io.BytesIO(one_strip)).tag_v2
    strip = one_strip[tags[273][0] :][: tags[279][0]]
    entries = [(256, 4, 800), (257, 4, 800), (258, 3, 1), (259, 3, 4), (262, 3, 0), (278, 4, 800), (279, 4, len(strip))]
    entries = sorted([*entries, (273, 4, 8 + 2 + 12 * 8 + 4)])
    directory = struct.pack("<H", 8) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    strip_last = b"II*\0\x08\0\0\0" + directory + b"\0\0\0\0" + strip
    assert opened(strip_last, "fax.tif").size == (800, 800)
    with pytest.raises(RecordError) as error:
        opened(strip_last[: -len(strip) // 2], "fax.tif")
    assert error.value.kind == "truncated"


def test_open_image_large_file_is_refused_unread(opened: Callable[..., Image.Image]) -> None:
    """A file beyond the user's limit is an error, not an actor out of memory."""
    with pytest.raises(RecordError) as error:
        opened(encoded(noise(), "BMP"), max_file_bytes=10_000)
    assert error.value.kind == "too_large"


@pytest.mark.parametrize(("name", "kind"), [("nowhere.png", "missing"), ("folder", "not_a_file")])
def test_open_image_what_is_no_file_is_an_error(tmp_path: Path, name: str, kind: str) -> None:
    """A path without a file behind it is told from one that is a folder."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecordError) as error:
        open_image(str(tmp_path / name), **LIMITS)
    assert error.value.kind == kind


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_open_image_damaged_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes are changed or cut, the result is an image or a RecordError."""
    format_ = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "JPEG2000", "GIF", "BMP", "PDF"]))
    content = bytearray(pdf() if format_ == "PDF" else encoded(scan(40, 30), format_))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        image, _ = open_image(str(path), max_pixels=1_000_000, max_file_bytes=1_000_000)
    except RecordError:
        return
    assert image.mode in ("1", "L", "RGB")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "pages", "size", "dpi"),
    [
        ("assembled_from_old_books/book_a_6pages_g4.tif", 6, (1850, 2621), (300, 300)),
        ("ocrd_assets/indian-ferns/OCR-D-IMG/0004.tif", 1, (2626, 3620), (72, 72)),
        ("ocrd_assets/glyph-consistency/00000259.sw.tif", 1, (1174, 1570), None),
        ("ocrd_assets/pembroke_werke_1766/DEFAULT/FILE_0010_DEFAULT.tif", 1, (1158, 2138), None),
        ("impresso_samples/RERO2/EZR/data/EZR/18400221_01/MASTER/00001.jp2", 1, (2368, 3027), None),
    ],
)
def test_open_image_real_scans(
    shared_data: Path, name: str, pages: int, size: tuple[int, int], dpi: tuple[int, int] | None
) -> None:
    """Real multi-page, pyramid, 1-bit and JPEG 2000 scans have the pages, the size and the resolution that they have."""
    uri = str(shared_data / "formats" / name)
    image, _ = open_image(uri, pages - 1, **LIMITS)
    assert images.count_pages(uri) == pages
    assert image.size == size
    assert image.info.get("dpi") == dpi


@pytest.mark.shared
def test_open_image_real_pdf_is_rendered(shared_data: Path) -> None:
    """A scanned PDF gives a page with ink on it."""
    uri = str(shared_data / "formats/dinglehopper/lorem-ipsum/lorem-ipsum-scan.pdf")
    image, _ = open_image(uri, **LIMITS)
    assert pdf_format.count_pages(uri) == 1
    assert min(image.convert("L").getextrema()) < 100 < max(image.convert("L").getextrema())
