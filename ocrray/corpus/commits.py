"""Commits of a block: its data file is written for the first time, or again with some rows exchanged."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.corpus.blocks import Footer, block_file_name, read_block, read_footer, write_block
from ocrray.corpus.marks import Marks
from ocrray.corpus.summary import Summary
from ocrray.storage import Location

HISTORY_NAME = "history"
"""Folder beside `data` with the rows that replays replaced: a folder for each pass, and in it a file for each block."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """Writes the data file of a block, with its statistics."""

    output: Location
    pass_number: int = 0

    def __call__(self, number: int, rows: pa.Table) -> Footer:
        """Return the footer of the file."""
        statistics = _statistics(number, rows)
        return write_block(self.output.child("data"), number, rows, statistics, pass_number=self.pass_number)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Writes the data file of a block again with new rows in the places of the old ones, which go to the history.

    In a replay, a record that failed again for the same reason keeps its row. All other rows stay as and where they are, except
    that `marks` of an update say which are gone.
    """

    output: Location
    pass_number: int
    marks: Marks | None = None

    def __call__(self, number: int, rows: pa.Table | None) -> Footer:
        """Return the footer of the file; `rows` is None where there are marks only.

        A file that this pass has written before, in a task that was retried, is left alone.
        """
        data = self.output.child("data")
        footer = read_footer(data, number)
        if footer and footer.pass_number == self.pass_number:
            return footer
        old = read_block(data, number)
        rows = old.slice(0, 0) if rows is None else rows
        merged, replaced = exchange(old, rows, keep_failed=self.marks is None)
        if self.marks:
            merged = self.marks.apply(number, merged)
        if len(replaced):
            history = self.output.child(HISTORY_NAME).child(f"{self.pass_number:03d}")
            history.filesystem.create_dir(history.path)
            write_block(history, number, replaced)
        return write_block(data, number, merged, _statistics(number, merged), pass_number=self.pass_number, processed=len(rows))


def write_marks(task: tuple[Exchange, int]) -> Footer:
    """Write the marks of an update into the data file of the block of this number, none of whose rows is processed again."""
    commit, number = task
    return commit(number, None)


def _statistics(number: int, rows: pa.Table) -> str:
    return Summary.of_block(block_file_name(number), rows).to_json()


def exchange(old: pa.Table, new: pa.Table, *, keep_failed: bool = True) -> tuple[pa.Table, pa.Table]:
    """Return `old` with the rows of `new` in the places of those with the same ids, and the rows that were replaced.

    With `keep_failed` a row stays if the new one failed for the same reason.
    """
    places = pc.index_in(new["record_id"], old["record_id"].combine_chunks()).to_numpy()
    before = old.take(pa.array(places, pa.int64()))
    failed_both = pc.and_(pc.equal(before["status"], "failed"), pc.equal(new["status"], "failed"))
    failed_again = pc.fill_null(pc.and_(failed_both, pc.equal(before["error_kind"], new["error_kind"])), False)
    is_new = ~(failed_again.to_numpy().astype(bool) & keep_failed)
    sources = np.arange(len(old))
    sources[places[is_new]] = len(old) + np.flatnonzero(is_new)
    both = pa.concat_tables([old, new.cast(old.schema)])
    return both.take(pa.array(sources)), before.filter(pa.array(is_new))
