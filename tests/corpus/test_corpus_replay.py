"""Records are chosen by their outcome, processed again, and exchanged in the data files of their blocks."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrray.corpus.blocks import read_block, read_footer
from ocrray.corpus.commits import Exchange, NewFile, exchange
from ocrray.corpus.replay import Chosen, Selection
from ocrray.corpus.summary import Summary
from ocrray.records import SCHEMA
from ocrray.storage import Location


def corpus_rows(*outcomes: dict[str, Any]) -> pa.Table:
    """Rows of a corpus with these values, and ids `r0`, `r1`, ..."""
    return pa.Table.from_pylist([{"record_id": f"r{i}", **outcome} for i, outcome in enumerate(outcomes)], schema=SCHEMA)


CORRECTED = {"status": "corrected", "raw_text": "tbe", "corrected_text": "the", "warnings": ["text_not_read"]}
MISSING = {"status": "failed", "failed_stage": "load", "error_kind": "missing", "error": "x: no such file"}
TOO_LARGE = {"status": "failed", "failed_stage": "load", "error_kind": "too_large", "error": "x: too large"}
KEPT = {"status": "kept_raw", "raw_text": "tbe", "corrected_text": "tbe", "guard_reason": "length"}
ROWS = corpus_rows(CORRECTED, MISSING, TOO_LARGE, KEPT)


def test_selection_transient_pages_that_a_server_did_not_read_are_read_again():
    """The server may be there again; a page that Tesseract was not done with, or that loops, is what it is."""
    kinds = ["connection_lost", "http_503", "missing", "timeout", "loop", "unfinished", "http_422", "too_long"]
    rows = corpus_rows(*({"status": "failed", "error_kind": kind} for kind in kinds))

    assert rows.filter(Selection.transient().mask(rows))["error_kind"].to_pylist() == kinds[:3]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (["failed"], ["r1", "r2"]),
        (["missing"], ["r1"]),
        (["error_kind=too_large", "kept_raw"], ["r2", "r3"]),
        (["guard_reason=length"], ["r3"]),
        (["failed_stage=load", "missing"], ["r1", "r2"]),
        (["warnings=text_not_read"], ["r0"]),
        (["warnings=no_text"], []),
        (["no_such_kind"], []),
    ],
)
def test_selection_of_terms_chooses_rows_and_counts_them(tmp_path: Path, terms: list[str], expected: list[str]):
    """A status, a kind of error or COLUMN=VALUE; the statistics of a block say how many there are without its rows."""
    selection = Selection.parse(terms)
    output = Location.at(tmp_path)
    NewFile(output)(0, ROWS)
    work = pa.table({"record_id": [f"r{i}" for i in range(4)], "uri": [f"file-{i}" for i in range(4)]})

    chosen = Chosen(output.child("data"), selection)(0, work)

    assert chosen["record_id"].to_pylist() == expected
    assert chosen["uri"].to_pylist() == [f"file-{name[1:]}" for name in expected]
    count = selection.count(Summary.of_block("part-000000.parquet", ROWS))
    assert bool(count) == bool(expected)
    assert count >= len(expected)


@pytest.mark.parametrize("term", ["raw_text=a", "status=", "=failed"])
def test_selection_of_an_unknown_column_or_no_value_is_refused(term: str):
    """The message says what can be written."""
    with pytest.raises(ValueError, match="COLUMN=VALUE"):
        Selection.parse([term])


def test_exchange_new_rows_stand_in_the_places_of_the_old():
    """The order stays, the others stay, and what was replaced is returned."""
    fixed = {"status": "unchanged", "raw_text": "ok", "corrected_text": "ok"}
    new = pa.Table.from_pylist([{"record_id": "r3", **CORRECTED}, {"record_id": "r1", **fixed}], schema=SCHEMA)

    merged, replaced = exchange(ROWS, new)

    assert merged.equals(corpus_rows(CORRECTED, fixed, TOO_LARGE, CORRECTED))
    assert sorted(replaced["record_id"].to_pylist()) == ["r1", "r3"]
    assert set(replaced["status"].to_pylist()) == {"failed", "kept_raw"}


def test_exchange_row_that_failed_again_for_the_same_reason_is_kept():
    """Only the message differs, so nothing was gained that the history should tell; another reason replaces it."""
    again = {**MISSING, "error": "x: no such file, tried again"}
    new = pa.Table.from_pylist([{"record_id": "r1", **again}, {"record_id": "r2", **MISSING}], schema=SCHEMA)

    merged, replaced = exchange(ROWS, new)

    assert merged.equals(corpus_rows(CORRECTED, MISSING, MISSING, KEPT))
    assert replaced["record_id"].to_pylist() == ["r2"]


def test_exchange_commit_rewrites_the_file_once_a_pass_and_keeps_the_history(tmp_path: Path):
    """A task that is retried after its commit finds the file of its pass, and leaves file and history alone."""
    output = Location.at(tmp_path)
    NewFile(output)(7, ROWS)
    new = pa.Table.from_pylist([{"record_id": "r1", **CORRECTED}], schema=SCHEMA)

    footer = Exchange(output, pass_number=1)(7, new)
    retried = Exchange(output, pass_number=1)(7, new.slice(0, 0))

    assert retried == footer == read_footer(output.child("data"), 7)
    assert (footer.pass_number, footer.rows, footer.processed) == (1, 4, 1)
    assert Summary.from_json(footer.statistics).status == {"corrected": 2, "failed": 1, "kept_raw": 1}
    merged = read_block(output.child("data"), 7)
    assert merged.equals(corpus_rows(CORRECTED, CORRECTED, TOO_LARGE, KEPT))
    assert merged.schema.metadata == SCHEMA.metadata
    assert pq.read_table(tmp_path / "history" / "001" / "part-000007.parquet")["error_kind"].to_pylist() == ["missing"]


def test_exchange_commit_of_no_rows_leaves_the_rows_and_records_the_pass(tmp_path: Path):
    """Statistics may promise a row that another pass has redone since."""
    output = Location.at(tmp_path)
    NewFile(output)(0, ROWS)

    footer = Exchange(output, pass_number=1)(0, ROWS.slice(0, 0))

    assert (footer.pass_number, footer.processed) == (1, 0)
    assert read_block(output.child("data"), 0).equals(ROWS)
    assert not (tmp_path / "history").exists()
