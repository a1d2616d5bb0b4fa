"""OCR files of every format: which is it, is it safe, and does every real sample read without losing a character."""

import re
import threading
from collections import Counter
from contextlib import suppress
from html import unescape
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocrray.errors import RecordError
from ocrray.records import Line
from ocrray.sources.kinds import markup_kind_of
from ocrray.sources.ocr_files import mets, xml_parse
from ocrray.sources.ocr_files.markup import count_pages, read_page

KINDS = ("alto", "page", "hocr")
ALTO = '<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Layout><Page>{}</Page></Layout></alto>'
ALTO_LINE = '<TextLine><String CONTENT="{}"/></TextLine>'
ENTITIES = '<!DOCTYPE x [<!ENTITY a "lol">{}]>'.format(
    "".join(f'<!ENTITY {name} "{10 * f"&{before};"}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True))
)


def sniff(data: bytes) -> str | None:
    kind = markup_kind_of(data)
    return kind.name if kind else None


def text_of(kind: str, data: bytes, page: int = 0) -> str:
    return "\n".join(line.text for line in read_page(kind, data, page).lines)


def samples(shared_data: Path) -> list[Path]:
    return sorted(path for path in (shared_data / "formats").rglob("*") if path.suffix in (".xml", ".hocr"))


def printed(text: str) -> Counter:
    return Counter("".join(text.split()))


def crude_alto(source: str) -> Counter:
    """Every String and HYP, found without an XML parser."""
    contents = re.findall(r"""<(?:String|HYP)\b[^>]*?\bCONTENT=(?:"([^"]*)"|'([^']*)')""", source)
    return printed(unescape("".join(double + single for double, single in contents)))


def crude_hocr(source: str) -> Counter:
    """Every word, found without an HTML parser."""
    return printed(unescape("".join(re.findall(r"class='ocrx_word'[^>]*>([^<]*)<", source))))


def crude_page(source: str) -> Counter:
    """The main text of every line, or of the region where no line in it has any."""

    def main_text(element: ElementTree.Element) -> str:
        equivalents = sorted(element.findall("{*}TextEquiv"), key=lambda equivalent: int(equivalent.get("index", 0)))
        return "".join(equivalents[0].findtext("{*}Unicode") or "" for _ in equivalents[:1])

    found: Counter = Counter()
    for region in ElementTree.fromstring(source).iter():
        if region.tag.endswith("}TextRegion"):
            lines = "".join(main_text(line) for line in region.iterfind("{*}TextLine"))
            found += printed(lines or main_text(region))
    return found


def page_sizes(source: str) -> list[tuple[int, int]]:
    pages = re.findall(r"<(?:\w+:)?Page\b[^>]*>", source)
    sizes = [[re.search(rf'\b(?:image)?{side}="(\d+)', page, re.IGNORECASE) for side in ("width", "height")] for page in pages]
    sizes += [re.search(r"ocr_page.*?bbox 0 0 (\d+) (\d+)", source)] * source.count("class='ocr_page'")
    return [(int(size[1]), int(size[2])) if isinstance(size, re.Match) else (int(size[0][1]), int(size[1][1])) for size in sizes]


@pytest.mark.shared
def test_real_samples_every_page_reads_to_the_same_characters(shared_data: Path):
    """Each real ALTO, PAGE and hOCR file gives exactly the characters that a crude count finds in it."""
    crude = {"alto": crude_alto, "page": crude_page, "hocr": crude_hocr}
    kinds = Counter()
    for path in samples(shared_data):
        data = path.read_bytes()
        kind = sniff(data)
        kinds[kind] += 1
        if kind in crude:
            pages = [text_of(kind, data, page) for page in range(count_pages(kind, data))]

            assert crude[kind](data.decode("utf-8-sig")) == printed("".join(pages)), path

    assert kinds == {"alto": 39, "page": 107, "hocr": 1, "mets": 14, None: 22}


@pytest.mark.shared
def test_real_samples_boxes_lie_on_the_page(shared_data: Path):
    """Every line but those cut from a region's text has a box, as has every word, inside the page that the file declares."""
    boxes = 0
    for path in samples(shared_data):
        data = path.read_bytes()
        if (kind := sniff(data)) not in KINDS:
            continue
        for page, (width, height) in enumerate(page_sizes(data.decode("utf-8-sig"))):
            for line in read_page(kind, data, page).lines:
                assert line.left is not None or (kind == "page" and not line.words), path
                for item in (line, *line.words):
                    if item.left is not None:
                        boxes += 1
                        assert 0 <= item.left <= item.right <= width, (path, item)
                        assert 0 <= item.top <= item.bottom <= height, (path, item)

    assert boxes > 60_000


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<alto/>", "alto"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <html> --><a:alto xmlns:a="http://schema.ccs-gmbh.com/ALTO">', "alto"),
        ('<?xml version="1.0" encoding="UTF-16"?><alto/>'.encode("utf-16"), "alto"),
        ('<?xml version="1.0" encoding="UTF-16BE"?><PcGts/>'.encode("utf-16-be"), "page"),
        (b'<pc:PcGts xmlns:pc="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><pc:Page', "page"),
        (b'<METS:mets xmlns:METS="http://www.loc.gov/METS/"/>', "mets"),
        (b'<!DOCTYPE html PUBLIC "x" "http://x/x.dtd"><html><body><div class="ocr_page">', "hocr"),
        (b"\n<!doctype html><HTML><meta charset=utf-8><p class=ocr_line>x", "hocr"),
        ('<div class="ocr_page"/>'.encode("utf-16"), "hocr"),
        (b"<html><body><p>Monday</p></body></html>", None),
        (b"<text><p>Monday</p></text>", None),
        (b"ocr_page is a class of hOCR", None),
        (b"II*\0 <alto/>", None),
        (b"", None),
    ],
)
def test_sniff_root_element_in_any_dress_says_the_kind(data: bytes, kind: str | None):
    """Namespace, prefix, byte order mark, encoding and what follows the root element make no difference."""
    assert sniff(data) == kind


@pytest.mark.parametrize(
    ("kind", "source", "error"),
    [
        ("alto", ENTITIES + ALTO.format(ALTO_LINE.format("&a;")), "unsafe_xml"),
        ("page", ENTITIES + "<PcGts/>", "unsafe_xml"),
        ("hocr", ENTITIES + "<html><div class='ocr_page'>&h;</div></html>", "unsafe_xml"),
        ("hocr", ENTITIES + "<html><div class='ocr_page'>unused</div></html>", "unsafe_xml"),
        ("hocr", ENTITIES + "<html><div class='ocr_page'><br></div></html>", "unsafe_xml"),
        ("alto", '<!DOCTYPE alto [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>' + ALTO, "unsafe_xml"),
        ("alto", '<!DOCTYPE alto SYSTEM "alto.dtd">' + ALTO, "unsafe_xml"),
        ("alto", ALTO.format(ALTO_LINE.format("&nbsp;")), "invalid_xml"),
        ("alto", ALTO.format(ALTO_LINE)[:-9], "invalid_xml"),
        ("alto", "", "invalid_xml"),
        ("alto", ALTO.format(ALTO_LINE.format("x" * 10_100_000)), "too_large"),
        ("page", f"<PcGts><Page><TextRegion><TextEquiv><Unicode>{'x' * 10_100_000}", "too_large"),
        ("hocr", f"<html><br><p class=ocr_page>{'x' * 10_100_000}", "too_large"),
        ("page", "<PcGts>" + "<TextRegion>" * 100_000, "too_large"),
        ("hocr", "<br><html>" + "<div class='ocr_line'>" * 100_000, "too_large"),
        ("alto", "<PcGts/>", "wrong_format"),
        ("hocr", "<alto/>", "wrong_format"),
    ],
)
def test_count_pages_bad_file_says_what_is_wrong(kind: str, source: str, error: str):
    """Whatever is wrong with a file is a RecordError of one line and of the right kind, in UTF-8 and in UTF-16."""
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(RecordError) as caught:
            count_pages(kind, source.encode(encoding))

        assert caught.value.kind == error, encoding
        assert "\n" not in str(caught.value)


def test_count_pages_broken_xml_names_the_line():
    """The message of broken XML says on which line it breaks."""
    with pytest.raises(RecordError, match="line 3"):
        count_pages("alto", b"<alto>\n<Layout>\n</alto>")


def test_count_pages_file_over_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch):
    """A file of more bytes than are ever parsed is refused by its size."""
    monkeypatch.setattr(xml_parse, "MAX_BYTES", 100)
    with pytest.raises(RecordError) as caught:
        count_pages("alto", b"<alto>" + b" " * 100)

    assert caught.value.kind == "too_large"


def test_read_page_beyond_the_last_is_missing():
    """A page that the file does not have is a RecordError, not the last page nor an empty one."""
    for page in (1, -1):
        with pytest.raises(RecordError) as caught:
            read_page("alto", ALTO.encode(), page)

        assert caught.value.kind == "missing_page"


def test_read_page_address_in_a_doctype_is_not_fetched():
    """No DTD, schema, stylesheet or entity is ever asked for over the network."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/x"
        doctypes = [f'<!DOCTYPE html SYSTEM "{address}">', f'<!DOCTYPE html [<!ENTITY % p SYSTEM "{address}"> %p;]>']
        for kind, source in (("alto", ALTO), ("hocr", f"<html><div class='ocr_page'><img src='{address}'/></div></html>")):
            for doctype in (*doctypes, f'<?xml-stylesheet href="{address}"?>'):
                with suppress(RecordError):
                    read_page(kind, (doctype + source).encode(), 0)
        server.shutdown()

    assert asked == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_read_page_declared_encoding_is_followed(encoding: str):
    """XML and HTML read alike in whichever encoding they declare."""
    declaration = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    sources = {
        "alto": declaration + ALTO.format(ALTO_LINE.format("Zürich")),
        "page": declaration + "<PcGts><TextRegion><TextEquiv><Unicode>Zürich</Unicode></TextEquiv></TextRegion></PcGts>",
        "hocr": declaration + "<html><body><br><p class=ocr_line>Zürich",
    }

    assert {text_of(kind, source.encode(encoding)) for kind, source in sources.items()} == {"Zürich"}


SOUP = """<alto> <PcGts> <mets> <html> <Page> </Page> <TextLine> <String/> <String CONTENT='a' HPOS='-1'/> <TextRegion id='a'>
    <Coords points='1,2 x,NaN'/> <TextEquiv> <Unicode> <ReadingOrder> <RegionRef regionRef='a'/> &amp; &x; <!-- --> \0 ]]>
    <div class='ocr_page' title='bbox 1 2'> <span class='ocrx_word'> </span> </div> <br> <structMap> <div TYPE='page'>
    <fptr FILEID='a'/> <fileSec> <file ID='a'> <FLocat href='a.xml'/> </mets> </alto> </PcGts>"""

hostile = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(lambda text: f"<html><p class=ocr_line>{text}".encode(errors="surrogatepass")),
    st.lists(st.sampled_from(re.findall(r"<!--|<[^>]+>|\S+", SOUP)), max_size=30).map(lambda parts: "".join(parts).encode()),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile)
def test_read_page_any_bytes_raise_nothing_but_record_error(data: bytes):
    """Whatever the bytes, reading gives lines without line feeds, or a RecordError."""
    sniff(data)
    for kind in KINDS:
        try:
            lines = [line for page in range(count_pages(kind, data)) for line in read_page(kind, data, page).lines]
        except RecordError:
            continue

        assert all(isinstance(line, Line) and line.text and "\n" not in line.text for line in lines)
    with suppress(RecordError):
        mets.list_pages(data)
