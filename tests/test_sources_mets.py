"""METS: pages in order, and the best text and image of several."""

import re
from pathlib import Path

import pytest

from ocrray.errors import RecordError
from ocrray.sources.ocr_files.mets import MetsPage, list_pages


def file(name: str, href: str, media_type: str = "", use: str = "") -> str:
    return f'<file ID="{name}" MIMETYPE="{media_type}" USE="{use}"><FLocat LOCTYPE="URL" xlink:href="{href}"/></file>'


def group(use: str, *files: str) -> str:
    return f'<fileGrp USE="{use}">{"".join(files)}</fileGrp>'


def division(*names: str, kind: str = "page", inside: str = "") -> str:
    return f'<div TYPE="{kind}">' + "".join(f'<fptr FILEID="{name}"/>' for name in names) + inside + "</div>"


def pages(groups: str, structure: str = "") -> list[MetsPage]:
    namespaces = 'xmlns="http://www.loc.gov/METS/" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return list_pages(f"<mets {namespaces}><fileSec>{groups}</fileSec>{structure}</mets>".encode())


def physical(*divisions: str) -> str:
    return f'<structMap TYPE="PHYSICAL"><div TYPE="physSequence">{"".join(divisions)}</div></structMap>'


def test_pages_come_in_the_order_of_the_physical_map():
    """The physical structMap decides, wherever it stands; areas count as their file, and a page without files stays a page."""
    groups = group("FULLTEXT", file("t1", "1.xml"), file("t2", "2.xml")) + group(
        "MASTER", file("i1", "1.tif"), file("i2", "2.tif")
    )
    others = "".join(f'<structMap TYPE="{kind}">{division("t1")}</structMap>' for kind in ("LOGICAL", "OTHER"))
    area = '<fptr><par><area FILEID="i1" COORDS="0,0,9,9"/><area FILEID="t1"/></par></fptr>' + division("t2", kind="pagearea")

    found = pages(groups, others + physical(division("i2", "t2"), division("lost"), division(inside=area)))

    assert found == [MetsPage("2.xml", "2.tif"), MetsPage(None, None), MetsPage("1.xml", "1.tif")]


def ordered(division: str, order: object) -> str:
    return division.replace("<div ", f'<div ORDER="{order}" ', 1)


def test_pages_come_in_their_order():
    """ORDER places a division among its siblings, on every level; what has none stays behind what it follows."""
    groups = group("FULLTEXT", *(file(f"t{i}", f"{i}.xml") for i in range(1, 8)))
    first = ordered(division(kind="part", inside=ordered(division("t2"), 2) + ordered(division("t1"), "01")), 1)
    second = ordered(division(kind="part", inside=ordered(division("t7"), 10) + ordered(division("t4"), 9) + division("t5")), 2)
    last = division("t6", kind="part", inside="")

    found = pages(groups, physical(second, first, ordered(division("t3", kind="leaf page"), 1.5), last))

    assert [page.text_href for page in found] == ["1.xml", "2.xml", "3.xml", "6.xml", "4.xml", "5.xml", "7.xml"]


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (division("t1") + division("t2") + division("t3", kind="cover"), "1 2 3"),
        (division("t1") + division("t2"), "1 2 3"),
        (division("t1") + division("t2", "t3"), "1 2 3"),
        (division("t1", inside=division("t2", kind="area")) + division("t3"), "1 2 3"),
        (division(inside=division("t1") + division("t2")) + division("t3"), "1 2 3"),
        (division("t1") + division("t1", "t2") + division("t2") + division("t3"), "1 2 3"),
        (division("t3", kind="book", inside=division("t1") + division("t2")), "1 2"),
        (division("t1", "whole") + division("t2") + division("thumb", kind="icon"), "1 2 3"),
    ],
)
def test_pages_miss_no_text_file_and_repeat_none(structure: str, expected: str):
    """Covers, files without a division, several files of a page, pages in pages; the file of the whole book is no page more."""
    texts = group("FULLTEXT", *(file(f"t{i}", f"{i}.xml", "text/xml") for i in (1, 2, 3)))
    others = group("METADATA", file("whole", "whole.xml", "text/xml")) + group("THUMBS", file("thumb", "thumb.png"))

    found = pages(texts + others, physical(structure))

    assert " ".join(str(page.text_href).removesuffix(".xml") for page in found) == expected


@pytest.mark.parametrize("kind", ["page", "PAGE", "np:page", "leaf"])
def test_pages_are_divisions_by_type_or_the_innermost_with_files(kind: str):
    """A division is a page by its TYPE, or, where none is called page, because files and no smaller parts are in it."""
    groups = group("whole", file("pdf", "all.pdf")) + group("text", file("t1", "1.xml"), file("t2", "2.xml"))
    structure = division("pdf", kind="book", inside=division("t1", kind=kind) + division("t2", kind=kind))

    assert pages(groups, f"<structMap>{structure}</structMap>") == [MetsPage("1.xml", None), MetsPage("2.xml", None)]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ("OCR-D-OCR-TESS", "FULLTEXT"),
        ("OCR-D-OCR-TESS-SEG-LINE", "OCR-D-GT-SEG-PAGE"),
        ("OCR-D-SEG-LINE", "OCR-D-OCR-TESS-SEG-LINE"),
        ("OCR-D-IMG-BINPAGE-sauvola", "OCR-D-GT-ALTO"),
        ("METADATA", "something"),
        ("something", "ALTO"),
        ("something", "news_ocr"),
    ],
)
def test_pages_take_the_best_text(worse: str, better: str):
    """Full text and ground truth come before recognized text, and that before what is only segmented."""
    groups = group(worse, file("a", "worse.xml", "text/xml")) + group(better, file("b", "better.xml", "text/xml"))

    assert pages(groups, physical(division("a", "b"))) == [MetsPage("better.xml", None)]
    assert pages(groups) == [MetsPage("better.xml", None)]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ("THUMBS", "DEFAULT"),
        ("MIN", "MAX"),
        ("DEFAULT", "PreservationMaster"),
        ("OCR-D-IMG-BIN", "OCR-D-IMG"),
        ("OCR-D-IMG-DEWARP", "something"),
        ("service", "master"),
        ("REFERENCE_IMAGES", "ARCHIVE"),
        ("THUMBS", "OCR-D-IMG-DESKEW"),
    ],
)
def test_pages_take_the_best_image(worse: str, better: str):
    """Masters come before what was derived from them, and that before thumbnails."""
    groups = group(worse, file("a", "worse.jp2", "image/jp2")) + group(better, file("b", "better.tif", "image/tiff"))

    assert pages(groups, physical(division("a", "b"))) == [MetsPage(None, "better.tif")]


def test_pages_take_what_need_not_be_fetched():
    """A file beside the METS is better than any on the web, in another group or as another place of the same file."""
    two_places = '<file ID="t"><FLocat xlink:href="https://x/1.xml"/><FLocat xlink:href="file://./1.xml"/></file>'
    groups = group("MASTER", file("a", "http://x/1.tif")) + group("THUMBS", file("b", "1.jpg")) + group("FULLTEXT", two_places)

    assert pages(groups, physical(division("a", "b", "t"))) == [MetsPage("file://./1.xml", "1.jpg")]


def test_pages_kind_of_a_file_follows_its_media_type_or_its_name():
    """Text is what says ALTO, PAGE, hOCR or XML; sound, PDF and metadata are neither text nor image."""
    files = [
        file("1", "alto?id=1", "application/alto+xml"),
        file("2", "page", "application/vnd.prima.page+xml"),
        file("3", "page.hocr", "text/vnd.hocr+html"),
        file("4", "page.html?x=y.tif"),
        file("5", "scan", "image/tiff"),
        file("6", "SCAN.JP2", "application/octet-stream"),
        file("7", "page.pdf", "application/pdf"),
        file("8", "page.wav", "audio/wav"),
    ]
    found = pages(group("x", *files), physical(*(division(str(number)) for number in range(1, 9))))

    assert [page.text_href for page in found[:4]] == ["alto?id=1", "page", "page.hocr", "page.html?x=y.tif"]
    assert [page.image_href for page in found[4:]] == ["scan", "SCAN.JP2", None, None]


def test_pages_without_structure_follow_the_best_groups():
    """Text and image pair up where there are as many of each; where not, the text alone makes the pages."""
    texts, thumbs = [file(f"t{i}", f"{i}.xml") for i in (1, 2)], [file(f"s{i}", f"{i}.png") for i in (1, 2, 3)]
    scans = [file(f"i{i}", f"{i}.tif") for i in (1, 2)]

    paired = pages(group("thumbs", *thumbs) + group("master", *scans) + group("ocr", *texts))

    assert paired == [MetsPage("1.xml", "1.tif"), MetsPage("2.xml", "2.tif")]
    assert pages(group("thumbs", *thumbs) + group("ocr", *texts)) == [MetsPage("1.xml", None), MetsPage("2.xml", None)]
    assert pages(group("master", *scans), f'<structMap TYPE="LOGICAL">{division("i2")}</structMap>') == [
        MetsPage(None, "1.tif"),
        MetsPage(None, "2.tif"),
    ]


def test_pages_use_of_the_file_counts_where_groups_are_pages():
    """Where each group is a page, as in US newspapers, the files say their own use."""
    groups = "".join(
        f'<fileGrp ID="page{i}">{file(f"s{i}", f"{i}.jp2", use="service")}{file(f"o{i}", f"{i}.xml", use="ocr")}</fileGrp>'
        for i in (1, 2)
    )

    assert pages(groups) == [MetsPage("1.xml", "1.jp2"), MetsPage("2.xml", "2.jp2")]
    assert pages(re.sub(' USE="[^"]*"', "", groups)) == [MetsPage("1.xml", "1.jp2"), MetsPage("2.xml", "2.jp2")]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("<mets/>", "no_pages"),
        ('<mets><structMap TYPE="PHYSICAL"><div TYPE="page"/></structMap></mets>', "no_pages"),
        ("<alto/>", "wrong_format"),
        ("<mets>", "invalid_xml"),
        ('<!DOCTYPE mets SYSTEM "mets.dtd"><mets/>', "unsafe_xml"),
    ],
)
def test_pages_of_a_useless_file_say_what_is_wrong(source: str, kind: str):
    """A METS that leads to no page is an error, never an empty list."""
    with pytest.raises(RecordError) as caught:
        list_pages(source.encode())

    assert caught.value.kind == kind


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("dinglehopper/actevedef_718448162/mets.xml", 1, MetsPage("OCR-D-GT-PAGE/00000024.page.xml", None)),
        (
            "impresso_samples/BL/BLIP_20190920_01/0002088/1832/1123/0002088_18321123_mets.xml",
            8,
            MetsPage("0002088_18321123_0001.xml", "0002088_18321123_0001.jp2"),
        ),
        (
            "impresso_samples/RERO2/BLB/data/BLB/18451228_01/18451228_01-METS.xml",
            5,
            MetsPage("file://./ALTO/00001.xml", "file://./MASTER/00001.jp2"),
        ),
        ("ocrd_assets/glyph-consistency/mets.xml", 2, MetsPage("OCR-D-GT-PAGE/FAULTY_GLYPHS.xml", None)),
        (
            "ocrd_assets/kant_aufklaerung_1784-complex/mets.xml",
            2,
            MetsPage("OCR-D-GT-PAGE/PAGE_0017_PAGE.xml", "OCR-D-IMG/INPUT_0017.tif"),
        ),
        (
            "ocrd_assets/pembroke_werke_1766/mets.xml",
            195,
            MetsPage(None, "http://content.staatsbibliothek-berlin.de/dms/PPN85249078X/800/0/00000001.tif"),
        ),
    ],
)
def test_real_mets_lists_its_pages(shared_data: Path, name: str, count: int, first: MetsPage):
    """Real METS list as many pages as they have, each with its best files."""
    found = list_pages((shared_data / "formats" / name).read_bytes())

    assert (len(found), found[0]) == (count, first)
