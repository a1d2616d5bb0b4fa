"""Small PDF files, object by object."""

HELVETICA = "/BaseFont /Helvetica /Encoding /WinAnsiEncoding"


def pdf_file(
    objects: list[str],
    content: str,
    page: str = "",
    catalog: str = "",
    contents: tuple[bytes, ...] = (),
    *,
    font: str = HELVETICA,
    options: str = "",
) -> bytes:
    """A PDF of one page of 360 x 180 points; objects from number 6 on follow, then streams with `options`."""
    stream = content.encode("cp1252")
    parts = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(),
        b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        f"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 5 0 R >> /XObject << /I 6 0 R >> >> {page} "
        f"{'' if '/MediaBox' in page else '/MediaBox [0 0 360 180]'} >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        f"<< /Type /Font /Subtype /Type1 {font} >>".encode(),
        *(part.encode() for part in objects),
        *(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(part), options.encode(), part) for part in contents),
    ]
    data, offsets = b"%PDF-1.7\n", []
    for number, part in enumerate(parts, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer << /Root 1 0 R /Size %d >>\nstartxref\n%d\n%%%%EOF\n" % (len(parts) + 1, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(parts) + 1, table) + trailer
