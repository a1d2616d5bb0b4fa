"""Listing of an input into the parts of a work list: the driver walks files and hands out groups, tasks read the rows.

`rows-<group>-<number>.parquet` hold the rows, and sort in the order of the input. `_files.parquet` has a row for each input file;
`_listing.json`, the counts, is written last: a work list without it is listed again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from ocrray.sources.groups import FileRows, Group, GroupReader, cut_groups, weight
from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import InputFile, InputFiles, walk_input
from ocrray.sources.record_ids import InOrder, Run, hash_ids, rename_repeated, write_run
from ocrray.sources.worklist import PART_BYTES, PART_ROWS, Listing, cut_tables, first_rows, write_part
from ocrray.storage import Location

FILES_NAME = "_files.parquet"
_HASHES_PER_RUN = 1 << 20
_FILES_PER_ROW_GROUP = 4096

FILES_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("uri", pa.string()),
        ("size", pa.int64()),
        ("tag", pa.string()),  # changes when the file, its ground truth or its scan does
        ("kind", pa.string()),  # empty for a file that was left out for its content
        ("places", pa.list_(pa.struct([("part", pa.string()), ("start", pa.int64()), ("rows", pa.int64())]))),  # of its records
    ]
)

Part = tuple[str, int]
"""Name and number of rows of a part."""


@dataclass(frozen=True, slots=True)
class _Task:
    group: Group
    config: InputConfig
    images: bool
    passthrough: pa.Schema
    work_list: Location
    hashes: bool
    max_rows: int | None


@dataclass(slots=True)
class _Written:
    listing: Listing = field(default_factory=Listing)
    parts: list[Part] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    files: list[FileRows] = field(default_factory=list)


def list_input(
    files: InputFiles,
    config: InputConfig,
    work_list: Location,
    *,
    images: bool,
    limit: int | None,
    in_order: InOrder,
    on_group: Callable[[int, int], None],
) -> tuple[Listing, list[Part]]:
    """List the files into an emptied `work_list`; return the counts and the parts in their order.

    `in_order` runs the tasks; `on_group` is called with the weight of each group that is done, and its records.

    Raises: ConfigError: when a table lacks a column.
    """
    work_list.filesystem.create_dir(work_list.path)
    work_list.filesystem.delete_dir_contents(work_list.path)  # left by a run that was killed while listing
    known_mets: set[str] = set()
    current = files
    while True:
        lister = _Lister(current, config, work_list, images, limit, on_group)
        lister.run(in_order)
        if lister.unforeseen_mets <= known_mets:
            break
        # What these METS name must not be listed on its own. They are rare: their names do not say what they are.
        known_mets |= lister.unforeseen_mets
        current = walk_input(config, images=images, limit=limit, known_mets=known_mets)
    listing = lister.listing
    _delete_others(work_list, {name for name, _ in lister.parts} | {run.name for run in lister.runs})
    if lister.hashes:
        listing.failed += rename_repeated(work_list, lister.runs, in_order)
    work_list.write_bytes(FILES_NAME, lister.files_parquet())
    listing.digest = files.digest
    listing.save(work_list)
    return listing, lister.parts


class _Lister:
    """One pass over the files."""

    def __init__(
        self,
        files: InputFiles,
        config: InputConfig,
        work_list: Location,
        images: bool,
        limit: int | None,
        on_group: Callable[[int, int], None],
    ) -> None:
        self.files, self.config, self.work_list, self.limit, self.on_group = files, config, work_list, limit, on_group
        self.hashes = bool(config.id_column) or files.names_collide  # other ids are unique by construction
        self._task = _Task(Group(0, ()), config, images, files.passthrough, work_list, self.hashes, limit)
        self.listing = Listing(skipped_by_reason=files.skipped_by_reason.copy())
        self.parts: list[Part] = []
        self.runs: list[Run] = []
        self.unforeseen_mets: set[str] = set()
        self._index = _FilesIndex()
        self._running = deque[_Task]()

    def run(self, in_order: InOrder) -> None:
        for written in in_order(_write_group, self._tasks()):
            task = self._running.popleft()
            if self.limit is not None and self.listing.records + written.listing.records > self.limit:
                written = _write_group(replace(task, max_rows=self.limit - self.listing.records))
            self._add(task.group, written)
            if self.listing.records == self.limit:
                return

    def files_parquet(self) -> pa.Buffer:
        return self._index.finish()

    def _tasks(self) -> Iterator[_Task]:
        for group in cut_groups(self.files):
            self._running.append(replace(self._task, group=group))
            yield self._running[-1]

    def _add(self, group: Group, written: _Written) -> None:
        self.listing.add(written.listing)
        self.parts += written.parts
        self.runs += written.runs
        for file, result in zip(group.files, written.files, strict=False):
            if group.piece[0] == 0:
                self.listing.add_file(file, result)
            if result.is_unforeseen_mets:
                self.unforeseen_mets.add(file.found.location.uri)
        self._index.add(group, written)
        self.on_group(weight(group), written.listing.records)


class _FilesIndex:
    """Rows of `_files.parquet`, kept compressed."""

    def __init__(self) -> None:
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(self._sink, FILES_SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, group: Group, written: _Written) -> None:
        places = _Places(written.parts)
        if group.piece[0] and self._rows:  # the file of the group before
            self._rows[-1]["places"] += places.take(written.listing.records)
            return
        for file, result in zip(group.files, written.files, strict=False):
            self._rows.append(file_row(file, result.kind, places.take(result.records)))
        if len(self._rows) > _FILES_PER_ROW_GROUP:
            self._flush(self._rows[:-1])
            self._rows = self._rows[-1:]

    def finish(self) -> pa.Buffer:
        self._flush(self._rows)
        self._writer.close()
        return self._sink.getvalue()

    def _flush(self, rows: list[dict[str, Any]]) -> None:
        self._writer.write_table(pa.Table.from_pylist(rows, schema=FILES_SCHEMA))


class _Places:
    """Places in consecutive parts, handed out in their order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = deque(parts)
        self._start = 0

    def take(self, rows: int) -> list[dict[str, Any]]:
        """Return the places of the next rows, or of as many as there are."""
        places = []
        while rows and self._parts:
            part, size = self._parts[0]
            taken = min(rows, size - self._start)
            places.append({"part": part, "start": self._start, "rows": taken})
            rows, self._start = rows - taken, self._start + taken
            if self._start == size:
                self._parts.popleft()
                self._start = 0
        return places


def file_row(file: InputFile, kind: str, places: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of `FILES_SCHEMA` of a file whose records are in these places."""
    found = file.found
    return {
        "name": found.name,
        "uri": found.location.uri,
        "size": found.known_stat.size,
        "tag": file.tag,
        "kind": kind,
        "places": places,
    }


def _write_group(task: _Task) -> _Written:
    """Read the rows of one group into its parts, with a run of hashes for each million ids."""
    written, number = _Written(), task.group.number
    reader = GroupReader(task.config, images=task.images, passthrough=task.passthrough)
    tables = first_rows(reader.tables(task.group, written.files), task.max_rows)
    hashes: list[np.ndarray] = []
    in_run: list[Part] = []
    for part, table in enumerate(cut_tables(tables, PART_ROWS, PART_BYTES)):
        name = f"rows-{number:06d}-{part:05d}.parquet"
        write_part(task.work_list, name, table)
        written.listing.add_rows(table)
        written.parts.append((name, len(table)))
        if task.hashes:
            hashes.append(hash_ids(table["record_id"]))
            in_run.append((name, len(table)))
            if sum(map(len, hashes)) >= _HASHES_PER_RUN:
                written.runs.append(_write_run(task, len(written.runs), in_run, hashes))
                hashes, in_run = [], []
    if hashes:
        written.runs.append(_write_run(task, len(written.runs), in_run, hashes))
    return written


def _write_run(task: _Task, number: int, parts: Sequence[Part], hashes: Sequence[np.ndarray]) -> Run:
    name = f"_ids-{task.group.number:06d}-{number:05d}"
    write_run(task.work_list, name, np.concatenate(hashes))
    return Run(name, tuple(name for name, _ in parts), sum(rows for _, rows in parts))


def _delete_others(work_list: Location, keep: set[str]) -> None:
    """Delete what tasks wrote beyond a limit, or in an earlier pass."""
    for info in work_list.filesystem.get_file_info(fs.FileSelector(work_list.path)):
        if info.is_file and info.base_name not in keep:
            work_list.filesystem.delete_file(info.path)
