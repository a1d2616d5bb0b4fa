"""Parquet tables, read in batches of bounded size."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ocrray.sources.rows import Problems, Texts
from ocrray.sources.streams import TextEncoding
from ocrray.sources.tables.columns import BATCH_ROWS, BROKEN_TABLE, Columns, broken_from, reason_of, to_strings, to_texts
from ocrray.sources.text_files import WHOLE, Piece

_BATCH_BYTES = 1 << 25


class ParquetTable:
    """Parquet; passthrough columns keep their types, with dictionaries decoded."""

    form = "Parquet"

    def __init__(self, stream: BinaryIO, piece: Piece = WHOLE) -> None:
        self._file = pq.ParquetFile(stream, pre_buffer=False)
        groups = self._file.num_row_groups
        self._row_groups = range(groups * piece.index // piece.count, groups * (piece.index + 1) // piece.count)
        fields = self._file.schema_arrow
        self.repeated = frozenset(name for name in fields.names if fields.names.count(name) > 1)
        self.schema = pa.schema([(field.name, _plain_type(field.type)) for field in fields])

    def batches(self, columns: Columns) -> Iterator[Texts]:
        metadata = self._file.metadata
        number = sum(metadata.row_group(i).num_rows for i in range(self._row_groups.start))
        try:
            for batch in self._file.iter_batches(self._batch_rows(), row_groups=list(self._row_groups), columns=columns.all):
                yield self._texts(batch, number, columns)
                number += len(batch)
        except BROKEN_TABLE as err:
            yield broken_from(number, columns, reason_of(err))

    def _texts(self, batch: pa.RecordBatch, first: int, columns: Columns) -> Texts:
        arrays = {name: batch.column(name).cast(self.schema.field(name).type) for name in columns.all}
        strings: dict[str, pa.Array] = {}
        problems: Problems = {}
        for name, array in arrays.items():
            if name in (columns.text, columns.id, columns.ground_truth, *columns.strings) or array.type == pa.string():
                strings[name], undecodable = _as_strings(array)
                problems |= undecodable
        texts = to_texts(np.arange(first, first + len(batch)), arrays | strings, columns, problems)
        checked = {name for name, array in arrays.items() if name in columns.strings or array.type == pa.string()}
        texts.passthrough = [(strings if name in checked else arrays)[name] for name in columns.passthrough]
        return texts

    def _batch_rows(self) -> int:
        metadata = self._file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        row_bytes = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1)
        return int(min(BATCH_ROWS, max(1, _BATCH_BYTES / max(1, row_bytes))))


def is_text(kind: pa.DataType) -> bool:
    """Return True if a column of this type can hold texts."""
    return kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.null())


def _as_strings(array: pa.Array) -> tuple[pa.Array, Problems]:
    """Return a column as valid UTF-8 strings, which the file does not guarantee."""
    if not is_text(array.type):
        return array.cast(pa.string()), {}
    octets = array.cast(pa.binary())
    try:
        return octets.cast(pa.string()), {}
    except pa.ArrowInvalid:
        values = octets.to_pylist()
        decoded = [None if value is None else value.decode(errors="surrogateescape") for value in values]
        return to_strings(decoded, TextEncoding())


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
