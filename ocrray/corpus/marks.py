"""Marks that an update leaves on rows of the corpus: what is still to be done with them."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.blocks import UpdateState
from ocrray.storage import Location

REDO, GONE, BACK = 1, 2, 3
"""To be processed again, gone from the input, or there again as it was."""

SCHEMA = pa.schema([("block", pa.int32()), ("position", pa.int32()), ("mark", pa.int8())])


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks of one update, by the number of the block and the row's position in it."""

    work_list: Location
    state: UpdateState

    @property
    def table(self) -> pa.Table:
        """All marks."""
        path = self.work_list.child(_name(self.state.version)).path
        return pq.read_table(path, filesystem=self.work_list.filesystem, schema=SCHEMA)

    def rows_to_redo(self, number: int, work: pa.Table) -> pa.Table:
        """Return the rows of a block of the work list that are to be processed again."""
        if self.state.redo_all:
            return work.filter(pc.invert(work["gone"]))
        marks = self._of(number)
        return work.take(marks["position"].filter(pc.equal(marks["mark"], REDO)))

    def apply(self, number: int, rows: pa.Table) -> pa.Table:
        """Return the rows of a block of the corpus with the column `gone` as it is marked."""
        marks = self._of(number)
        if not len(marks):
            return rows
        gone = rows["gone"].to_numpy().astype(bool)  # a copy
        gone[marks["position"].to_numpy()] = marks["mark"].to_numpy() == GONE
        index = rows.schema.get_field_index("gone")
        return rows.set_column(index, rows.schema.field(index), pa.array(gone))

    def save(self, table: pa.Table) -> None:
        """Write all marks."""
        sink = pa.BufferOutputStream()
        pq.write_table(table.cast(SCHEMA), sink, compression="zstd", row_group_size=1 << 16)
        self.work_list.write_bytes(_name(self.state.version), sink.getvalue())

    def _of(self, number: int) -> pa.Table:
        path = self.work_list.child(_name(self.state.version)).path
        filters = [("block", "==", number)]
        return pq.read_table(path, filesystem=self.work_list.filesystem, schema=SCHEMA, filters=filters)


def _name(version: int) -> str:
    return f"_marks-{version:03d}.parquet"
