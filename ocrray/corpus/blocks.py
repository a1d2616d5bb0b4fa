"""Blocks of an output: the slices of its work list, each of which becomes one data file whose existence is its commit.

A block's file has a fixed name and is written in one step, so a task that is retried, or a second process that writes the same
block, replaces the file by an equal one: no row can be in the output twice. Its footer says how many rows it has and holds their
statistics; a file without a footer that can be read (deleted, or cut short) is written again.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from ocrray.storage import Location

FOOTER_KEY = b"ocrray.block"
"""Key of the Parquet footer's metadata under which a block's number, pass and statistics stand, as JSON."""

_UPDATE_KEY = b"ocrray.update"
_DISTINCT = {"record_id", "raw_text", "corrected_text", "ground_truth", "content_hash", "text"}
"""Columns whose values differ from row to row: looking for repetitions in them takes a sixth of the time of writing."""

_INDEX_NAME = "_blocks.parquet"
_CONCURRENT_READS = 32  # object stores answer slowly, but many at a time


@dataclass(frozen=True, slots=True)
class Block:
    """Rows `start`, ... of the file `part` of a work list."""

    number: int
    part: str
    start: int
    rows: int

    @property
    def file_name(self) -> str:
        """Return the name of its data file."""
        return block_file_name(self.number)


@dataclass(frozen=True, slots=True)
class Footer:
    """Facts about a block's data file; `statistics` is the JSON text given when it was written.

    `pass_number` is 0 for the first run, and counts the replays and updates that have rewritten the file since; `processed` is
    the number of rows that the last of them processed.
    """

    number: int
    rows: int
    size_bytes: int
    pass_number: int
    processed: int
    statistics: str


def block_file_name(number: int) -> str:
    """Return the name of the data file of this block."""
    return f"part-{number:06d}.parquet"


def cut_blocks(parts: Iterable[tuple[str, int]], rows_per_block: int) -> list[Block]:
    """Cut the parts of a work list, given by name and number of rows, into blocks of at most `rows_per_block` similar sizes."""
    blocks: list[Block] = []
    for name, rows in parts:
        count = -(-rows // rows_per_block)
        for i in range(count):
            start, end = rows * i // count, rows * (i + 1) // count
            blocks.append(Block(len(blocks), name, start, end - start))
    return blocks


@dataclass(frozen=True, slots=True)
class UpdateState:
    """Number of the last update of a work list, 0 if there was none, and the pass of the data files that it began.

    `redo_all`: all records are processed again in that pass, because the settings have changed.
    """

    version: int = 0
    pass_number: int = 0
    redo_all: bool = False


def write_index(work_list: Location, blocks: Sequence[Block], update: UpdateState | None = None) -> None:
    """Record the blocks; a work list with an index is complete, and keeps its blocks however it is run, until it is updated."""
    table = pa.Table.from_pylist([asdict(block) for block in blocks], schema=_INDEX_SCHEMA)
    _write(work_list, _INDEX_NAME, table, {_UPDATE_KEY: json.dumps(asdict(update)).encode()} if update else {})


def read_update(work_list: Location) -> UpdateState:
    """Return the state of a work list, which need not be complete."""
    try:
        footer = pq.read_metadata(work_list.child(_INDEX_NAME).path, filesystem=work_list.filesystem)
    except FileNotFoundError:
        return UpdateState()
    return UpdateState(**json.loads((footer.metadata or {}).get(_UPDATE_KEY, b"{}")))


def part_rows(work_list: Location) -> list[tuple[str, int]]:
    """Return name and number of rows of each part of a work list."""
    parts = work_list.files(".parquet")
    return [(info.base_name, pq.read_metadata(info.path, filesystem=work_list.filesystem).num_rows) for info in parts]


def read_index(work_list: Location) -> list[Block] | None:
    """Return the blocks of a complete work list, else None."""
    try:
        table = pq.read_table(f"{work_list.path}/{_INDEX_NAME}", filesystem=work_list.filesystem, schema=_INDEX_SCHEMA)
    except FileNotFoundError:
        return None
    return [Block(**row) for row in table.to_pylist()]


def read_rows(work_list: Location, block: Block) -> pa.Table:
    """Read the rows of a block from the work list."""
    with pq.ParquetFile(f"{work_list.path}/{block.part}", filesystem=work_list.filesystem) as file:
        groups, skipped, end = [], 0, 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if end + rows <= block.start:
                skipped += rows
            elif end < block.start + block.rows:
                groups.append(group)
            end += rows
        return file.read_row_groups(groups).slice(block.start - skipped, block.rows)


def write_block(
    folder: Location, number: int, table: pa.Table, statistics: str = "", *, pass_number: int = 0, processed: int | None = None
) -> Footer:
    """Write the data file of a block, replacing an older one, and return its footer; `processed` is all rows unless given."""
    processed = len(table) if processed is None else processed
    footer = Footer(number, len(table), 0, pass_number, processed, statistics)
    about = {name: value for name, value in asdict(footer).items() if name not in ("rows", "size_bytes")}
    size_bytes = _write(folder, block_file_name(number), table, {FOOTER_KEY: json.dumps(about).encode()})
    return replace(footer, size_bytes=size_bytes)


def read_block(folder: Location, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the data file of a block."""
    path = folder.child(block_file_name(number)).path
    table = pq.read_table(path, filesystem=folder.filesystem, columns=columns)
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != FOOTER_KEY}
    return table.replace_schema_metadata(metadata)


def read_footers(folder: Location, blocks: Iterable[Block]) -> Iterator[tuple[Block, Footer | None]]:
    """Yield each block with the footer of its data file, None if that is not whole; files are read in parallel.

    A file is not whole if it is missing, cannot be read as Parquet, or has another number of rows than the block.
    """
    sizes = {info.base_name: info.size for info in folder.files(".parquet")}

    def read(block: Block) -> tuple[Block, Footer | None]:
        footer = read_footer(folder, block.number) if block.file_name in sizes else None
        return block, footer if footer and footer.rows == block.rows else None

    with ThreadPoolExecutor(_CONCURRENT_READS) as pool:
        yield from pool.map(read, blocks)


def read_footer(folder: Location, number: int) -> Footer | None:
    """Return the footer of the data file of a block; None if it is missing, cut short, or no such file."""
    path = folder.child(block_file_name(number)).path
    try:
        with folder.filesystem.open_input_file(path) as file:
            metadata = pq.read_metadata(file)
            about = json.loads((metadata.metadata or {})[FOOTER_KEY])
            footer = Footer(rows=metadata.num_rows, size_bytes=file.size(), **about)
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None
    return footer if footer.number == number else None


def _write(folder: Location, name: str, table: pa.Table, metadata: dict[bytes, bytes]) -> int:
    """Write a Parquet file in one step and return its size in bytes."""
    sink = pa.BufferOutputStream()  # whole in memory first: a stream to a store that breaks off would leave a part of the file
    repeating = [name for name in table.column_names if name not in _DISTINCT]
    with pq.ParquetWriter(sink, table.schema, use_dictionary=repeating) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(metadata)
    data = sink.getvalue()
    folder.write_bytes(name, data)
    return int(data.size)


_INDEX_SCHEMA = pa.schema([("number", pa.int32()), ("part", pa.string()), ("start", pa.int32()), ("rows", pa.int32())])
