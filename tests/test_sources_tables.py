"""Tables and plain text become one row of the work list for each row, line or paragraph, whatever is wrong with it."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.errors import ConfigError, RecordError
from ocrray.sources import text_files
from ocrray.sources.input import InputConfig
from ocrray.sources.streams import TextEncoding
from ocrray.sources.text_files import read_text_file
from ocrray.sources.worklist import list_records
from ocrray.text.normalise import sanitise

ROWS = [
    {"id": "a", "ocr": "Tlie first", "gt": "The first", "year": "1850"},
    {"id": "b", "ocr": 'a "quoted"\nline, with commas', "gt": "", "year": "1851"},
    {"id": "c", "ocr": "", "gt": "ünïcödé ſ", "year": ""},
]
COLUMNS = {"id_column": "id", "text_column": "ocr", "ground_truth_column": "gt", "passthrough": ["year"]}


def listed(*paths: Path | str, **settings: Any) -> list[dict[str, Any]]:
    tables = list(list_records(InputConfig(paths=[str(path) for path in paths], **settings), images=False))
    return [row for table in tables for row in table.to_pylist()]


def kinds(rows: list[dict[str, Any]]) -> list[str | None]:
    return [row["error_kind"] for row in rows]


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """The rows as a table in the format of the file's extension."""
    path, stem = folder / name, name.removesuffix(".gz")
    if stem.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if stem.endswith((".csv", ".tsv")):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if stem.endswith(".tsv") else ",")
        writer.writeheader()
        writer.writerows(rows)
        data = text.getvalue().encode()
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("extension", ["jsonl", "ndjson", "jsonl.gz", "csv", "tsv", "csv.gz", "parquet"])
def test_table_every_format_gives_the_same_rows(tmp_path: Path, extension: str) -> None:
    """Text, ground truth, ids and passthrough values arrive as they are, commas, quotes and line feeds in cells included."""
    rows = listed(written(tmp_path, f"t.{extension}", ROWS), **COLUMNS)
    assert [row["record_id"] for row in rows] == ["a", "b", "c"]
    assert [row["text"] for row in rows] == [row["ocr"] for row in ROWS]
    # An empty cell of a CSV is no ground truth.
    no_truth = None if "sv" in extension else ""
    assert [row["ground_truth"] for row in rows] == ["The first", no_truth, "ünïcödé ſ"]
    assert [row["year"] for row in rows] == ["1850", "1851", ""]
    assert [row["page"] for row in rows] == [0, 1, 2]
    assert {row["kind"] for row in rows} == {"table"}
    assert {row["uri"] for row in rows} == {str(tmp_path / f"t.{extension}")}


def test_table_without_id_column_numbers_its_rows(tmp_path: Path) -> None:
    """An id is the path as given and the row."""
    path = written(tmp_path, "t.jsonl", ROWS)
    assert [row["record_id"] for row in listed(path, text_column="ocr")] == [f"{path}#{number}" for number in range(3)]


def test_table_text_column_is_guessed_only_where_there_is_one(tmp_path: Path) -> None:
    """`text` or `ocr` is taken; a table with both, or neither, has its columns named."""
    assert listed(written(tmp_path, "one.csv", [{"id": 1, "text": "x"}]))[0]["text"] == "x"
    for row in ({"text": "x", "ocr": "y"}, {"words": "x", "other": "y"}):
        with pytest.raises(ConfigError) as error:
            listed(written(tmp_path, "t.csv", [row]))
        assert all(name in str(error.value) for name in row)


@pytest.mark.parametrize("extension", ["jsonl", "csv", "parquet"])
def test_table_missing_columns_are_named_with_those_that_exist(tmp_path: Path, extension: str) -> None:
    """A misspelt column is a message about the config, not a million failed records."""
    with pytest.raises(ConfigError) as error:
        listed(written(tmp_path, f"t.{extension}", ROWS), text_column="ocr", id_column="nr", passthrough=["title"])
    assert all(name in str(error.value) for name in ("nr", "title", "id", "year"))


def test_jsonl_each_bad_line_is_one_failed_record(tmp_path: Path) -> None:
    """Broken JSON, a missing, null or non-text value, bytes that are no UTF-8, a list, and nesting without end: one row each."""
    bad = [
        (b'{"ocr": "fine", "id": 1}', None),
        (b'{"ocr": "cut', "bad_json"),
        (b'{"id": "no text"}', "missing_text"),
        (b'{"ocr": null, "id": "null"}', "missing_text"),
        (b'{"ocr": 12, "id": "number"}', "wrong_type"),
        (b'{"ocr": ["x"], "id": "list"}', "wrong_type"),
        (b'{"ocr": "\xff", "id": "latin"}', "bad_encoding"),
        (b'["ocr"]', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'{"ocr": "no id"}', "missing_id"),
        (b'{"ocr": "null id", "id": null}', "missing_id"),
        (b'{"ocr": "empty id", "id": ""}', "missing_id"),
        (b'{"ocr": "fine too", "id": [2]}', None),
    ]
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\n\n".join(line for line, _ in bad) + b"\n\n")
    rows = listed(path, id_column="id", text_column="ocr")
    assert kinds(rows) == [kind for _, kind in bad]
    assert [row["page"] for row in rows] == list(range(0, 2 * len(bad), 2))
    assert rows[0]["record_id"] == "1"
    assert rows[-1]["record_id"] == "[2]"
    assert rows[1]["record_id"] == f"{path}#2"
    assert all((row["text"] is None) == (row["error_kind"] is not None) for row in rows)


def test_jsonl_passthrough_values_become_strings(tmp_path: Path) -> None:
    """Numbers, booleans and nested values are kept as JSON text."""
    values = ["text", 3, True, None, {"a": [1, "ä"]}]
    path = written(tmp_path, "t.jsonl", [{"text": "x", "extra": value} for value in values])
    assert [row["extra"] for row in listed(path, passthrough=["extra"])] == ["text", "3", "true", None, '{"a": [1, "ä"]}']


@pytest.mark.parametrize("extension", ["jsonl", "csv", "parquet"])
def test_table_text_is_sanitised(tmp_path: Path, extension: str) -> None:
    """NUL and other controls become U+FFFD in text, ground truth and ids; everything else stays."""
    dirty = [f"{number}{character}b\td\u2028e" for number, character in enumerate("\x07\x7f\x9f\r")]
    rows = listed(
        written(tmp_path, f"t.{extension}", [{"id": text, "ocr": text, "gt": text, "year": "1"} for text in dirty]), **COLUMNS
    )
    for text, row in zip(dirty, rows, strict=True):
        assert row["record_id"] == row["text"] == row["ground_truth"] == sanitise(text)


def test_jsonl_lone_surrogate_is_replaced(tmp_path: Path) -> None:
    """JSON can spell what no UTF-8 file can hold."""
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a\\ud800b", "extra": "\\udfff"}\n{"text": "fine", "extra": "x"}\n')
    rows = listed(path, passthrough=["extra"])
    assert [(row["text"], row["extra"]) for row in rows] == [("a\ufffdb", "\ufffd"), ("fine", "x")]


def test_csv_rows_of_another_width_are_failed_records(tmp_path: Path) -> None:
    """A row with too many or too few cells is one failure with its number, and the rows around it keep theirs."""
    path = tmp_path / "t.csv"
    path.write_text("id,ocr\n1,one\n2,two,more\n3,three\n4\n5,five\n")
    rows = sorted(listed(path), key=lambda row: row["page"])
    assert [row["page"] for row in rows] == [0, 1, 2, 3, 4]
    assert kinds(rows) == [None, "bad_row", None, "bad_row", None]
    assert [row["text"] for row in rows] == ["one", None, "three", None, "five"]


@pytest.mark.parametrize(("encoding", "failed"), [("utf-8", [None, "bad_encoding", None]), ("cp1252", [None, None, None])])
def test_csv_cell_in_another_encoding_fails_alone(tmp_path: Path, encoding: str, failed: list[str | None]) -> None:
    """Mixed encodings lose the cells concerned; with `encoding` set they are read."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"id;text\n1;plain\n2;caf\xe9\n3;more\n")
    rows = listed(path, encoding=encoding, text_column="text")
    assert kinds(rows) == failed
    assert encoding == "utf-8" or rows[1]["text"] == "café"


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("empty.jsonl", b"", "empty_file"),
        ("not.parquet", b"this is no Parquet at all", "bad_table"),
        ("not.jsonl.gz", b"this is not gzip", "bad_table"),
        ("cut.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 9, mtime=0)[:-20], "bad_table"),
        ("twice.csv", b"text,text\na,b\n", "bad_table"),
        ("unmarked_utf16.csv", "text\nrow\n".encode("utf-16-le"), "bad_encoding"),
    ],
)
def test_table_broken_file_is_one_failed_record(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    """One broken table among many does not end the run."""
    (tmp_path / name).write_bytes(data)
    good = written(tmp_path, "good.jsonl", [{"text": "fine"}])
    assert kinds(listed(tmp_path / name, good)) == [kind, None]


def test_table_broken_half_way_keeps_what_came_before(tmp_path: Path) -> None:
    """A compressed table cut in the middle gives its rows up to there, and one that says so."""
    rows = [{"text": f"{number} " * 50} for number in range(20_000)]
    path = written(tmp_path, "t.jsonl.gz", rows)
    path.write_bytes(path.read_bytes()[:-100])
    read = listed(path)
    assert kinds(read)[-1] == "bad_table"
    assert kinds(read)[:-1] == [None] * (len(read) - 1)
    assert 5000 < len(read) < 20_001


def test_csv_without_rows_has_no_records(tmp_path: Path) -> None:
    """A header alone is a table with nothing in it."""
    (tmp_path / "t.csv").write_text("id,text\n")
    assert listed(tmp_path / "t.csv") == []


def test_parquet_passthrough_keeps_its_types(tmp_path: Path) -> None:
    """Numbers, lists and dates pass through as they are, dictionaries as their values; other tables must fit them."""
    table = pa.table(
        {
            "text": pa.array(["x"]).dictionary_encode(),
            "year": pa.array([1850], pa.int16()),
            "tags": pa.array([["a", "b"]]),
            "title": pa.array(["T"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    written(tmp_path, "b.jsonl", [{"text": "y", "year": 1851, "tags": None, "title": "U"}])
    config = InputConfig(paths=[str(tmp_path)], id_column="year", passthrough=["year", "tags", "title"])
    (listing,) = list_records(config, images=False)
    assert listing.schema.types[-3:] == [pa.int16(), pa.list_(pa.field("element", pa.string())), pa.string()]
    assert listing.select(["text", "year", "tags"]).to_pylist() == [
        {"text": "x", "year": 1850, "tags": ["a", "b"]},
        {"text": "y", "year": 1851, "tags": None},
    ]
    written(tmp_path, "c.jsonl", [{"text": "z", "year": "MDCCCL", "tags": None, "title": "V"}])
    with pytest.raises(ConfigError) as error:
        list(list_records(config, images=False))
    assert "year" in str(error.value)


@pytest.mark.parametrize("column", [pa.array([1, 2]), pa.array([["a"], ["b"]])])
def test_parquet_text_column_of_another_type_is_a_config_error(tmp_path: Path, column: pa.Array) -> None:
    """A column of numbers cannot have been meant."""
    pq.write_table(pa.table({"text": column}), tmp_path / "t.parquet")
    with pytest.raises(ConfigError) as error:
        listed(tmp_path / "t.parquet")
    assert str(column.type).partition("<")[0] in str(error.value)


def test_parquet_bytes_and_large_strings_are_text(tmp_path: Path) -> None:
    """Text may be stored as bytes; those that are no UTF-8 fail alone."""
    table = pa.table({"text": pa.array([b"fine", b"\xff"]), "gt": pa.array(["a", None], pa.large_string()), "id": [7, 8]})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = listed(tmp_path / "t.parquet", ground_truth_column="gt", id_column="id")
    assert [(row["record_id"], row["text"], row["error_kind"]) for row in rows] == [
        ("7", "fine", None),
        ("8", None, "bad_encoding"),
    ]


def test_table_too_long_text_fails_and_a_long_one_is_read(tmp_path: Path) -> None:
    """A line of 100,000 characters is read whole; one beyond the limit fails, and is never cut."""
    path = written(tmp_path, "t.jsonl", [{"text": "x" * 100_000}, {"text": "x" * 1_000_001}, {"text": "fine"}])
    rows = listed(path)
    assert kinds(rows) == [None, "too_long", None]
    assert len(rows[0]["text"]) == 100_000


def test_table_naming_scans_lists_them_with_its_ground_truth(tmp_path: Path) -> None:
    """Each row is the scan it names, by the table's ids; names that lead elsewhere or nowhere are failed records."""
    from PIL import Image

    (tmp_path / "img").mkdir()
    Image.new("L", (10, 10)).save(tmp_path / "img/1.png")
    Image.new("L", (10, 10)).save(tmp_path / "img/2.tif", save_all=True, append_images=[Image.new("L", (11, 11))])
    names = ["img/1.png", "nowhere.png", "../x.png", "/etc/passwd", "http://host/x.png", "t.csv", "img/2.tif", ""]
    path = written(tmp_path, "t.csv", [{"id": f"r{i}", "file": name, "gt": "The"} for i, name in enumerate(names)])
    config = InputConfig(paths=[str(path)], image_column="file", ground_truth_column="gt", id_column="id")
    rows = [row for table in list_records(config, images=True) for row in table.to_pylist()]
    unsafe = "unsafe_path"
    assert kinds(rows) == [None, "missing", unsafe, unsafe, unsafe, "unknown_format", "many_pages", unsafe]
    assert rows[0] | {"etag": ""} == {
        "gone": False,
        **dict.fromkeys(("text", "image_uri", "error_kind", "error")),
        "record_id": "r0",
        "uri": str(tmp_path / "img/1.png"),
        "kind": "image",
        "page": 0,
        "size": (tmp_path / "img/1.png").stat().st_size,
        "etag": "",
        "ground_truth": "The",
    }
    with pytest.raises(ConfigError):
        list(list_records(config, images=False))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_text_lines_and_paragraphs_are_records(tmp_path: Path, line_end: str) -> None:
    """Blank lines are lines, and part paragraphs; a form feed, as OCR engines write between pages, is dropped."""
    path = tmp_path / "a.txt"
    path.write_bytes(line_end.join(["\ufefffirst", "second\f", "", "  ", "third", ""]).encode())
    assert [row["text"] for row in listed(path)] == ["first", "second", "", "  ", "third"]
    assert [row["text"] for row in listed(path, text_unit="paragraph")] == ["first\nsecond", "third"]
    (whole,) = listed(path, text_unit="file")
    assert (whole["text"], whole["kind"], whole["page"]) == (None, "text", 0)
    assert read_text_file(str(path), TextEncoding(), 1000) == "first\nsecond\n\n  \nthird\n"


def test_text_undecodable_line_fails_alone(tmp_path: Path) -> None:
    """One Latin-1 line in a UTF-8 file is one failed record; as a whole file, or in its paragraph, it takes the rest with it."""
    path = tmp_path / "a.txt"
    path.write_bytes("grün\n".encode() + b"gr\xfcn\r\n\n" + "grün".encode())
    assert kinds(listed(path)) == [None, "bad_encoding", None, None]
    assert kinds(listed(path, text_unit="paragraph")) == ["bad_encoding", None]
    assert [row["text"] for row in listed(path, encoding="latin-1")][1] == "grün"
    with pytest.raises(RecordError) as error:
        read_text_file(str(path), TextEncoding(), 1000)
    assert error.value.kind == "bad_encoding"


def test_text_endless_line_fails_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond what is buffered is one failed record, and the lines after it are read."""
    monkeypatch.setattr(text_files, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(text_files, "_BLOCK_BYTES", 64)
    path = tmp_path / "a.txt"
    path.write_bytes(b"first\n" + b"x" * 1000 + b"\nsecond\n\nthird\n" + b"y" * 1000)
    rows = listed(path)
    assert [row["text"] for row in rows] == ["first", None, "second", "", "third", None]
    assert kinds(rows) == [None, "too_long", None, None, None, "too_long"]


@settings(deadline=None)
@given(text=st.text(st.sampled_from("ab \n\r\f\tä\u2028")), block=st.integers(1, 9))
def test_text_lines_are_those_of_the_file_however_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    """Reading in blocks of any size, no line is lost, doubled or cut, unless the only line ends are CR."""
    text = text.replace("\r", "\r\n").replace("\n\n", "\n")
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(text.encode())
    expected = text.replace("\r\n", "\n").replace("\f", "").split("\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_BLOCK_BYTES", block)
        with path.open("rb") as file:
            lines = [
                line
                for batch in text_files.read_units(file, TextEncoding(), by_paragraph=False)
                for line in batch.texts.to_pylist()
            ]
    assert lines == (expected[:-1] if expected[-1] == "" and not text.endswith("\f") else expected)


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=60), extension=st.sampled_from(["jsonl", "csv", "tsv", "jsonl.gz", "parquet"]))
def test_table_of_any_bytes_gives_rows_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, extension: str
) -> None:
    """Whatever a table's file holds, it is failed records or a message about its columns."""
    path = tmp_path_factory.getbasetemp() / f"any.{extension}"
    path.write_bytes(b"text,id\n" + data if "sv" in extension else b'{"text": "x"}\n' + data)
    try:
        listed(path, text_column="text")
    except ConfigError:
        return
