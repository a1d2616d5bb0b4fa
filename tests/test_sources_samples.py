"""Pixels of every depth, sign, colour and layout become the same black text on white paper."""

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw, ImageFont

from ocrray.errors import RecordError
from ocrray.sources.scans.images import count_pages, decode_page
from ocrray.sources.scans.samples import Meaning, to_image

GREYS = Image.new("L", (200, 60), 255)
ImageDraw.Draw(GREYS).text((10, 8), "Harbour", fill=0, font=ImageFont.load_default(36))
PAGE = np.asarray(GREYS) / 255.0


def samples(kind: str, white: float = 0, black: float = 0) -> np.ndarray:
    """The page with these values of white and black, in a type of numpy."""
    white = white or (np.iinfo(kind).max if kind[0] in "iu" else 1)
    values = PAGE * (float(white) - black) + black
    return (np.round(values) if kind[0] in "iu" else values).astype(kind)


def tiff(values: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.ascontiguousarray(values), metadata=None, **options)
    return buffer.getvalue()


def is_page(data: bytes, page: int = 0) -> bool:
    """Whether a file decodes to the page, up to the rounding of its samples."""
    decoded = decode_page(data, page, "scan", 10**7).convert("L")
    return decoded.size == GREYS.size and bool(np.abs(np.asarray(decoded) / 255.0 - PAGE).mean() < 0.01)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("layout", [{}, {"tile": (32, 32)}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
@pytest.mark.parametrize("colours", ["rgb", "rgba", "cmyk"])
def test_decode_tiff_colours_of_any_depth_and_layout_are_right(
    colours: str, kind: str, layout: dict[str, Any], planar: str
) -> None:
    """Planes of 16 bits were read as garbage; floats, 32 bits, tiles, predictors and the other byte order belong to them."""
    page = samples(kind)
    top = np.full_like(page, page.max())
    planes = [np.zeros_like(page)] * 3 + [top - page] if colours == "cmyk" else [page] * 3 + [top] * (colours == "rgba")
    values = np.stack(planes, axis=0 if planar == "separate" else -1)
    options = {"extrasamples": ["unassalpha"]} if colours == "rgba" else {}
    photometric = "separated" if colours == "cmyk" else "rgb"
    assert is_page(tiff(values, photometric=photometric, planarconfig=planar, **options, **layout))


@pytest.mark.parametrize(
    ("kind", "white", "black"),
    [
        *[("u1", 255, 0), ("u2", 65535, 0), ("u2", 4095, 0), ("u2", 1023, 0), ("u4", 2**32 - 1, 0), ("f4", 1, 0), ("f2", 1, 0)],
        *[("f4", 255, 0), ("f4", 65535, 0), ("f8", 1e9, 0), ("f4", 1, -1), ("f8", 5, -300)],
        *[("i1", 127, -128), ("i1", 127, 0), ("i2", 32767, -32768), ("i2", 32767, 0), ("i2", 255, 0), ("i2", 100, -100)],
        ("i4", 2**31 - 1, -(2**31)),
    ],
)
@pytest.mark.parametrize("zero", ["minisblack", "miniswhite"])
def test_decode_tiff_greys_of_any_kind_are_black_on_white(kind: str, white: float, black: float, zero: str) -> None:
    """WhiteIsZero of 16 bits came out negative; signed samples and floats of every usual range are read too."""
    values = samples(kind, white, black)
    if zero == "miniswhite":
        values = (np.float64(white) + black - values).astype(kind)
    assert is_page(tiff(values, photometric=zero))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10, 12, 14])
def test_decode_tiff_packed_bits_reach_white(bits: int) -> None:
    """The highest value is white at every depth, also where samples do not end on a byte."""
    values = np.round(PAGE * (2**bits - 1)).astype("u2" if bits > 8 else "u1")
    black_and_white = np.abs(PAGE - PAGE.round()).mean()
    for photometric, packed in (("minisblack", values), ("miniswhite", 2**bits - 1 - values)):
        data = tiff(packed.astype(bool) if bits == 1 else packed, photometric=photometric, bitspersample=bits)
        decoded = np.asarray(decode_page(data, 0, "scan", 10**7).convert("L")) / 255.0
        assert (decoded.min(), decoded.max()) == (0, 1)
        assert np.abs(decoded - PAGE).mean() <= max(black_and_white, 0.01) + 1e-9


@pytest.mark.parametrize("alpha", ["assocalpha", "unassalpha"])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_decode_tiff_transparent_black_is_paper(kind: str, alpha: str) -> None:
    """Ink in the alpha channel alone: what is transparent is white, however deep the samples."""
    page = samples(kind)
    black = np.dstack([np.zeros_like(page), page.max() - page])
    assert is_page(tiff(black, photometric="minisblack", planarconfig="contig", extrasamples=[alpha]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_tiff_deep_samples_stand_upright(orientation: int) -> None:
    """The tag holds for 16 bits as for 8."""
    turned = [PAGE, np.fliplr(PAGE), np.rot90(PAGE, 2), np.flipud(PAGE), PAGE.T]
    stored = [*turned, np.rot90(PAGE), np.rot90(PAGE, 2).T, np.rot90(PAGE, -1)][orientation - 1]
    values = np.round(stored * 65535).astype("u2")
    assert is_page(tiff(values, photometric="minisblack", extratags=[(274, 3, 1, orientation, True)]))


@pytest.mark.parametrize("compression", ["jpegxl", "lerc", "webp", "jpeg2000", "jpegxr", "png", "zstd", "lzma"])
def test_decode_tiff_rare_compressions_are_read(compression: str) -> None:
    """What Pillow does not decode, tifffile does."""
    assert is_page(tiff(np.dstack([np.asarray(GREYS)] * 3), photometric="rgb", compression=compression))


def test_decode_tiff_palettes_of_any_depth_are_looked_up() -> None:
    """The colour map, not the index, is what is seen: here it runs from white to black."""
    for bits, kind in ((4, "u1"), (8, "u1"), (16, "u2")):
        count = 2**bits
        colormap = np.tile(np.linspace(65535, 0, count).astype("u2"), (3, 1))
        indices = np.round((1 - PAGE.round()) * (count - 1)).astype(kind)
        entries = (320, "H", colormap.size, colormap.ravel().tolist(), True)
        data = tiff(indices, photometric="minisblack", bitspersample=bits, extratags=[entries])
        data = data.replace(struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 262, 3, 1, 3))
        decoded = np.asarray(decode_page(data, 0, "scan", 10**7).convert("L"))
        assert np.array_equal(decoded > 127, PAGE.round() == 1), bits


def test_decode_tiff_that_nothing_decodes_names_its_compression() -> None:
    """The old JPEG of 1992 with its tables lost, and a number of nobody's."""
    for number, name in ((6, "old-style JPEG"), (50002, "JPEG XL"), (34887, "LERC"), (50001, "WebP"), (61234, "61234")):
        data = bytearray(tiff(np.asarray(GREYS), photometric="minisblack"))
        at = data.index(struct.pack("<HHI", 259, 3, 1))
        data[at + 8 : at + 10] = struct.pack("<H", number)
        with pytest.raises(RecordError, match=name) as error:
            decode_page(bytes(data), 0, "scan.tif", 10**7)
        assert error.value.kind == "unreadable"


def directory(data: bytes, **values: list[int]) -> bytes:
    """A TIFF of one directory, of tags by their names, `DATA` standing for the place of `data`; all values are LONGs."""
    tags = sorted((tifffile.TIFF.TAGS[name], numbers) for name, numbers in values.items())
    start = 8 + 2 + 12 * len(tags) + 4
    place = start + sum(4 * len(numbers) for _, numbers in tags if len(numbers) > 1)
    entries, beyond = b"", b""
    for tag, numbers in tags:
        packed = b"".join(struct.pack("<I", place if number < 0 else number) for number in numbers)
        entries += struct.pack("<HHI", tag, 4, len(numbers))
        entries += packed if len(numbers) == 1 else struct.pack("<I", start + len(beyond))
        beyond += packed if len(numbers) > 1 else b""
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + beyond + data


DATA = -1
SIZE = {"ImageWidth": [200], "ImageLength": [60], "RowsPerStrip": [60], "StripOffsets": [DATA]}


def test_decode_tiff_chroma_of_half_the_size_is_read() -> None:
    """YCbCr without compression, and the old JPEG of 1992 in both of its forms."""
    blocks = np.asarray(GREYS).reshape(30, 2, 100, 2).transpose(0, 2, 1, 3).reshape(30, 100, 4)
    raw = np.concatenate([blocks, np.full((30, 100, 2), 128, "u1")], -1).tobytes()
    ycbcr = {"PhotometricInterpretation": [6], "SamplesPerPixel": [3], "BitsPerSample": [8] * 3, "YCbCrSubSampling": [2, 2]}
    assert is_page(directory(raw, **SIZE, **ycbcr, Compression=[1], StripByteCounts=[len(raw)]))
    buffer = io.BytesIO()
    GREYS.convert("RGB").save(buffer, "JPEG", quality=97)
    stream = {"JPEGInterchangeFormat": [DATA], "JPEGInterchangeFormatLength": [buffer.tell()], "Compression": [6]}
    assert is_page(directory(buffer.getvalue(), **SIZE, **ycbcr, **stream, StripByteCounts=[buffer.tell()]))
    size = {name: SIZE[name] for name in ("ImageWidth", "ImageLength")}
    assert is_page(directory(buffer.getvalue(), **size, **ycbcr, **stream))


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_decode_tiff_tags_that_would_hide_the_ink_are_not_believed(kind: str) -> None:
    """An alpha channel left empty, one ink called CMYK, greys of three samples, a palette of 8 bits in 16."""
    page = samples(kind)
    empty = tiff(np.dstack([page, page, page, np.zeros_like(page)]), photometric="rgb", extrasamples=["unassalpha"])
    ink = tiff(page.max() - page, photometric="minisblack").replace(
        struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 262, 3, 1, 5)
    )
    greys = tiff(np.dstack([page] * 3), photometric="rgb").replace(
        struct.pack("<HHII", 262, 3, 1, 2), struct.pack("<HHII", 262, 3, 1, 1)
    )
    assert all(map(is_page, (empty, ink, greys)))
    palette = np.tile(np.arange(256)[::-1], (3, 1)).astype("u2")
    assert is_page(tiff(255 - np.asarray(GREYS), photometric="palette", colormap=palette))


@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
def test_decode_tiff_lab_lightness_is_the_page(photometric: str) -> None:
    """16 bits of L*a*b*."""
    lightness = samples("u2")
    values = np.dstack([lightness, np.full_like(lightness, 32768), np.full_like(lightness, 32768)])
    assert is_page(tiff(values, photometric=photometric, planarconfig="contig"))


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(("colour_space", "count"), [(18, 3), (12, 4), (16, 1)], ids=["sycc", "cmyk", "palette"])
def test_decode_jpeg2000_colour_spaces_of_any_depth_are_known(colour_space: int, count: int, bits: int) -> None:
    """Luminance and chrominance, CMYK and palettes, as the boxes of the file tell."""
    kind, top = ("u1" if bits == 8 else "u2"), 2**bits - 1
    page, middle = np.round(PAGE * top).astype(kind), np.full(PAGE.shape, 2 ** (bits - 1), kind)
    none = np.zeros_like(page)
    planes = {18: [page, middle, middle], 12: [none, none, none, top - page], 16: [np.round(PAGE * 15).astype("u1")]}[
        colour_space
    ]
    values, depth = (np.dstack(planes), bits) if count > 1 else (planes[0], 4)
    options = {"level": 0, "reversible": True, "codecformat": "j2k", "mct": False, "bitspersample": depth}
    inner = box(b"ihdr", struct.pack(">IIHBBBB", 60, 200, count, depth - 1, 7, 0, 0))
    inner += box(b"colr", struct.pack(">BBBI", 1, 0, 0, colour_space))
    if count == 1:
        entries = b"".join(struct.pack(">B" if bits == 8 else ">H", round(step / 15 * top)) * 3 for step in range(16))
        inner += box(b"pclr", struct.pack(">HB", 16, 3) + bytes([bits - 1] * 3) + entries)
        inner += box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3)))
    file = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", inner)
    file += box(b"jp2c", bytes(imagecodecs.jpeg2k_encode(values, **options)))
    decoded = np.asarray(decode_page(file, 0, "scan", 10**7).convert("L")) / 255.0
    assert np.abs(decoded - PAGE).mean() < 0.03


def test_decode_jpeg_of_twelve_bits_or_without_loss_is_read() -> None:
    """Pillow opens neither."""
    assert is_page(imagecodecs.jpeg8_encode(samples("u2", 4095), bitspersample=12, level=97))
    assert is_page(imagecodecs.jpeg8_encode(samples("u2"), lossless=True))
    assert is_page(imagecodecs.jpeg8_encode(np.dstack([samples("u1")] * 3), lossless=True))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"AT&TFORM", "DjVu"),
        (b"P5 ", "PNM"),
    ],
)
def test_decode_image_of_another_format_is_named(head: bytes, name: str) -> None:
    """A person learns what to convert."""
    with pytest.raises(RecordError, match=name) as error:
        decode_page(head + bytes(100), 0, "scan.png", 10**7)
    assert error.value.kind == "not_an_image"


@pytest.mark.parametrize("form", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [1, 4, 7, 8, 9, 12, 16])
def test_decode_jpeg2000_of_any_depth_and_sign_reaches_white(bits: int, form: str) -> None:
    """White of 16 bits overflowed to black; odd depths, signed samples and 12 bits in 16 are read too."""
    grey = np.round(PAGE * (2**bits - 1)).astype("u1" if bits <= 8 else "u2")
    signed = (grey.astype(int) - 2 ** (bits - 1)).astype("i1" if bits <= 8 else "i2")
    top = np.full_like(grey, 2**bits - 1)
    for values in (grey, signed, np.dstack([grey] * 3), np.dstack([signed] * 3), np.dstack([grey, grey, grey, top])):
        data = imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=bits, codecformat=form)
        decoded = np.asarray(decode_page(data, 0, "scan", 10**7).convert("L")) / 255.0
        assert (decoded.min(), decoded.max()) == (0, 1)
        assert np.abs(decoded - PAGE).mean() <= 0.03
    twelve = np.round(PAGE * 4095).astype("u2")
    assert is_page(imagecodecs.jpeg2k_encode(twelve, level=0, reversible=True, codecformat=form))


def test_decode_png_colours_of_sixteen_bits_keep_what_is_in_use() -> None:
    """12 bits in 16 were cut to their upper four."""
    for white in (65535, 4095):
        assert is_page(imagecodecs.png_encode(np.dstack([samples("u2", white)] * 3)))


def four_pages() -> tuple[bytearray, list[int]]:
    """A TIFF of four pages, and where each directory's pointer to the next one stands."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(4):
            writer.write(np.asarray(GREYS), photometric="minisblack", metadata=None)
    data, pointers, offset = bytearray(buffer.getvalue()), [], 0
    (offset,) = struct.unpack_from("<I", data, 4)
    while offset:
        pointers.append(offset + 2 + 12 * struct.unpack_from("<H", data, offset)[0])
        (offset,) = struct.unpack_from("<I", data, pointers[-1])
    return data, pointers


@pytest.mark.parametrize(
    ("damage", "readable", "lost"),
    [
        *[(damage, [0, 1], [2]) for damage in ("beyond", "no entries", "absurd entries", "back")],
        *[("no size", [0, 1, 3], [2]), ("first", [], [0])],
    ],
)
def test_decode_tiff_with_a_broken_directory_loses_only_what_follows(
    tmp_path: Any, damage: str, readable: list[int], lost: list[int]
) -> None:
    """Pages before the damage are read, and one failed record stands for the rest of the chain."""
    data, pointers = four_pages()
    (third,) = struct.unpack_from("<I", data, pointers[1])
    if damage in ("beyond", "back"):
        struct.pack_into("<I", data, pointers[1], len(data) + 5000 if damage == "beyond" else pointers[0] - 2)
        if damage == "back":
            struct.pack_into("<I", data, pointers[1], struct.unpack_from("<I", data, pointers[0])[0])
    elif damage == "first":
        struct.pack_into("<I", data, 4, len(data) + 5000)
    elif damage == "no size":
        data[third + 2 : third + 26] = bytes(24)
    else:
        struct.pack_into("<H", data, third, 0 if damage == "no entries" else 60_000)
    path = tmp_path / "book.tif"
    path.write_bytes(data)
    if readable:
        assert count_pages(str(path)) == len(readable) + len(lost)
    assert all(is_page(bytes(data), page) for page in readable)
    for page in lost:
        with pytest.raises(RecordError, match="directory") as error:
            decode_page(bytes(data), page, "book.tif", 10**7)
        assert error.value.kind in ("truncated", "unreadable")


@pytest.mark.parametrize(
    ("resolution", "unit", "size", "scale"),
    [
        ((204, 98), "INCH", (200, 125), (1.0, 125 / 60)),
        ((204, 196), "INCH", (200, 60), None),
        ((204, 391), "INCH", (383, 60), (383 / 200, 1.0)),
        ((80, 38.5), "CENTIMETER", (200, 125), (1.0, 125 / 60)),
        ((2, 1), "NONE", (200, 120), (1.0, 2.0)),
        ((1200, 600), "INCH", (200, 120), (1.0, 2.0)),
        ((300, 1), "INCH", (200, 60), None),
    ],
)
def test_decode_tiff_pixels_that_are_not_square_are_resampled(
    resolution: tuple[float, float], unit: str, size: tuple[int, int], scale: tuple[float, float] | None
) -> None:
    """A fax has half as many rows as columns an inch; the scale leads boxes back to the file's own pixels."""
    data = tiff(np.asarray(GREYS), photometric="minisblack", resolution=resolution, resolutionunit=unit)
    image = decode_page(data, 0, "fax.tif", 10**7)
    assert image.size == size
    assert image.info.get("scale") == pytest.approx(scale)
    tight = decode_page(data, 0, "fax.tif", 200 * 60)
    assert tight.width * tight.height <= 200 * 60
    assert tight.width / tight.height == pytest.approx(size[0] / size[1], rel=0.03)


def test_decode_image_resolution_turns_with_the_page() -> None:
    """A fax stored on its side is coarse along its rows."""
    lying = np.asarray(GREYS.rotate(90, expand=True))
    data = tiff(lying, photometric="minisblack", resolution=(98, 204), resolutionunit="INCH", extratags=[(274, 3, 1, 6, True)])
    assert decode_page(data, 0, "fax.tif", 10**7).size == (200, 125)
    buffer = io.BytesIO()
    GREYS.save(buffer, "JPEG", dpi=(200, 100))
    image = decode_page(buffer.getvalue(), 0, "fax.jpg", 10**7)
    assert (image.size, image.info["dpi"]) == ((200, 120), (200, 200))


def test_to_image_blank_white_is_zero_page_stays_white() -> None:
    """The noise of a blank page is not stretched to black."""
    noise = np.random.default_rng(0).integers(0, 600, (100, 100)).astype("u2")
    assert np.asarray(to_image(noise, Meaning(colour="grey", bits=16, white_is_zero=True))).min() > 250
