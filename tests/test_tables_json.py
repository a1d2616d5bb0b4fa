"""JSON of every form, encoding and compression is read row by row; a broken value is a problem, and never the end in silence."""

import gzip
import io
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.errors import ConfigError, RecordError
from ocrray.sources.compression import _ALL as COMPRESSIONS
from ocrray.sources.compression import SUFFIXES
from ocrray.sources.input import InputConfig
from ocrray.sources.streams import TextEncoding
from ocrray.sources.tables import json_values
from ocrray.sources.tables.columns import Columns
from ocrray.sources.tables.forms import columns_problem, open_table
from ocrray.sources.text_files import Piece
from ocrray.sources.texts import count_rows
from ocrray.sources.walk import Walk
from ocrray.sources.worklist import list_records
from ocrray.training.data import Reader
from ocrray.training.layouts import PlainLayout
from ocrray.training.samples import Column

ROWS = [{"ocr": 'x1 é "q"\n', "gt": "y"}, {"ocr": "x2 [{", "gt": None}, {"ocr": "x3 ,]}", "gt": ""}]
VALUES = [(row["ocr"], row["gt"]) for row in ROWS]
LINES = [json.dumps(row) for row in ROWS]
FORMS = {
    "lines": "\n".join(LINES),
    "lines ending in CR LF": "\r\n".join(LINES) + "\r\n",
    "lines ending in CR": "\r".join(LINES),
    "array": json.dumps(ROWS, ensure_ascii=False),
    "array, indented": json.dumps(ROWS, indent=2),
    "array, a line each": "[\n" + ",\n".join(LINES) + "\n]\n",
    "array from the first line on": "[" + ",\n".join(LINES) + "]",
    "objects, indented": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "objects without a space": "".join(LINES),
    "arrays": json.dumps(ROWS[:2]) + "\n" + json.dumps(ROWS[2:]),
    "a sequence of RFC 7464": "".join(f"\x1e{line}\n" for line in LINES),
}


def read(data: bytes | str, name: str = "t.json") -> tuple[list[tuple[str | None, ...]], dict[int, str]]:
    """Texts and truths by row, and the message of each problem by row."""
    table = open_table(io.BytesIO(data.encode() if isinstance(data, str) else data), name, TextEncoding())
    rows: list[tuple[str | None, ...]] = []
    problems: dict[int, str] = {}
    for batch in table.batches(Columns("ocr", ground_truth="gt")):
        problems |= {len(rows) + position: message for position, (_, message) in batch.problems.items()}
        rows += zip(batch.texts.to_pylist(), batch.ground_truths.to_pylist(), strict=True)
    return rows, problems


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.ndjson"])
def test_json_of_every_form_gives_the_rows(form: str, name: str) -> None:
    """Whatever its ending, what the file holds decides."""
    assert read(FORMS[form], name) == (VALUES, {})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be"])
@pytest.mark.parametrize("form", ["lines", "array, indented"])
def test_json_in_other_encodings_is_known_by_its_mark(form: str, encoding: str) -> None:
    """A byte order mark says what the encoding is."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    assert read((mark + FORMS[form]).encode(encoding)) == (VALUES, {})


@pytest.mark.parametrize("form", ["lines", "array"])
@pytest.mark.parametrize("compression", COMPRESSIONS, ids=SUFFIXES)
def test_json_compressed_is_known_by_its_first_bytes(compression: Any, form: str) -> None:
    """Also where the name says nothing, or two compressed files were put together."""
    data = compression.compress(FORMS[form].encode())
    assert read(data) == read(data, f"t.json{SUFFIXES[COMPRESSIONS.index(compression)]}") == (VALUES, {})
    assert read(data + compression.compress(f"\n{LINES[0]}\n".encode())) == ([*VALUES, VALUES[0]], {})


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.fixed_dictionaries({"ocr": st.text(st.sampled_from('ab "\\\n[]{},é\U0001f600')), "n": st.integers()}), min_size=1
    ),
    indent=st.sampled_from([None, 0, 2]),
    block=st.integers(1, 9),
)
def test_json_array_of_any_values_gives_the_rows(rows: list[dict[str, Any]], indent: int | None, block: int) -> None:
    """No value is lost, doubled or cut, wherever the blocks that are read end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_values, "_BLOCK_BYTES", block)
        found, problems = read(json.dumps([row | {"gt": str(row["n"])} for row in rows], indent=indent, ensure_ascii=False))
    assert (found, problems) == ([(row["ocr"], str(row["n"])) for row in rows], {})


@pytest.mark.parametrize("form", ["lines", "array, indented", "array, a line each", "objects, indented"])
def test_json_broken_value_is_one_problem(form: str) -> None:
    """The values around it are read, and the message names its line."""
    broken = FORMS[form].replace('"x2', '"x2\n', 1) if "indented" in form else FORMS[form].replace('"x2', "x2", 1)
    rows, problems = read(broken)
    assert (rows[0], rows[-1]) == (VALUES[0], VALUES[2])
    assert list(problems) == [1]
    assert "line " in problems[1]


@pytest.mark.parametrize("form", ["array", "array, indented", "array, a line each", "objects, indented", "lines"])
@pytest.mark.parametrize("cut", [1, 4, 30])
def test_json_cut_off_is_a_problem(form: str, cut: int) -> None:
    """Also where only the bracket is missing: nobody knows what came before it."""
    rows, problems = read(FORMS[form].rstrip()[:-cut])
    assert problems
    assert rows[0] == VALUES[0]


def test_json_array_broken_in_a_single_line_says_that_the_rest_is_lost() -> None:
    """There is no line to go on from."""
    rows, problems = read(FORMS["array"].replace('"x2', "x2", 1))
    assert rows == [VALUES[0], (None, None)]
    assert "from here on" in problems[1] or "not JSON" in problems[1]


def test_json_key_that_stands_twice_is_a_problem() -> None:
    """One of its values would be lost."""
    assert list(read('{"ocr": "a", "ocr": "b", "gt": "c"}\n{"ocr": "a", "gt": "say \\"ocr\\""}\n')[1]) == [0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ('{"data": [{"ocr": "a"}]}', ["a single JSON object", "data", "array of objects"]),
        ("[]", ["a JSON array", "no objects"]),
        ('["a", "b"]', ["a JSON array", "no objects"]),
        ('[{"text": "a"}]', ["a JSON array", "text"]),
        ('{"text": "a"}\n{"text": "b"}\n', ["JSON lines", "text"]),
    ],
)
def test_json_without_the_columns_is_called_what_it_is(data: str, words: list[str]) -> None:
    """The message says what form the file has, and what it holds."""
    problem = columns_problem(open_table(io.BytesIO(data.encode()), "t.json", TextEncoding()), ["ocr", "gt"])
    assert all(word in problem for word in ["ocr, gt", *words])


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.csv", "t.tsv"])
@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_table_without_anything_is_called_empty(name: str, data: bytes) -> None:
    """Packed or not, with a byte order mark or without."""
    with pytest.raises(RecordError, match="empty"):
        open_table(io.BytesIO(data), name, TextEncoding())


def test_table_that_cannot_be_decoded_names_no_key_that_a_verb_lacks() -> None:
    """`train` has no `input.encoding`; `restore` has."""
    for key, expected in (("", False), ("input.encoding", True)):
        with pytest.raises(RecordError) as caught:
            open_table(io.BytesIO(b"caf\xe9,ocr\n"), "t.csv", TextEncoding(key=key))
        assert ("input.encoding" in str(caught.value)) is expected


def test_json_in_a_folder_is_read_only_where_it_is_named(tmp_path: Path) -> None:
    """Folders of scans hold JSON that is no table."""
    (tmp_path / "a.json").write_text(FORMS["array"])
    (tmp_path / "b.jsonl").write_text(LINES[0])
    for path, count in ((tmp_path, 1), (tmp_path / "*", 1), (tmp_path / "*.json", 3), (tmp_path / "a.json", 3)):
        tables = list_records(InputConfig(paths=[str(path)], text_column="ocr"), images=False)
        assert sum(map(len, tables)) == count


def test_json_array_and_utf_16_are_not_cut_into_pieces(tmp_path: Path) -> None:
    """Only JSON lines that can be cut at their line ends are counted for pieces; the others are read whole."""
    for name, data, count in (
        ("a", FORMS["array, indented"].encode(), -1),
        ("b", FORMS["lines"].encode("utf-16"), -1),
        ("c", FORMS["lines"].encode(), 3),
    ):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(data)
        (found,) = next(Walk([str(path)]).batches({}))  # type: ignore[arg-type]
        assert count_rows((found, TextEncoding(), Piece(0, 1))) == count


def test_reader_of_training_data_takes_every_form(tmp_path: Path) -> None:
    """The same rows as `restore` reads; an empty cell is a missing text."""
    reader = Reader(PlainLayout((Column("source", "ocr"), Column("target", "gt"))))
    (tmp_path / "a.json").write_bytes(FORMS["array"].encode("utf-16"))
    (tmp_path / "b.csv").write_text("ocr,gt\nx,\n")
    assert [row["source"] for table in reader.read(str(tmp_path / "a.json"), 0) for row in table.to_pylist()] == [
        row[0] for row in VALUES
    ]
    assert [row["target"] for table in reader.read(str(tmp_path / "b.csv"), 0) for row in table.to_pylist()] == [None]


def test_table_columns_are_asked_for_by_the_verbs_own_key(tmp_path: Path) -> None:
    """A section other than `input` has other names for them, or none."""

    class OtherInput(InputConfig):
        KEYS: ClassVar = {"text_column": "noise.fit.ocr_column"}

    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    for kind, key in ((InputConfig, "input.text_column"), (OtherInput, "noise.fit.ocr_column")):
        with pytest.raises(ConfigError, match=key):
            list(list_records(kind(paths=[str(tmp_path / "t.csv")]), images=False))
