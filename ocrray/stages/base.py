"""Contract of a stage: one table of rows in, the same rows out, with only the declared columns changed.

A stage declares the columns that it reads and writes and maps the rows it selects to results. The base class hands it those rows
alone, checks that there is one result for each of them in the same order, and puts the results into their columns.
"""

import time
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import EngineError, OcrrayError, RecordError, StoreError
from ocrray.records import TRANSIENT_KINDS, Status
from ocrray.stages.tables import scatter, with_columns

ResultT = TypeVar("ResultT")

CountAttempt = Callable[[str], int]
"""Counts one more attempt at the record of this id and returns how many there were, across restarts of the process."""

_KEYS = ("record_id", "source_uri")
_FAILURE = ("status", "failed_stage", "error_kind", "error")
_NAMED_IDS = 3
_MAX_DOUBTS = 50
_doubts = [0]  # of this process, whatever blocks it is given


class StageError(OcrrayError):
    """A stage broke its contract, which is a bug: the run must end, because its corpus would lose or mix up records."""


class Stage(ABC):
    """One step from the work list to the corpus, called with one block of rows at a time.

    `reads` and `writes` name columns; an instance may extend them by a column that its config names. The columns of a failure
    (`status`, `failed_stage`, `error_kind`, `error`) may always be written.
    """

    name: str
    """Value of `failed_stage`, and the name in messages."""
    reads: Sequence[str]
    writes: Sequence[str]

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return `table` with the results of the selected rows in their columns.

        Raises:
            StageError: when there is not one result for each selected row in the same order, or a column was not declared.
        """
        selected = self.select(table)
        count = pc.sum(selected).as_py() or 0
        if not count:
            return table
        names = dict.fromkeys([*_KEYS, *self.reads, *self.writes, *_FAILURE])
        rows = table.select(list(names))
        everything = count == len(table)
        results = self.process(rows if everything else rows.filter(selected))
        self._require_declared(results.column_names)
        expected = table["record_id"] if everything else table["record_id"].filter(selected)
        self._require_same_ids(expected, results["record_id"])
        written = results.drop_columns([name for name in results.column_names if name in _KEYS])
        return with_columns(table, written) if everything else scatter(table, selected, written)

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Return for every row (bool, without nulls) whether this stage processes it; by default each row without a status."""
        return pc.is_null(table["status"])

    @abstractmethod
    def process(self, rows: pa.Table) -> pa.Table:
        """Return one result a row: `record_id` and some of `writes`.

        `rows` has at least one row, and the columns `record_id`, `source_uri`, `reads`, `writes` and those of a failure.
        """

    def _require_declared(self, names: Iterable[str]) -> None:
        undeclared = sorted(set(names) - {*_KEYS, *self.writes, *_FAILURE})
        if undeclared:
            raise StageError(f"stage {self.name} writes columns that it does not declare: {', '.join(undeclared)}")

    def _require_same_ids(self, expected: pa.ChunkedArray, ids: pa.ChunkedArray) -> None:
        if ids.equals(expected):
            return
        before, after = Counter(expected.to_pylist()), Counter(ids.to_pylist())
        missing, surplus = list(before - after), list(after - before)
        problems = [
            f"{fault} {len(found):,} ({', '.join(map(str, found[:_NAMED_IDS]))})"
            for fault, found in (("lost", missing), ("added or repeated", surplus))
            if found
        ]
        raise StageError(f"stage {self.name} changed the records of a block: {' and '.join(problems) or 'reordered them'}")


class RowStage(Stage):
    """Stage that processes one row after the other; an error of one row becomes its failure and leaves the others alone."""

    seconds_column: str | None = None
    """Column of `writes` that gets the time spent on each row."""
    cleared_on_failure: Sequence[str] = ()
    """Columns of `writes` that become null where a row fails, because their old value is no result."""

    @abstractmethod
    def process_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return new values of `writes`; a column that is left out keeps its value.

        `row` has `record_id`, `source_uri` and the columns of `reads`.

        Raises:
            RecordError: when this row cannot be processed.
            EngineError, StoreError: when no row can be.
        """

    def row_values(self, rows: pa.Table) -> Iterable[Mapping[str, Any]]:
        """Convert rows for `process_row`."""
        values: list[dict[str, Any]] = rows.select(list(dict.fromkeys([*_KEYS, *self.reads]))).to_pylist()
        return values

    def process(self, rows: pa.Table) -> pa.Table:
        """Return the results of `process_row`, and for rows that failed the reason beside their old values."""
        results: dict[str, list[Any]] = {name: [] for name in ("record_id", *self.writes)}
        failures: dict[int, RecordError] = {}
        for number, row in enumerate(self.row_values(rows)):
            started = time.perf_counter()
            outcome = attempt(partial(self.process_row, row), row["source_uri"] or row["record_id"])
            spent_s = time.perf_counter() - started
            if isinstance(outcome, RecordError):
                failures[number] = outcome
                outcome = dict.fromkeys(self.cleared_on_failure)
            self._require_declared(outcome)
            if self.seconds_column:
                outcome = {**outcome, self.seconds_column: spent_s}
            results["record_id"].append(row["record_id"])
            for name in self.writes:
                results[name].append(outcome[name] if name in outcome else rows[name][number].as_py())
        return table_of(rows, {**results, **self._failure_columns(failures, rows, results)})

    def _failure_columns(
        self, failures: Mapping[int, RecordError], rows: pa.Table, results: Mapping[str, list[Any]]
    ) -> dict[str, list[Any]]:
        if not failures:
            return {}
        columns = {name: results[name] if name in results else rows[name].to_pylist() for name in _FAILURE}
        for number, error in failures.items():
            for name, value in failed(self.name, error).items():
                columns[name][number] = value
        return columns


def failed(stage: str, error: RecordError) -> dict[str, str]:
    """Return the values of the columns of a failure."""
    status: Status = "failed"
    return dict(zip(_FAILURE, (status, stage, error.kind, str(error)), strict=True))


def table_of(rows: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """Build a table from lists, Arrow arrays and single values (strings, null), in the types of `rows`' columns.

    `record_id` is that of `rows` unless given.
    """
    built = {}
    for name, values in {"record_id": rows["record_id"], **columns}.items():
        data_type = rows.schema.field(name).type
        if values is None:
            built[name] = pa.nulls(len(rows), data_type)
        elif isinstance(values, str):
            built[name] = pa.repeat(pa.scalar(values, data_type), len(rows))
        else:
            built[name] = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, data_type)
    return pa.table(built)


def attempt(work: Callable[[], ResultT], where: str) -> ResultT | RecordError:
    """Return the result of `work`, or the error with which its record fails; its message names `where` (a URI).

    This is the only place that turns every exception into a failed record: a bug that one page triggers must not end a run of
    millions.

    Raises:
        EngineError, StoreError: when `work` raises it; with a broken engine or store every record would fail.
        StoreError: also where too many records in a row cannot be read.
    """
    try:
        result = work()
    except RecordError as error:
        _doubt_store(error)
        return located(error, where)
    except (EngineError, StoreError):
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{where}: {type(error).__name__}: {error} ({frame.filename}:{frame.lineno}); a bug in ocrray, please report it"
        return RecordError(" ".join(message.split()), kind="internal_error")
    _doubts[0] = 0
    return result


def located(error: RecordError, where: str) -> RecordError:
    """Return the error with `where` (a URI) in its message."""
    return error if where in str(error) else RecordError(f"{where}: {error}", kind=error.kind)


def _doubt_store(error: RecordError) -> None:
    """Count the records in a row that this process could not read; with too many, the store is at fault and not the records."""
    _doubts[0] = _doubts[0] + 1 if error.kind in TRANSIENT_KINDS else 0
    if _doubts[0] >= _MAX_DOUBTS:
        _doubts[0] = 0
        raise StoreError(
            f"{_MAX_DOUBTS} records in a row cannot be read, the last: {error}. Is the disk or store in order? If these "
            "files are gone for good, have the input listed again: --set update=true"
        )
