"""Contract of a stage: rows in = rows out, declared columns only, and one record's error is its own."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.errors import EngineError, RecordError, StoreError
from ocrray.records import SCHEMA, TRANSIENT_KINDS
from ocrray.stages.base import RowStage, Stage, StageError
from ocrray.stages.tables import add_run_columns, scatter, to_corpus_schema


def rows_of(*texts: str | None) -> pa.Table:
    """Rows of these texts under way; None is a row that failed before."""
    columns = {
        "record_id": [f"r{number}" for number in range(len(texts))],
        "source_uri": ["/a"] * len(texts),
        "raw_text": list(texts),
        "status": [None if text is not None else "failed" for text in texts],
    }
    rows = pa.table({field.name: pa.array(columns.get(field.name, [None] * len(texts)), field.type) for field in SCHEMA})
    return add_run_columns(rows)


class Tamper(Stage):
    """Columnar stage that writes the corrected text, after `tamper` has changed its results."""

    name = "tamper"
    reads = ("raw_text",)
    writes = ("corrected_text",)

    def __init__(self, tamper: Callable[[pa.Table], pa.Table] = lambda results: results) -> None:
        self.tamper = tamper

    def process(self, rows: pa.Table) -> pa.Table:
        results = pa.table({"record_id": rows["record_id"], "corrected_text": pc.utf8_upper(rows["raw_text"])})
        return self.tamper(results)


class Double(RowStage):
    """Row stage that trips over some texts."""

    name = "double"
    reads = ("raw_text", "model")
    writes = ("corrected_text", "model", "correct_s")
    seconds_column = "correct_s"

    def process_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        text = row["raw_text"]
        if text == "bad":
            raise RecordError("no good", kind="bad_text")
        if text == "bug":
            raise ZeroDivisionError("oops")
        if text == "broken":
            raise EngineError("out of order")
        if text == "smuggle":
            return {"ground_truth": "x"}
        return {"corrected_text": text * 2}


def test_stage_rows_under_way_get_results_and_others_stay():
    """Results are put into the selected rows, whatever lies between them; no other column changes."""
    table = rows_of("a", None, "b", None)

    result = Tamper()(table)

    assert result["corrected_text"].to_pylist() == ["A", None, "B", None]
    assert result.drop_columns("corrected_text") == table.drop_columns("corrected_text")


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda results: results.slice(1), r"lost 1 \(r0\)"),
        (lambda results: results.slice(0, 0), r"lost 3 \(r0, r2, r3\)"),
        (lambda results: pa.concat_tables([results, results.slice(0, 1)]), r"added or repeated 1 \(r0\)"),
        (lambda results: results.take([0, 0, 2]), r"lost 1 \(r2\) and added or repeated 1 \(r0\)"),
        (lambda results: results.take([1, 0, 2]), "reordered"),
        (lambda results: results.append_column("ground_truth", results["corrected_text"]), "does not declare: ground_truth"),
        (lambda results: results.append_column("invented", results["corrected_text"]), "does not declare: invented"),
    ],
    ids=["loses one", "loses all", "repeats one", "replaces one", "reorders", "undeclared column", "unknown column"],
)
def test_stage_that_breaks_the_contract_is_caught_by_name(tamper: Callable[[pa.Table], pa.Table], message: str):
    """A stage that loses, repeats or reorders rows, or writes a column that it does not declare, ends the run."""
    with pytest.raises(StageError, match=rf"stage tamper .*{message}"):
        Tamper(tamper)(rows_of("a", None, "b", "c"))


def test_row_stage_undeclared_column_is_caught_by_name():
    """The same holds for the values of one row, which must not become that row's failure."""
    with pytest.raises(StageError, match=r"stage double .*ground_truth"):
        Double()(rows_of("a", "smuggle"))


def test_row_stage_error_of_one_row_fails_that_row_only():
    """A foreseen error and a bug become failures with their kinds; failed rows keep their old values, and their time counts."""
    table = rows_of("a", "bad", None, "bug", "b")
    table = table.set_column(table.schema.get_field_index("model"), "model", pa.array(["m"] * 5))

    rows = Double()(table).to_pylist()

    assert [row["corrected_text"] for row in rows] == ["aa", None, None, None, "bb"]
    assert [row["status"] for row in rows] == [None, "failed", "failed", "failed", None]
    assert [row["error_kind"] for row in rows] == [None, "bad_text", None, "internal_error", None]
    assert [row["failed_stage"] for row in rows] == [None, "double", None, "double", None]
    assert rows[1]["error"] == "/a: no good"
    assert "ZeroDivisionError: oops" in rows[3]["error"]
    assert [row["model"] for row in rows] == ["m"] * 5
    assert [row["correct_s"] is not None for row in rows] == [True, True, False, True, True]


def test_row_stage_engine_error_ends_the_run():
    """With a broken engine every record would fail, so the error passes."""
    with pytest.raises(EngineError):
        Double()(rows_of("a", "broken"))


class Reading(RowStage):
    """Row stage that reads a file for each row, whose text is the kind of error, if any, that this meets."""

    name = "reading"
    reads = ("raw_text",)
    writes = ("corrected_text",)

    def process_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if row["raw_text"] == "store":
            raise StoreError("s3://bucket is away")
        if row["raw_text"] != "fine":
            raise RecordError("gone", kind=row["raw_text"])
        return {}


def test_row_stage_store_error_ends_the_run():
    """With a store that is away every record would fail."""
    with pytest.raises(StoreError):
        Reading()(rows_of("fine", "store"))


@pytest.mark.parametrize("kind", sorted(TRANSIENT_KINDS))
def test_row_stage_many_files_in_a_row_that_cannot_be_read_end_the_run(kind: str):
    """So many at once are no faults of records, in whatever blocks they come: nothing of the last block is committed."""
    Reading()(rows_of("fine", *[kind] * 30))
    with pytest.raises(StoreError, match="50 records in a row cannot be read, the last: gone"):
        Reading()(rows_of(*[kind] * 30))


def test_row_stage_files_that_cannot_be_read_here_and_there_are_failures():
    """One that can be read in between shows that the store is there, and broken contents say nothing about it."""
    rows = Reading()(rows_of(*[*["missing"] * 40, "fine"] * 3, *["truncated"] * 100))

    assert rows["status"].null_count == 3
    assert rows["error_kind"].to_pylist().count("missing") == 120


def test_stage_nothing_selected_is_not_called():
    """A block without rows under way passes as it is."""
    table = rows_of(None, None)

    assert Tamper(lambda _: pytest.fail("called"))(table) is table


@given(st.lists(st.tuples(st.booleans(), st.none() | st.lists(st.integers(0, 9)))))
def test_scatter_any_mask_replaces_the_masked_values_only(rows: list[tuple[bool, list[int] | None]]):
    """Nested values and nulls land in their rows."""
    mask = pa.chunked_array([[selected for selected, _ in rows]], pa.bool_())
    values = pa.list_(pa.int64())
    table = pa.table({"x": pa.array([[-1]] * len(rows), values)})
    results = pa.table({"x": pa.array([value for selected, value in rows if selected], values)})

    scattered = scatter(table, mask, results)["x"].to_pylist()

    assert scattered == [value if selected else [-1] for selected, value in rows]


def test_to_corpus_schema_drops_the_columns_of_the_run_and_keeps_passthrough():
    """A written corpus has the columns of the schema, then the user's."""
    table = rows_of("a").append_column("year", pa.array([1871]))

    written = to_corpus_schema(table)

    assert written.schema.names == [*SCHEMA.names, "year"]
    assert written.schema.metadata == SCHEMA.metadata
