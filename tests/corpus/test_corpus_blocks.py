"""A work list is cut into blocks, and the file of each is its commit."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.corpus import blocks
from ocrray.corpus.blocks import Block
from ocrray.storage import Location


@given(st.lists(st.integers(0, 500), max_size=8), st.integers(1, 200))
def test_cut_blocks_any_parts_cover_every_row_once_in_order(part_rows: list[int], rows_per_block: int):
    """Blocks follow each other without a gap, none is too large, and those of a part differ by one row at most."""
    parts = [(f"rows-{i:05d}.parquet", rows) for i, rows in enumerate(part_rows)]

    cut = blocks.cut_blocks(parts, rows_per_block)

    assert [block.number for block in cut] == list(range(len(cut)))
    assert all(0 < block.rows <= rows_per_block for block in cut)
    for name, rows in parts:
        own = [block for block in cut if block.part == name]
        assert [row for block in own for row in range(block.start, block.start + block.rows)] == list(range(rows))
        assert not own or max(block.rows for block in own) - min(block.rows for block in own) <= 1


@pytest.mark.parametrize("rows_per_block", [1, 7, 10, 33, 1000])
def test_read_rows_of_every_block_gives_back_the_part(tmp_path: Path, rows_per_block: int):
    """Blocks need not begin where a row group of the part does."""
    pq.write_table(pa.table({"n": range(100)}), tmp_path / "rows-00000.parquet", row_group_size=10)
    work_list = Location.at(tmp_path)

    cut = blocks.cut_blocks(blocks.part_rows(work_list), rows_per_block)
    blocks.write_index(work_list, cut)

    assert blocks.read_index(work_list) == cut
    assert blocks.part_rows(work_list) == [("rows-00000.parquet", 100)]  # the index is no part
    assert [n for block in cut for n in blocks.read_rows(work_list, block)["n"].to_pylist()] == list(range(100))


def test_read_index_of_a_listing_that_was_killed_is_none(tmp_path: Path):
    """The index is written last: without it the work list may lack rows."""
    pq.write_table(pa.table({"n": [1]}), tmp_path / "rows-00000.parquet")

    assert blocks.read_index(Location.at(tmp_path)) is None


def test_read_footers_only_whole_files_of_the_right_size_count(tmp_path: Path):
    """A file that was deleted, cut short, emptied, or is of other rows is no commit; what was written with the others is read."""
    folder = Location.at(tmp_path / "data")
    work = [Block(i, "rows-00000.parquet", 10 * i, 10) for i in range(6)]
    for block in work:
        blocks.write_block(folder, block.number, pa.table({"n": range(10)}), f'{{"number": {block.number}}}', pass_number=2)
    files = [Path(folder.path) / block.file_name for block in work]
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-20])
    files[2].write_bytes(b"")
    pq.write_table(pa.table({"n": range(10)}), files[3])  # not written by a run
    blocks.write_block(folder, 4, pa.table({"n": range(9)}))

    footers = {block.number: footer for block, footer in blocks.read_footers(folder, work) if footer}

    assert list(footers) == [5]
    assert footers[5].statistics == '{"number": 5}'
    assert footers[5].pass_number == 2
    assert footers[5].rows == 10
    assert footers[5].size_bytes == files[5].stat().st_size
    assert sorted(path.name for path in Path(folder.path).iterdir()) == [path.name for path in files[1:]]  # no temporary files
