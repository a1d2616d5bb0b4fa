"""Plain text that comes gzipped reads like the same text unpacked, and a broken or exploding one is a failed record."""

import gzip
from pathlib import Path

import pytest

from ocrray.errors import RecordError
from ocrray.sources.input import InputConfig
from ocrray.sources.streams import TextEncoding
from ocrray.sources.text_files import read_text_file
from ocrray.sources.worklist import list_records

TEXT = "The first line,\nthe second.\n\nAnother paragraph.\n"


def listed(path: Path, unit: str) -> list[tuple[str | None, str | None]]:
    """Text and error of every record."""
    config = InputConfig(paths=[str(path)], text_unit=unit)
    rows = [row for table in list_records(config, images=False) for row in table.to_pylist()]
    return [(row["text"], row["error_kind"]) for row in rows]


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_list_records_of_gzipped_text_gives_those_of_the_text(tmp_path: Path, unit: str) -> None:
    """Lines and paragraphs are the same, packed or not."""
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(TEXT.encode(), mtime=0))

    assert listed(tmp_path / "b.txt.gz", unit) == listed(tmp_path / "a.txt", unit) != []


@pytest.mark.parametrize(
    "data", [gzip.compress(TEXT.encode() * 9, mtime=0)[:-20], b"this is not gzip", b"\x1f\x8b\x08\x00" + b"\xff" * 40]
)
def test_list_records_of_a_broken_gzip_is_a_failed_record(tmp_path: Path, data: bytes) -> None:
    """Cut off, mistaken or damaged: one record says that the rest cannot be read."""
    (tmp_path / "b.txt.gz").write_bytes(data)

    assert listed(tmp_path / "b.txt.gz", "line")[-1] == (None, "unreadable")
    with pytest.raises(RecordError) as caught:
        read_text_file(str(tmp_path / "b.txt.gz"), TextEncoding(), 1 << 20)
    assert caught.value.kind == "unreadable"


def test_read_text_file_unpacks_no_more_than_allowed(tmp_path: Path) -> None:
    """A small file that holds very much text is told; one within the limit is read whole."""
    path = tmp_path / "b.txt.gz"
    path.write_bytes(gzip.compress(b"x" * 10_000_000, mtime=0))
    with pytest.raises(RecordError) as caught:
        read_text_file(str(path), TextEncoding(), 1 << 20)
    assert caught.value.kind == "too_large"

    path.write_bytes(gzip.compress(TEXT.encode(), mtime=0))
    assert read_text_file(str(path), TextEncoding(), 1 << 20) == TEXT
