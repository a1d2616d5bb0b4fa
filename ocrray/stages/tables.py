"""Working on a batch: a `pyarrow.Table` with `records.SCHEMA`, where a null status means that the row is still under way."""

import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import EngineError, RecordError
from ocrray.records import Status

ResultT = TypeVar("ResultT")


def with_columns(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """`table` with some of its columns replaced (by Arrow arrays or Python lists), each in its place and of its old type."""
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(values, field.type)
        table = table.set_column(index, field, values)
    return table


def constant(table: pa.Table, name: str, value: Any) -> pa.Array:
    """One value for every row, in the type of column `name`; no value is null."""
    data_type = table.schema.field(name).type
    return pa.nulls(len(table), data_type) if value is None else pa.repeat(pa.scalar(value, data_type), len(table))


def under_way(table: pa.Table) -> list[int]:
    """The positions of the rows that no stage has finished yet."""
    return pc.indices_nonzero(pc.is_null(table["status"])).to_pylist()


def with_failures(table: pa.Table, stage: str, failures: Mapping[int, RecordError]) -> pa.Table:
    """`table` with the rows at these positions marked as failed in `stage`, each with its kind and message."""
    if not failures:
        return table
    failed: Status = "failed"
    columns = {name: table[name].to_pylist() for name in ("status", "failed_stage", "error_kind", "error")}
    for position, error in failures.items():
        for name, value in zip(columns, (failed, stage, error.kind, str(error)), strict=True):
            columns[name][position] = value
    return with_columns(table, columns)


def attempt(work: Callable[[], ResultT], where: str) -> ResultT | RecordError:
    """The result of `work`, or the error that its record fails with, which says `where` (a URI).

    This is the one boundary that turns any exception into a failed record: a page that trips over a bug must not end a run
    of millions. An EngineError passes: with a broken engine every record would fail.
    """
    try:
        return work()
    except RecordError as error:
        return error if where in str(error) else RecordError(f"{where}: {error}", kind=error.kind)
    except EngineError:
        raise
    except Exception as error:
        bug = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{where}: {type(error).__name__}: {error} ({bug.filename}:{bug.lineno}); a bug in ocrray, please report it"
        return RecordError(" ".join(message.split()), kind="internal_error")
