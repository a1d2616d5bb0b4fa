"""Work list: everything that a run's `input` names, listed once, one row a record."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import compress
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.errors import ConfigError
from ocrray.sources.input import InputConfig
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.sources.pages import Inspected, Inspector
from ocrray.sources.rows import Row, table_of_rows, with_unique_ids
from ocrray.sources.seen import SeenKeys
from ocrray.sources.texts import TextReader
from ocrray.sources.walk import Found, Walk
from ocrray.storage import Location

_TABLE_ROWS, _TABLE_BYTES = 4096, 1 << 25
_PART_ROWS, _PART_BYTES = 1 << 15, 1 << 27
_CONCURRENT_FILES = 16  # object stores answer slowly, but many at a time
_TASK_FILES = 8

T = TypeVar("T")


@dataclass(slots=True)
class Listing:
    """Counts of what was listed."""

    records: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Records by kind."""
    failed: int = 0
    """Records that listing already found unusable."""
    files: int = 0
    size_bytes: int = 0
    skipped_by_reason: Counter[str] = field(default_factory=Counter)
    """Files of folders and globs that were left out."""
    passthrough: pa.Schema = field(default_factory=lambda: pa.schema([]))
    digest: str = ""
    """Changes when any input file does."""

    @property
    def skipped(self) -> int:
        """Number of files that were left out."""
        return sum(self.skipped_by_reason.values())


def list_records(config: InputConfig, *, images: bool, limit: int | None = None) -> Iterator[pa.Table]:
    """Yield the work list in tables of a few thousand rows: `WORK_LIST_SCHEMA`, then the passthrough columns, in a stable order.

    `images` is True if scans can be recognized.

    Raises: ConfigError: with one line for each path that matches nothing; when a table lacks a column.
    """
    return _Lister(config, images).tables(limit)


def count_records(config: InputConfig, *, images: bool, limit: int | None = None, section: str = "input") -> Listing:
    """Count what `write_work_list` would list; `section` is the config section that errors in `paths` name.

    Raises: ConfigError: as `list_records`.
    """
    lister = _Lister(config, images, section)
    for _ in lister.tables(limit):
        pass
    return lister.listing


def write_work_list(config: InputConfig, folder: Location, *, images: bool, limit: int | None = None) -> Listing:
    """List the input into `part-00000.parquet`, ... in an existing, empty folder.

    Raises: ConfigError: as `list_records`.
    """
    lister = _Lister(config, images)
    for number, part in enumerate(_chunked(lister.tables(limit), _PART_ROWS, _PART_BYTES)):
        pq.write_table(part, f"{folder.path}/part-{number:05d}.parquet", filesystem=folder.filesystem, row_group_size=_TABLE_ROWS)
    return lister.listing


class _Lister:
    def __init__(self, config: InputConfig, images: bool, section: str = "input") -> None:
        if not images and (config.image_column or config.kind in IMAGE_KINDS):
            raise ConfigError("input: these are scans, and nothing recognizes them: set `recognize`")
        self.config = config
        self.listing = Listing()
        self._walk = Walk(config.paths, f"{section}.paths")
        self._inspector = Inspector(config.kind, images, config.encoding, config.text_unit == "file", config.max_file_bytes)
        self._files_seen = SeenKeys()
        self._digest = hashlib.sha256()

    def tables(self, limit: int | None) -> Iterator[pa.Table]:
        """Yield the tables and count them in `listing`."""
        listing, ids, copies = self.listing, SeenKeys(), Counter[str]()
        with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
            for table in _chunked(self._tables(pool), _TABLE_ROWS, _TABLE_BYTES):
                table = with_unique_ids(table, ids, copies)
                if limit is not None:
                    table = table.slice(0, limit - listing.records)
                listing.records += len(table)
                listing.failed += len(table) - table["error_kind"].null_count
                for entry in pc.value_counts(table["kind"]).to_pylist():
                    listing.counts[entry["values"]] += entry["counts"]
                if len(table):
                    yield table
                if listing.records == limit:
                    break
        listing.digest = self._digest.hexdigest()

    def _tables(self, pool: ThreadPoolExecutor) -> Iterator[pa.Table]:
        reader = TextReader(self.config, self._walk, pool)
        self.listing.passthrough = reader.passthrough
        for batch in self._walk.batches(self.listing.skipped_by_reason):
            rows: list[Row] = []
            for inspected in self._inspect(batch, pool):
                rows += inspected.rows
                if inspected.stream:
                    yield table_of_rows(rows, reader.passthrough)
                    rows = []
                    yield from reader.read(inspected.found, inspected.stream)
            yield table_of_rows(rows, reader.passthrough)

    def _inspect(self, batch: Sequence[Found], pool: ThreadPoolExecutor) -> Iterator[Inspected]:
        """Yield each file once, with the members of a METS; files that a METS named before are not opened."""
        known = self._files_seen.contains([_key(found) for found in batch])
        new = [found for found, is_known in zip(batch, known, strict=True) if not is_known]
        files = _in_parallel(pool, self._inspector.file, new)
        members = iter(_in_parallel(pool, self._inspector.member, [member for file in files for member in file.members]))
        inspected = [entry for file in files for entry in (file, *(next(members) for _ in file.members))]
        chosen = {_key(member.found) for file in files for member in file.members}
        self._files_seen.add([uri for file in files for uri in file.claims if uri not in chosen])
        # A file that a folder left out may still be named later, so it has another key.
        is_new = self._files_seen.add(["skipped: " * bool(entry.skipped) + _key(entry.found) for entry in inspected])
        for entry in compress(inspected, is_new):
            if entry.skipped:
                self.listing.skipped_by_reason[entry.skipped] += 1
            else:
                self._count(entry)
                yield entry

    def _count(self, entry: Inspected) -> None:
        status = entry.found.stat
        size, etag = (0, str(status)) if isinstance(status, Exception) else (status.size, status.etag)
        self.listing.files += 1
        self.listing.size_bytes += size
        self._digest.update(f"{_key(entry.found)}\0{size}\0{etag}\n".encode())
        for row in entry.rows:
            self._digest.update(f"{row.page}\0{row.ground_truth}\0{row.error}\n".encode())


def _key(found: Found) -> str:
    return found.name if isinstance(found.stat, Exception) else found.location.uri


def _in_parallel(pool: ThreadPoolExecutor, inspect: Callable[[T], Inspected], files: Sequence[T]) -> list[Inspected]:
    # A task of the pool costs more than inspecting a file that need not be opened.
    tasks = [files[start : start + _TASK_FILES] for start in range(0, len(files), _TASK_FILES)]
    return [inspected for task in pool.map(lambda task: list(map(inspect, task)), tasks) for inspected in task]


def _chunked(tables: Iterator[pa.Table], rows: int, size_bytes: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of about this many rows or bytes, whichever comes first."""
    waiting: list[pa.Table] = []
    for table in tables:
        for start in range(0, len(table), rows):
            waiting.append(table.slice(start, rows))
            if sum(map(len, waiting)) >= rows or sum(part.nbytes for part in waiting) >= size_bytes:
                yield pa.concat_tables(waiting)
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
