"""Writing of the parts of a work list: what a task of the listing does with a group of files."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ocrray.sources.file_record import Part
from ocrray.sources.groups import FileRows, Group, GroupReader
from ocrray.sources.input import InputConfig
from ocrray.sources.record_ids import RUN_PREFIX, Run, hash_ids, write_run
from ocrray.sources.worklist import PART_BYTES, PART_ROWS, Listing, cut_tables, first_rows, write_part
from ocrray.storage import Location

_HASHES_PER_RUN = 1 << 20


@dataclass(frozen=True, slots=True)
class GroupTask:
    """Group to read, and how; `prefix` begins the names of what an update writes, after `rows-`."""

    group: Group
    config: InputConfig
    images: bool
    passthrough: pa.Schema
    work_list: Location
    hashes: bool
    max_rows: int | None = None
    prefix: str = ""


@dataclass(slots=True)
class Written:
    """Result of a GroupTask; `files` has an entry for each file of the group that was begun."""

    listing: Listing = field(default_factory=Listing)
    parts: list[Part] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    files: list[FileRows] = field(default_factory=list)


def write_group(task: GroupTask) -> Written:
    """Read the rows of one group into its parts, with a run of hashes for each million ids.

    Raises: ConfigError: when a table lacks a column.
    """
    written, number = Written(), task.group.number
    reader = GroupReader(task.config, images=task.images, passthrough=task.passthrough)
    tables = first_rows(reader.tables(task.group, written.files), task.max_rows)
    hashes: list[np.ndarray] = []
    in_run: list[Part] = []
    for part, table in enumerate(cut_tables(tables, PART_ROWS, PART_BYTES)):
        name = f"rows-{task.prefix}{number:06d}-{part:05d}.parquet"
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


def _write_run(task: GroupTask, number: int, parts: Sequence[Part], hashes: Sequence[np.ndarray]) -> Run:
    name = f"{RUN_PREFIX}{task.prefix}{task.group.number:06d}-{number:05d}"
    write_run(task.work_list, name, np.concatenate(hashes))
    return Run(name, tuple(name for name, _ in parts), sum(rows for _, rows in parts))
