"""CSV and TSV of every dialect are read row by row; where quotation marks are wrong, no row is lost without a word."""

import csv
import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.errors import Problems
from ocrray.evaluation.inputs import System, SystemConfig
from ocrray.sources import text_files
from ocrray.sources.input import InputConfig
from ocrray.sources.streams import TextEncoding
from ocrray.sources.tables import csv_table as table_csv
from ocrray.sources.tables.columns import Columns
from ocrray.sources.tables.forms import columns_problem, open_table
from ocrray.sources.worklist import Listing, list_records
from ocrray.verbs.restore.config import RestoreConfig
from ocrray.verbs.restore.plan import make_plan

ROWS = [
    ("1", 'Tis "tbe" end', "a, b"),
    ("2", "two\nlines; here", ""),
    ("3", "plain", "it's, 'so'"),
    ("4", 'He said "no"', "x\ty|z"),
]
PROSE = st.lists(
    st.sampled_from(["the", '"Tis', 'he"', "he,", "7;", "a\tb", "it's", "\n", '"no"', "|", "é", "x"]), max_size=6
).map(" ".join)


def read(data: bytes | str, name: str = "t.csv", **columns: Any) -> tuple[list[tuple[str | None, ...]], dict[int, str]]:
    """The values of all columns by row, and the message of each problem by row."""
    table = open_table(io.BytesIO(data.encode() if isinstance(data, str) else data), name, TextEncoding())
    names = tuple(table.schema.names)
    rows: list[tuple[str | None, ...]] = []
    problems: dict[int, str] = {}
    for batch in table.batches(Columns(None, passthrough=names, **columns)):
        assert batch.numbers.tolist() == list(range(len(rows), len(rows) + len(batch.texts)))
        problems |= {len(rows) + position: message for position, (_, message) in batch.problems.items()}
        rows += zip(*(column.to_pylist() for column in batch.passthrough), strict=True)
    return rows, problems


def written(rows: list[tuple[str, ...]], **dialect: Any) -> str:
    """The rows below a header, by Python's module."""
    text = io.StringIO()
    csv.writer(text, **dialect).writerows([("id", "ocr", "gt"), *rows])
    return text.getvalue()


DIALECTS: dict[str, dict[str, Any]] = {
    "excel": {},
    "unix": {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"},
    "numbers": {"quoting": csv.QUOTE_NONNUMERIC},
    "tab": {"delimiter": "\t"},
    "semicolon": {"delimiter": ";"},
    "pipe": {"delimiter": "|", "lineterminator": "\n"},
    "single": {"quotechar": "'"},
    "escaped": {"doublequote": False, "escapechar": "\\"},
    "unquoted": {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_csv_of_every_dialect_gives_the_rows_written(dialect: str) -> None:
    """Quotation marks of both kinds, doubled and escaped ones, and five delimiters; values hold all of them, and line ends."""
    assert read(written(ROWS, **DIALECTS[dialect])) == (ROWS, {})


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(PROSE, PROSE), min_size=1, max_size=8),
    dialect=st.sampled_from(["excel", "unix", "numbers", "semicolon", "pipe"]),
    chunk=st.integers(1, 9),
)
def test_csv_of_any_text_gives_the_rows_written(rows: list[tuple[str, str]], dialect: str, chunk: int) -> None:
    """Nothing of what a standard writer wrote is lost, doubled or moved, wherever the blocks that are read end."""
    numbered = [(f"{(7 * number) % 10}-{number}", *row) for number, row in enumerate(rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_csv, "BATCH_ROWS", chunk)
        assert read(written(numbered, **DIALECTS[dialect])) == (numbered, {})


def test_csv_of_pandas_and_arrow_gives_the_rows_written() -> None:
    """Missing values are empty cells, which columns of answers take as missing."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, columns=["id", "ocr", "gt"]).replace("", None)
    expected = [(*row[:2], row[2] or None) for row in ROWS]
    arrow = io.BytesIO()
    pa.csv.write_csv(pa.Table.from_pandas(frame), arrow)
    for text in (frame.to_csv(index=False), frame.to_csv(index=False, quoting=csv.QUOTE_ALL), arrow.getvalue()):
        assert read(text, optional=frozenset({"gt"})) == (expected, {})


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("head", ["", "\ufeff", "\n\n", "sep=,\n", "\ufeffsep=,\n"])
def test_csv_line_ends_marks_and_blank_lines_are_no_rows(line_end: str, head: str) -> None:
    """A byte order mark, Excel's line with the delimiter, blank lines and the three line ends change nothing."""
    text = head + 'id,ocr\n1,one\n\n2,"two,"\n   \n'
    assert read(text.replace("\n", line_end)) == ([("1", "one"), ("2", "two,")], {})


UNCLOSED = [
    ("comma", '1,a,b\n2,"Tis tbe end,Tis the end\n3,c,d\n4,e,f\n'),
    ("needed elsewhere", '1,"a, b",b\n2,"Tis tbe end,Tis the end\n3,c,d\n4,"e,",f\n'),
    ("closed by a later row", '1,a,b\n2,"Tis tbe end,Tis the end\n3,c,d"\n4,e,f\n'),
    ("at the end", '1,a,b\n2,c,d\n3,e,f\n4,"Tis tbe end,g\n'),
    ("in the last column", '1,a,b\n2,c,"Tis the end\n3,c,d\n4,e,f\n'),
    ("tab", '1\ta\tb\n2\t"Tis tbe end\t"Tis the end\n3\tc\td"\n4\te\tf\n'),
    ("tab, whole rows", '1\ta\tb\n2\tc\t"Tis the end\n3\tc\td"\n4\te\tf\n'),
]


@pytest.mark.parametrize(("where", "body"), UNCLOSED)
def test_csv_unclosed_quotation_mark_swallows_no_row(where: str, body: str) -> None:
    """Each row stays a row of its own, with the mark as it stands."""
    is_tabbed = where.startswith("tab")
    rows, problems = read(("id\tocr\tgt\n" if is_tabbed else "id,ocr,gt\n") + body, "t.tsv" if is_tabbed else "t.csv")
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert not problems
    assert sum((row[1] or "").startswith('"Tis') or (row[2] or "").startswith('"Tis') for row in rows) == 1


def test_tsv_with_quotation_marks_as_text_keeps_them() -> None:
    """A line of dialogue in a table without quoting is the text with its marks, also where both stand in one value."""
    body = '1\t"Tis tbe end, faid he\t"Tis the end, said he\n2\tfire"\tfire"\n3\t"Yes."\t"Yes."\n'
    rows, problems = read("id\tocr\tgt\n" + body, "t.tsv")
    assert (rows, problems) == ([tuple(line.split("\t")) for line in body.splitlines()], {})


def test_csv_quotation_mark_that_is_never_closed_is_named_with_its_lines() -> None:
    """Where its line is no row by itself, one record fails, and says where the mark opened and what is lost with it."""
    rows, problems = read('id,ocr,gt\n1,"a, b",b\n2,"Tis, the, end,Tis\nof it\n3,c,d\n')
    assert [row[0] for row in rows] == ["1", None, "3"]
    assert list(problems) == [1]
    assert all(words in problems[1] for words in ("line 3", "never closed", "line 4"))


def test_csv_mark_inside_a_value_that_is_not_doubled_costs_nothing() -> None:
    """Rows of a quoted file with bare marks inside are read, with the marks around their values taken off."""
    body = '"1","He said "no" to her","x"\n"2","a "b", c","y"\n"3","fine","z"\n'
    assert read('"id","ocr","gt"\n' + body) == (
        [("1", 'He said "no" to her', "x"), ("2", 'a "b", c', "y"), ("3", "fine", "z")],
        {},
    )


def test_csv_of_spark_keeps_backslashes_that_escape_nothing() -> None:
    """In `\\"` the backslash goes, in `C:\\dir` it stays."""
    assert read('id,ocr\n1,"He said \\"no\\", C:\\dir"\n2,x\n')[0] == [("1", 'He said "no", C:\\dir'), ("2", "x")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2,b", "2 values in a table of 3 columns (line 3)"),
        ("2,b,c,d", "4 values"),
        ("2", "1 values"),
        ("id,ocr,gt", "header is repeated in line 3"),
    ],
)
def test_csv_ragged_and_repeated_rows_are_problems_with_their_line(row: str, message: str) -> None:
    """They are counted, and the rows around them are read; empty cells beyond the last column are nothing."""
    rows, problems = read(f"id,ocr,gt\n1,a,b\n{row}\n3,c,d,,\n")
    assert rows == [("1", "a", "b"), (None, None, None), ("3", "c", "d")]
    assert list(problems) == [1]
    assert message in problems[1]


def test_csv_repeated_header_names_matter_only_where_they_are_read() -> None:
    """A name that two columns have cannot be read; others beside them can."""
    table = open_table(io.BytesIO(b"id,ocr,gt,ocr\n1,a,b,c\n"), "t.csv", TextEncoding())
    assert columns_problem(table, ["id", "gt"]) == ""
    assert "ocr" in columns_problem(table, ["id", "ocr"])
    (batch,) = table.batches(Columns("gt"))
    assert batch.texts.to_pylist() == ["b"]


def test_csv_nul_bytes_and_carriage_returns_stay_in_their_row() -> None:
    """Neither ends a row, or the file."""
    assert read(b"id,ocr\n1,a\0b\n2,c\rd\n3,\0\n") == ([("1", "a\0b"), ("2", "c\rd"), ("3", "\0")], {})


@pytest.mark.parametrize("cell", ["", '""', "  ", "\\N"])
def test_csv_empty_cell_is_missing_where_none_may_stand(cell: str) -> None:
    """In columns of answers and truths a cell without text is none; in others it is what it is."""
    table = open_table(io.BytesIO(f"id,ocr,gt,out\n1,a,{cell},{cell}\n".encode()), "t.csv", TextEncoding())
    (batch,) = table.batches(Columns("ocr", None, "gt", ("out", "id"), optional=frozenset({"out"})))
    assert (batch.ground_truths.to_pylist(), batch.passthrough[0].to_pylist()) == ([None], [None])
    assert read("id,ocr\n1,\n") == ([("1", "")], {})


@pytest.mark.parametrize("seed", range(40))
def test_csv_damaged_by_one_quotation_mark_merges_no_rows(seed: int) -> None:
    """A mark taken away or put in anywhere: every row is found alone, or a problem says that it is lost; at most one is."""
    rng = random.Random(seed)
    words = ["the", '"Tis', 'he"', "he,", "\n", '"no"', "x"]
    rows = [
        (str(i), *(f"{name}{i}{name} " + " ".join(rng.choices(words, k=rng.randint(0, 5))) for name in "tu")) for i in range(9)
    ]
    text = written(rows, **DIALECTS[rng.choice(["excel", "unix", "tab", "semicolon"])])
    tokens = [f"t{i}t" for i in range(9)]
    place = rng.choice([i for i, letter in enumerate(text) if i > 15 and letter in '", '])
    damaged = text[:place] + text[place + 1 :] if text[place] == '"' else f'{text[:place]}"{text[place:]}'
    found, problems = read(damaged)
    in_rows = [[token for token in tokens if any(token in (value or "") for value in row)] for row in found]
    assert max(map(len, in_rows)) <= 1
    assert len({token for row in in_rows for token in row}) >= 9 - bool(problems)


def test_csv_mark_in_a_large_file_is_looked_for_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that nothing closes holds up some megabytes of rows, not the file."""
    monkeypatch.setattr("ocrray.sources.tables.csv_rows.MAX_LINE_BYTES", 20_000)
    monkeypatch.setattr(text_files, "_BLOCK_BYTES", 4096)
    rows = [f"{number},some text of a row,truth" for number in range(20_000)]
    rows[0], rows[7_000] = '0,"a, b",c', '7000,"Tis tbe end,Tis'
    found, problems = read("id,ocr,gt\n" + "\n".join(rows))
    assert (len(found), found[7_000], problems) == (20_000, ("7000", '"Tis tbe end', "Tis"), {})


def test_csv_rows_and_lines_are_counted(tmp_path: Path) -> None:
    """The listing says how many rows stand in how many lines, blank ones and the header left out, and which rows are unclear."""
    (tmp_path / "a.csv").write_text('id,ocr,gt\n\n1,"a\nb",c\n\n2,"x,y\nz,u",v\n3,d,e\n')
    (tmp_path / "b.jsonl").write_text('{"ocr": "a"}\n')
    listing = Listing()
    config = InputConfig(paths=[str(tmp_path)], text_column="ocr")
    assert sum(map(len, list_records(config, images=False, listing=listing))) == 4
    assert (listing.table_rows, listing.table_lines) == (3, 5)
    assert len(listing.unclear) == 1
    assert "lines 6 to 7" in listing.unclear[0]
    assert listing.tables.startswith("3 rows in 5 lines")


def test_given_corrections_that_are_empty_cells_leave_the_text(tmp_path: Path) -> None:
    """`engine: given` takes an empty cell of a CSV as no correction, and not as one that deletes the text; evaluate too."""
    (tmp_path / "t.csv").write_text("ocr,gt,out\nAt tbe end,At the end,\nHe,He,He\n...,...,\n")
    tables = list_records(InputConfig(paths=[str(tmp_path / "t.csv")], passthrough=["out"]).with_answers(["out"]), images=False)
    assert [row["out"] for table in tables for row in table.to_pylist()] == [None, "He", None]
    columns = {"raw_column": "ocr", "corrected_column": "out", "ground_truth_column": "gt"}
    (batch,) = System(SystemConfig(paths=[str(tmp_path / "t.csv")], **columns), "input").batches()
    assert batch.corrected == [None, "He", None]


@pytest.mark.parametrize("engine", [{"engine": "given", "column": "out"}])
def test_restore_plan_says_which_column_holds_answers(tmp_path: Path, engine: dict[str, Any]) -> None:
    """The reader learns it from the plan, whose config is written down as it was."""
    (tmp_path / "t.csv").write_text("ocr,out\na,\n")
    config = RestoreConfig(input={"paths": [str(tmp_path / "t.csv")]}, correct=engine, output={"path": str(tmp_path / "out")})
    plan = make_plan(config, None, Problems(), dry_run=True)
    assert plan.config.input.answers == {"out"}
    assert ("input: CSV and TSV", "1 rows in 1 lines") in plan.rows()
