"""OCR files that come compressed read like the same files unpacked, whatever their names; damaged ones are failed records."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hostile import ALTO, ALTO_LINE, HOCR, METS, PAGE, PAGE_LINE

from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.history import ProcessingStep
from ocrray.errors import RecordError
from ocrray.records import Edit
from ocrray.sources.compression import unpacked
from ocrray.sources.input import InputConfig
from ocrray.sources.ocr_files import xml_parse
from ocrray.sources.open_page import open_document
from ocrray.sources.worklist import list_records

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}
WORD = "<span class='ocr_line'><span class='ocrx_word'>{}</span></span>"
SOURCES = {
    "alto": ALTO.format(ALTO_LINE.format("one")).replace("</Layout>", f"<Page>{ALTO_LINE.format('two')}</Page></Layout>"),
    "page": PAGE.format(PAGE_LINE.format("one")),
    "hocr": HOCR.format(WORD.format("one")).replace("</body>", f"<div class='ocr_page'>{WORD.format('two')}</div></body>"),
    "abbyy": "<document><page><block blockType='Text'><text><par><line><formatting>one</formatting></line></par></text></block>"
    "</page><page><block><text><par><line><formatting>two</formatting></line></par></text></block></page></document>",
    "djvu_xml": "<!DOCTYPE DjVuXML><DjVuXML><BODY><OBJECT><LINE><WORD>one</WORD></LINE></OBJECT><OBJECT><LINE><WORD>two</WORD>"
    "</LINE></OBJECT></BODY></DjVuXML>",
}


def listed(path: Path, **settings: object) -> list[tuple[str, str, int, str | None]]:
    """File name, kind, page and error kind of each record."""
    tables = list_records(InputConfig(paths=[str(path)], **settings), images=False)
    rows = [row for table in tables for row in table.to_pylist()]
    return [(Path(row["uri"]).name, row["kind"], row["page"], row["error_kind"]) for row in rows]


def texts(path: Path) -> list[str]:
    """The text of every page of the one file that is listed."""
    rows = listed(path)
    return [open_document(kind, str(path), page, encoding="utf-8", max_file_bytes=1 << 20).text for _, kind, page, _ in rows]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("a.xml.gz", "gz"),
        ("a.html.GZ", "gz"),
        ("a.hocr.bz2", "bz2"),
        ("a.alto.xz", "xz"),
        ("a.xhtml.zst", "zst"),
        ("a_abbyy.gz", "gz"),
        ("a.gz", "gz"),
        ("a.xml", "gz"),
        ("a.hocr", "zst"),
        ("a.xml.gz", ""),
    ],
)
def test_compressed_markup_in_a_folder_gives_every_page(tmp_path: Path, kind: str, name: str, compression: str) -> None:
    """Content says what a file is and how it is compressed; each of its pages is a record."""
    data = SOURCES[kind].encode()
    (tmp_path / name).write_bytes(COMPRESS[compression](data) if compression else data)

    expected = ["one", "two"] if kind != "page" else ["one"]
    assert listed(tmp_path) == [(name, kind, page, None) for page in range(len(expected))]
    assert texts(tmp_path / name) == expected
    assert len(listed(tmp_path, kind=kind)) == len(expected)


def test_compressed_mets_gives_its_compressed_members(tmp_path: Path) -> None:
    """A METS may be compressed, and so may the files that it names; none of them is listed twice."""
    (tmp_path / "mets.xml.gz").write_bytes(gzip.compress(METS.format("text/1.xml.gz").replace("text/xml", "x/y").encode()))
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "1.xml.gz").write_bytes(gzip.compress(SOURCES["page"].encode()))

    assert listed(tmp_path) == [("1.xml.gz", "page", 0, None)]


@pytest.mark.parametrize("name", ["a.xml.gz", "a_abbyy.gz", "a.hocr"])
@pytest.mark.parametrize("compression", COMPRESS)
def test_compressed_markup_that_is_cut_is_a_failed_record(tmp_path: Path, name: str, compression: str) -> None:
    """A download that broke off is one failed record that says so, whether its beginning can be unpacked or not."""
    data = COMPRESS[compression](SOURCES["alto"].encode() + b" " * 10)
    for cut in (len(data) - 9, 12):
        (tmp_path / name).write_bytes(data[:cut])
        [(_, _, _, error)] = listed(tmp_path)
        assert error in ("truncated", "unreadable")


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08\x00" + b"\xff" * 40, b"BZh9" + b"\0" * 40, b"\xfd7zXZ\0" + b"\0" * 40])
def test_compressed_markup_that_is_garbage_is_a_failed_record(tmp_path: Path, data: bytes) -> None:
    """Bytes behind the mark of a compression that are none are one failed record."""
    (tmp_path / "a.xml.gz").write_bytes(data)

    assert [error for *_, error in listed(tmp_path)] in (["unreadable"], ["truncated"])


@pytest.mark.parametrize("compression", COMPRESS)
def test_compressed_markup_of_no_bytes_or_several_parts(tmp_path: Path, compression: str) -> None:
    """Nothing is an empty file; what was compressed in parts, one behind the other, is one file."""
    compress = COMPRESS[compression]
    (tmp_path / "a.xml.gz").write_bytes(compress(b""))
    assert [error for *_, error in listed(tmp_path)] == ["empty_file"]

    data = SOURCES["alto"].encode()
    (tmp_path / "a.xml.gz").write_bytes(compress(data[:20]) + compress(data[20:]))
    assert texts(tmp_path / "a.xml.gz") == ["one", "two"]


def test_compressed_files_that_are_no_ocr_are_left_out(tmp_path: Path) -> None:
    """Archives and other compressed files of a folder are no records; named one by one they are failed ones."""
    for name, data in {"a.tar.gz": b"ustar" * 99, "b.gz": b"<html><p>web</p></html>", "c.warc.gz": b"WARC/1.0"}.items():
        (tmp_path / name).write_bytes(gzip.compress(data))
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b\x08 no")
    (tmp_path / "good.xml.gz").write_bytes(gzip.compress(SOURCES["page"].encode()))

    assert listed(tmp_path) == [("good.xml.gz", "page", 0, None)]
    assert listed(tmp_path / "a.tar.gz")[0][3] == "unknown_format"


def test_compressed_bomb_is_a_failed_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to more than is ever read is refused, page by page reading included."""
    monkeypatch.setattr(xml_parse, "MAX_BYTES", 100_000)
    bomb = b"<alto>" + b" " * 700_000 + b"</alto>"
    for name, data in {"a.xml.gz": bomb, "b.xml.gz": bomb.replace(b"alto", b"DjVuXML")}.items():
        (tmp_path / name).write_bytes(gzip.compress(data, 1))

    assert [error for *_, error in listed(tmp_path)] == ["too_large", "too_large"]


@pytest.mark.parametrize("compression", COMPRESS)
def test_export_of_a_compressed_file_is_compressed_alike(compression: str) -> None:
    """Corrections are written into the content; a file without any stays as it is, byte for byte."""
    stored = COMPRESS[compression](SOURCES["alto"].encode())
    step = ProcessingStep("0", "tagger", datetime(2026, 11, 28, tzinfo=UTC))

    written = write_document("alto", stored, {1: [Edit(0, 3, "two", "too")]}, step)

    assert b"too" in unpacked(written.data, 1 << 20)
    assert written.data[:3] == stored[:3]
    assert write_document("alto", stored, {}, step).data is stored


def test_unpacked_content_that_is_not_compressed_is_the_same_object() -> None:
    """Plain files cost nothing, and have no limit here."""
    data = b"<alto/>"
    assert unpacked(data, 1) is data
    with pytest.raises(RecordError):
        unpacked(gzip.compress(data), 1)
