"""Files as archives, and attackers, have them: what each is, and what must become of it."""

import bz2
import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GOOD = "read"  # instead of an error kind: the file reads, odd as it is

ALTO = '<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Layout><Page>{}</Page></Layout></alto>'
ALTO_LINE = '<PrintSpace><TextBlock><TextLine><String CONTENT="{}"/></TextLine></TextBlock></PrintSpace>'
PAGE = '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page>{}</Page></PcGts>'
PAGE_LINE = "<TextRegion><TextLine><TextEquiv><Unicode>{}</Unicode></TextEquiv></TextLine></TextRegion>"
HOCR = "<html><body><div class='ocr_page'>{}</div></body></html>"
ABBYY = "<document><page><block blockType='Text'><par><line><formatting>{}</formatting></line></par></block></page></document>"
DJVU_XML = "<!DOCTYPE DjVuXML{}><DjVuXML><BODY><OBJECT><LINE><WORD>{}</WORD></LINE></OBJECT></BODY></DjVuXML>"
METS = (
    '<mets xmlns="http://www.loc.gov/METS/" xmlns:xlink="http://www.w3.org/1999/xlink"><fileSec><fileGrp USE="FULLTEXT">'
    '<file ID="f" MIMETYPE="text/xml"><FLocat xlink:href="{}"/></file></fileGrp></fileSec>'
    '<structMap TYPE="PHYSICAL"><div><div TYPE="page"><fptr FILEID="f"/></div></div></structMap></mets>'
)
LAUGHS = '<!DOCTYPE x [<!ENTITY a "lol">{}]>'.format(
    "".join(f'<!ENTITY {name} "{10 * f"&{before};"}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True))
)


def page(text: str) -> Image.Image:
    """A white page with this text in 40-pixel type."""
    image = Image.new("L", (1000, 240), 255)
    ImageDraw.Draw(image).multiline_text((40, 40), text, fill=0, font=ImageFont.load_default(40), spacing=20)
    return image


def noise(width: int = 300, height: int = 200) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8))


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def png_header(width: int, height: int, bit_depth: int = 1) -> bytes:
    """A PNG that claims these dimensions and holds next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def pdf(pages: int = 1, width_pt: float = 200, height_pt: float = 100) -> bytes:
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(width_pt, height_pt)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def locked_pdf() -> bytes:
    """A PDF whose key (RC4, 40 bits) was made of a password that is not empty."""
    body = pdf().rpartition(b"trailer")[0]
    keys = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >> /ID [<{'00' * 16}> <{'00' * 16}>]"
    table = body.rindex(b"xref")
    return body + f"trailer\n<< /Size 4 /Root 1 0 R {keys} >>\nstartxref\n{table}\n%%EOF\n".encode()


def images() -> dict[str, tuple[bytes, str]]:
    """Scans by file name: bytes, and the error kind or GOOD."""
    good, fax = page("Good page"), encoded(noise(800, 800).convert("1"), "TIFF", compression="group4")
    files = {
        "bomb.png": (png_header(2**31 - 1, 2**31 - 1), "too_large"),
        "30000x30000.png": (png_header(30_000, 30_000), "too_large"),
        "100000x3.png": (png_header(100_000_000, 3), "too_large"),
        "1x1.png": (encoded(Image.new("1", (1, 1)), "PNG"), "too_small"),
        "2x900.png": (encoded(Image.new("L", (2, 900)), "PNG"), "too_small"),
        "no-data.png": (png_header(1000, 1000), "truncated"),
        "pdf-locked.pdf": (locked_pdf(), "encrypted"),
        "pdf-cut.pdf": (pdf()[:60], "unreadable"),
        "pdf-empty.pdf": (b"%PDF-1.7\n%%EOF", "unreadable"),
        "pdf-zero.pdf": (b"", "empty_file"),
        "pdf-is-html.pdf": (b"<html>404 Not Found</html>", "unreadable"),
        "pdf-poster.pdf": (pdf(width_pt=14_000_000, height_pt=14_000_000), "too_large"),
        "fax-cut.tif": (fax[: len(fax) // 2], "truncated"),
        "directory-broken.tif": (b"II*\0\x08\0\0\0" + b"\xff" * 500, "unreadable"),
        "directory-loops.tif": (b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0", "truncated"),
        "directory-beyond.tif": (b"II*\0" + struct.pack("<I", 2**31) + b"\0" * 100, "truncated"),
        "jpeg-renamed.tif": (encoded(good, "JPEG"), GOOD),
        "png-renamed.jpg": (encoded(good, "PNG"), GOOD),
        "cmyk.jpg": (encoded(good.convert("CMYK"), "JPEG"), GOOD),
        "palette.png": (encoded(good.convert("P"), "PNG"), GOOD),
        "alpha.png": (encoded(good.convert("RGBA"), "PNG"), GOOD),
        "sixteen-bits.png": (encoded(Image.fromarray(np.asarray(good, dtype=np.uint16) * 257), "PNG"), GOOD),
        "absurd-dpi.tif": (encoded(good, "TIFF", dpi=(1, 1)), GOOD),
        "huge-dpi.png": (encoded(good, "PNG", dpi=(1_000_000, 1_000_000)), GOOD),
        "white.png": (encoded(Image.new("L", (1000, 1000), 255), "PNG"), GOOD),
        "black.png": (encoded(Image.new("L", (1000, 1000), 0), "PNG"), GOOD),
        "noise.png": (encoded(noise(), "PNG"), GOOD),
    }
    for suffix, format_ in (
        ("png", "PNG"),
        ("jpg", "JPEG"),
        ("webp", "WEBP"),
        ("jp2", "JPEG2000"),
        ("tif", "TIFF"),
        ("bmp", "BMP"),
    ):
        whole = encoded(good, format_)
        files[f"good.{suffix}"] = (whole, GOOD)
        files[f"empty.{suffix}"] = (b"", "empty_file")
        files[f"text.{suffix}"] = (b"this is no image at all, whatever its name may say", "not_an_image")
        whole_noise = encoded(noise(), format_)
        files[f"cut.{suffix}"] = (whole_noise[: len(whole_noise) // 2], "unreadable" if suffix == "webp" else "truncated")
        files[f"zeros.{suffix}"] = (b"\0" * 5000, "not_an_image")
        files[f"damaged.{suffix}"] = (whole[:40] + bytes(reversed(whole[40:])), "unreadable")
    return files


def documents() -> dict[str, tuple[bytes, str]]:
    """OCR files by file name: bytes, and the error kind or GOOD."""
    line = ALTO_LINE.format
    texts = {
        "good.alto.xml": (ALTO.format(line("Good")), GOOD),
        "good.page.xml": (PAGE.format(PAGE_LINE.format("Good")), GOOD),
        "good.hocr": (HOCR.format("<span class='ocr_line'><span class='ocrx_word'>Good</span></span>"), GOOD),
        "no-text.alto.xml": (ALTO.format(""), GOOD),
        "no-text.page.xml": (PAGE.format(""), GOOD),
        "no-text.hocr": (HOCR.format(""), GOOD),
        "laughs.alto.xml": (LAUGHS + ALTO.format(line("&i;")), "unsafe_xml"),
        "laughs.page.xml": (LAUGHS + PAGE.format(PAGE_LINE.format("&i;")), "unsafe_xml"),
        "laughs.hocr": (LAUGHS + HOCR.format("&i;"), "unsafe_xml"),
        "passwd.alto.xml": ('<!DOCTYPE alto [<!ENTITY p SYSTEM "file:///etc/passwd">]>' + ALTO.format(line("&p;")), "unsafe_xml"),
        "dtd.alto.xml": ('<!DOCTYPE alto SYSTEM "http://127.0.0.1:9/a.dtd">' + ALTO.format(line("x")), "unsafe_xml"),
        "cut.alto.xml": (ALTO.format(line("x"))[:-12], "invalid_xml"),
        "cut.page.xml": (PAGE.format(PAGE_LINE.format("x"))[:-12], "invalid_xml"),
        "entity.alto.xml": (ALTO.format(line("&nbsp;")), "invalid_xml"),
        "control.alto.xml": (ALTO.format(line("&#1;")), "invalid_xml"),
        "nan-box.alto.xml": (ALTO.format(line('x" HPOS="NaN" VPOS="-9e99" WIDTH="huge" HEIGHT="1')), GOOD),
        "deep.alto.xml": (ALTO.format("<ComposedBlock>" * 5000 + "</ComposedBlock>" * 5000), "too_large"),
        "huge-node.page.xml": (PAGE.format(PAGE_LINE.format("x" * 50_000_000)), "too_large"),
        "climbs.mets.xml": (METS.format("../../../../etc/passwd"), "unsafe_path"),
        "missing.mets.xml": (METS.format("nowhere.xml"), "missing_page"),
        "fetches.mets.xml": (METS.format("http://127.0.0.1:9/page.xml"), "unsafe_path"),
    }
    files = {name: (text.encode(), kind) for name, (text, kind) in texts.items()}
    files |= {
        "good_abbyy.gz": (gzip.compress(ABBYY.format("Good").encode()), GOOD),
        "good_djvu.xml": (DJVU_XML.format("", "Good").encode(), GOOD),
        "good.hocr.gz": (gzip.compress(files["good.hocr"][0]), GOOD),
        "packed.alto.xml": (bz2.compress(files["good.alto.xml"][0]), GOOD),
        "laughs_djvu.xml": (DJVU_XML.format(' [<!ENTITY a "lol">]', "&a;").encode(), "unsafe_xml"),
        "cut_abbyy.gz": (gzip.compress(ABBYY.format("x").encode())[:-9], "truncated"),
        "garbage.html.gz": (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "unreadable"),
    }
    declared = '<?xml version="1.0" encoding="{}"?>'.format
    files["wrong-encoding.alto.xml"] = ((declared("UTF-8") + ALTO.format(line("é"))).encode("latin-1"), "invalid_xml")
    files["utf-16.alto.xml"] = ((declared("UTF-16") + ALTO.format(line("Good"))).encode("utf-16"), GOOD)
    return files


MEMBERS = {"climbs.mets.xml": "passwd", "missing.mets.xml": "nowhere.xml", "fetches.mets.xml": "page.xml"}
"""A METS is no record; the file that it names is."""


def write(folder: Path, files: Callable[[], dict[str, tuple[bytes, str]]]) -> dict[str, str]:
    """Write the files into a folder; returns what must become of each record, by the name of its file."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, (data, kind) in files().items():
        (folder / name).write_bytes(data)
        expected[MEMBERS.get(name, name)] = kind
    return expected
