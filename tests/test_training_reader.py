"""Reading training tables as typed columns: text, scalars, JSON and images."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ocrray.errors import RecordError
from ocrray.training.data import Reader
from ocrray.training.images import open_image
from ocrray.training.layouts import PlainLayout
from ocrray.training.samples import ARROW_TYPES, Column, ColumnKind

PAIR = (Column("source", "ocr"), Column("target", "gt"))


def png(color: str) -> bytes:
    """A small image of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "PNG")
    return file.getvalue()


def write(path: Path, values: list[Any], kind: pa.DataType | None = None) -> str:
    """A table with one column `x`, in the format that the name says."""
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.table({"x": pa.array(values, kind)}), path)
        case ".csv":
            path.write_text("id,x\n" + "".join(f'{number},"{value}"\n' for number, value in enumerate(values)), encoding="utf-8")
        case _:
            path.write_text("".join(json.dumps({"x": value}) + "\n" for value in values), encoding="utf-8")
    return str(path)


def read(path: str, kind: ColumnKind) -> tuple[list[Any], list[str | None]]:
    """Values and problems of column `x`, read as a column of this kind."""
    rows = pa.concat_tables(Reader(PlainLayout([Column("value", "x", kind)])).read(path, 0))
    assert rows.schema.field("value").type == ARROW_TYPES[kind]
    return rows["value"].to_pylist(), rows["problem"].to_pylist()


def test_reader_gives_clean_texts_and_the_place_of_each_row(tmp_path):
    """Control characters do not get in, and rows are numbered by file and line; nulls stay nulls."""
    path = tmp_path / "a.jsonl"
    rows = [{"ocr": "be\x07ll\r\n", "gt": None, "doc": 7}, {"ocr": "x" * 1_000_001, "gt": "y"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    first, second = pa.concat_tables(Reader(PlainLayout(PAIR), "doc").read(str(path), 3)).to_pylist()

    assert first == {"source": "be\ufffdll\n", "target": None, "group": "7", "problem": None, "row": 3 << 40}
    assert (second["problem"], second["row"]) == ("too_long", (3 << 40) + 1)


@pytest.mark.parametrize(
    ("name", "problem"), [("a.jsonl.gz", "bad_table"), ("a.parquet", "bad_table"), ("gone.jsonl", "missing")]
)
def test_reader_file_that_cannot_be_read_is_a_problem_and_no_crash(tmp_path, name, problem):
    """A truncated file, or one deleted since it was found, costs its rows and not the run."""
    (tmp_path / "another.jsonl").touch()
    path = tmp_path / name
    rows = [{"ocr": f"tbe {number}", "gt": f"the {number}", "doc": "a"} for number in range(300)]
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        path.write_bytes(path.read_bytes()[:-40])
    elif name == "a.jsonl.gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())[:-40])

    table = pa.concat_tables(Reader(PlainLayout((*PAIR, Column("image", "image", "image"))), "doc").read(str(path), 0))

    assert table.to_pylist()[-1] == {
        **dict.fromkeys(("source", "target", "image", "group")),
        "problem": problem,
        "row": table["row"][-1].as_py(),
    }
    assert table.schema.field("image").type == ARROW_TYPES["image"]


def test_reader_text_column_takes_strings_only(tmp_path):
    """In JSON the types are known: a number or an object where a text belongs is an error of its row."""
    values, problems = read(write(tmp_path / "a.jsonl", ["a", 7, {"b": 1}, None]), "text")

    assert problems == [None, "wrong_type", "wrong_type", None]
    assert (values[0], values[3]) == ("a", None)


def test_reader_text_column_of_parquet_is_checked_for_utf8(tmp_path):
    """Bytes that are no text are an error of their row."""
    values, problems = read(write(tmp_path / "a.parquet", [b"caf\xc3\xa9", b"\xff"], pa.binary()), "text")

    assert (values[0], problems) == ("caf\u00e9", [None, "bad_encoding"])


def test_reader_scalar_column_takes_any_value_as_text(tmp_path):
    """A year may be a number in one file and a string in another."""
    assert read(write(tmp_path / "a.jsonl", ["1894", 1894, True]), "scalar") == (["1894", "1894", "true"], [None] * 3)
    assert read(write(tmp_path / "a.parquet", [1894]), "scalar") == (["1894"], [None])


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_reader_json_column_gives_text_of_nested_values(tmp_path, name):
    """Objects and lists arrive as the same JSON whichever format holds them."""
    tree = [{"title": "The fox", "pages": [1, 2]}, None]

    values, problems = read(write(tmp_path / name, tree), "json")

    assert [value and json.loads(value) for value in values] == tree
    assert problems == [None, None]


def test_reader_json_column_parses_strings_and_refuses_other_texts(tmp_path):
    """CSV can hold JSON only as text; what does not parse is an error of its row."""
    values, problems = read(write(tmp_path / "a.csv", ["[1, 2]", "the fox"]), "json")

    assert (json.loads(values[0]), problems) == ([1, 2], [None, "bad_json"])


def test_reader_image_column_of_paths_refers_to_files_beside_the_table(tmp_path):
    """A path is resolved against the table's folder; one that leads out of it, or names nothing, is an error of its row."""
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "a.png").write_bytes(png("red"))

    values, problems = read(write(tmp_path / "a.jsonl", ["lines/a.png", "lines/b.png", "../secret.png", None]), "image")

    assert problems == [None, "image_missing", "image_unsafe_path", None]
    assert values == [{"bytes": None, "path": str(tmp_path / "lines" / "a.png")}, None, None, None]
    assert open_image(values[0]).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([png("blue")], pa.binary()), ([{"bytes": png("blue"), "path": "a.png"}], ARROW_TYPES["image"])],
)
def test_reader_image_column_of_bytes_keeps_them_encoded(tmp_path, values, kind):
    """Plain bytes and Hugging Face's image structs are carried as they are and decoded only when opened."""
    [reference], problems = read(write(tmp_path / "a.parquet", values, kind), "image")

    assert (reference["bytes"], problems) == (png("blue"), [None])
    assert open_image(reference).getpixel((0, 0)) == (0, 0, 255)


def test_open_image_of_bytes_that_are_no_image_is_a_record_error():
    """The kind says what is wrong; nothing of Pillow's gets out."""
    with pytest.raises(RecordError) as error:
        open_image({"bytes": b"no image at all", "path": None})

    assert error.value.kind == "not_an_image"
