"""Columns of a batch replaced, and the columns that exist only during a run."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.engines.base import EngineInfo
from ocrray.records import RUN_COLUMNS, schema_for

CORRECTOR_COLUMNS = ("corrector", "model", "model_revision", "adapter", "prompt_version")


def corrector_columns(info: EngineInfo) -> dict[str, str]:
    """Return the values of CORRECTOR_COLUMNS, which identify the engine that corrected a row."""
    return dict(zip(CORRECTOR_COLUMNS, (info.engine, info.model, info.revision, info.adapter, info.prompt_version), strict=True))


def with_columns(table: pa.Table, columns: Mapping[str, Any] | pa.Table) -> pa.Table:
    """Return `table` with some columns replaced (by Arrow arrays or Python lists), each in its place and of its old type."""
    for name in columns if isinstance(columns, Mapping) else columns.column_names:
        values = columns[name]
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(values, field.type)
        table = table.set_column(index, field, values.cast(field.type))
    return table


def scatter(table: pa.Table, mask: pa.ChunkedArray, results: pa.Table) -> pa.Table:
    """Return `table` with the columns of `results` in the rows where `mask` is true; `results` has one row for each of these."""
    if isinstance(mask, pa.ChunkedArray):
        mask = mask.combine_chunks()
    positions = pc.subtract(pc.cumulative_sum(mask.cast(pa.int32())), 1)
    rows = pc.if_else(mask, positions, pa.scalar(None, pa.int32()))
    columns = {}
    for name in results.column_names:
        column = results[name].cast(table.schema.field(name).type)
        columns[name] = pc.if_else(mask, column.combine_chunks().take(rows), table[name].combine_chunks())
    return with_columns(table, columns)


def lists_array(lists: Mapping[int, Sequence[Any]], length: int, data_type: pa.DataType) -> pa.Array:
    """Return a column of lists that has `lists` at their rows and empty lists elsewhere: without a Python object for each row."""
    rows = sorted(lists)
    lengths = np.zeros(length + 1, dtype=np.int32)
    lengths[[row + 1 for row in rows]] = [len(lists[row]) for row in rows]
    values = pa.array(chain.from_iterable(lists[row] for row in rows), data_type.value_type)
    return pa.ListArray.from_arrays(pa.array(np.cumsum(lengths, dtype=np.int32)), values, data_type)


def add_run_columns(table: pa.Table) -> pa.Table:
    """Append the columns that stages hand to each other during a run, without values."""
    for column in RUN_COLUMNS:
        table = table.append_column(pa.field(column.name, column.type), pa.nulls(len(table), column.type))
    return table


def to_corpus_schema(table: pa.Table) -> pa.Table:
    """Drop the columns of the run and cast the others to the schema of the corpus; passthrough columns come last."""
    table = table.drop_columns([column.name for column in RUN_COLUMNS])
    corpus = schema_for(table.schema.field("fields").type)
    passthrough = [field for field in table.schema if field.name not in corpus.names]
    return table.cast(pa.schema([*corpus, *passthrough], metadata=corpus.metadata))
