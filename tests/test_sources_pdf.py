"""PDF pages at their true size, with what their forms say, and dynamic forms named."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from pdf_samples import pdf_file
from PIL import Image

from ocrray.errors import RecordError
from ocrray.sources.scans import pdf


def decoded(data: bytes, **limits: int) -> Image.Image:
    return pdf.decode_page(data, 0, "form.pdf", limits.get("max_pixels", 10**8))


def ink(image: Image.Image) -> int:
    return int(np.count_nonzero(np.asarray(image.convert("L")) < 128))


@pytest.mark.parametrize(
    ("page", "size", "dpi"),
    [
        ("/MediaBox [0 0 36 18] /UserUnit 10", (1500, 750), 300),
        ("/MediaBox [0 0 36 18] /UserUnit 10 /Rotate 90", (750, 1500), 300),
        ("/MediaBox [0 0 720 360] /CropBox [100 100 460 280] /UserUnit 0.5", (750, 375), 300),
        ("/MediaBox [-50 -20 310 160]", (1500, 750), 300),
        ("/MediaBox [0 0 36 18] /UserUnit -3", (150, 75), 300),
        ("/MediaBox [0 0 36 18] /UserUnit 100", (4000, 2000), 80),
    ],
)
def test_decode_page_user_unit_gives_the_true_size(page: str, size: tuple[int, int], dpi: float) -> None:
    """A page of 36 x 18 units of 10 points is 5 inches wide; the limit of pixels lowers its resolution, not its unit."""
    image = decoded(pdf_file([], "", page), max_pixels=8 * 10**6)
    assert image.size == pytest.approx(size, abs=1)
    assert image.info["dpi"] == pytest.approx((dpi, dpi))


def test_decode_page_user_unit_in_an_object_stream_is_found() -> None:
    """Since PDF 1.5 most page dictionaries are compressed."""
    dictionaries = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 36 18] /UserUnit 10 >>",
    ]
    starts = np.cumsum([0, *(len(part) + 1 for part in dictionaries)])
    index = b" ".join(b"%d %d" % (number, start) for number, start in enumerate(starts[:3], 1)) + b" "
    packed = zlib.compress(index + b" ".join(dictionaries))
    options = b"/Type /ObjStm /N 3 /First %d /Filter /FlateDecode /Length %d" % (len(index), len(packed))
    data = b"%PDF-1.7\n4 0 obj\n<< " + options + b" >>\nstream\n" + packed + b"\nendstream\nendobj\n"
    entries = [(0, 0, 65535), (2, 4, 0), (2, 4, 1), (2, 4, 2), (1, 9, 0), (1, len(data), 0)]
    table = b"".join(struct.pack(">BIH", *entry) for entry in entries)
    xref = b"5 0 obj\n<< /Type /XRef /Size 6 /W [1 4 2] /Root 1 0 R /Length %d >>\nstream\n%s\nendstream\nendobj\n"
    file = data + xref % (len(table), table) + b"startxref\n%d\n%%%%EOF\n" % len(data)
    assert b"UserUnit" not in file
    assert decoded(file).size == (1500, 750)


FIELD = "<< /Type /Annot /Subtype /Widget /T (name) /F 4 /Rect [20 80 340 110] /P 3 0 R {} >>"
FORM = "/AcroForm << /DA (/F 16 Tf 0 g) /DR << /Font << /F 5 0 R >> >> /Fields [6 0 R] /NeedAppearances {} >>"
LABEL = "BT /F 14 Tf 20 130 Td (Name of the sailor:) Tj ET"
APPEARANCE = "/AP << /N 7 0 R >>"


@pytest.mark.parametrize(
    "field",
    [
        "/FT /Tx /V (William Thornbury) /DA (/F 16 Tf 0 g)",
        "/FT /Tx /V (William Thornbury) /DA (/F 0 Tf 0 g)",
        "/FT /Tx /V (William Thornbury)",
        "/FT /Tx /Ff 4096 /V (William Thornbury) /DA (/F 16 Tf 0 g)",
        "/FT /Ch /Ff 131072 /Opt [(William Thornbury) (Nobody)] /V (William Thornbury) /DA (/F 16 Tf 0 g)",
        f"/FT /Tx /V (William Thornbury) /DA (/F 16 Tf 0 g) {APPEARANCE}",
    ],
    ids=["text", "automatic size", "default appearance", "many lines", "choice", "with its own appearance"],
)
@pytest.mark.parametrize("needed", ["true", "false"])
def test_decode_page_filled_field_is_drawn(field: str, needed: str) -> None:
    """Values of a form are on the page, whether the file brings their appearance or not."""
    appearance = "<< /Type /XObject /Subtype /Form /BBox [0 0 320 30] /Resources << /Font << /F 5 0 R >> >> /Length 48 >>\n"
    appearance += "stream\n" + "BT /F 16 Tf 2 8 Td (William Thornbury) Tj ET".ljust(48) + "\nendstream"
    filled = pdf_file([FIELD.format(field), appearance], LABEL, "/Annots [6 0 R]", FORM.format(needed))
    assert ink(decoded(filled)) > 1.5 * ink(decoded(pdf_file([], LABEL)))


XFA = b'<config xmlns="http://www.xfa.org/schema/xci/2.6/"><acrobat><acrobat7><dynamicRender>%s</dynamicRender></acrobat7></acrobat></config>'
WAIT = "BT /F 14 Tf 20 130 Td (Please wait... If this message is not eventually replaced) Tj ET"


@pytest.mark.parametrize(
    ("catalog", "content", "xfa", "is_dynamic"),
    [
        ("/NeedsRendering true /AcroForm << /Fields [] /XFA 6 0 R >>", WAIT, XFA % b"forbidden", True),
        ("/AcroForm << /Fields [] /XFA 6 0 R >>", LABEL, XFA % b"required", True),
        ("/AcroForm << /Fields [] /XFA [(config) 6 0 R] >>", LABEL, XFA % b"required", True),
        ("/AcroForm << /Fields [] /XFA 6 0 R >>", WAIT, XFA % b"forbidden", True),
        ("/AcroForm << /Fields [] /XFA 6 0 R >>", LABEL, XFA % b"forbidden", False),
        ("", WAIT, XFA % b"required", False),
    ],
)
def test_decode_page_dynamic_xfa_is_a_failure_that_names_it(
    tmp_path: Any, catalog: str, content: str, xfa: bytes, is_dynamic: bool
) -> None:
    """A form that only a viewer can lay out must not enter the corpus as "Please wait"; a static one has its pages."""
    data = pdf_file([], content, catalog=catalog, contents=(xfa,))
    path = tmp_path / "form.pdf"
    path.write_bytes(data)
    if not is_dynamic:
        assert pdf.count_pages(str(path)) == 1
        assert ink(decoded(data)) > 1000
        return
    for read in (lambda: decoded(data), lambda: pdf.count_pages(str(path))):
        with pytest.raises(RecordError, match="dynamic XFA") as error:
            read()
        assert error.value.kind == "dynamic_form"
