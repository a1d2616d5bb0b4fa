"""Work list: everything that a run's `input` names, listed once, one row a record; its parts, and the rows in this process."""

import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.sources.groups import FileRows, Group, GroupReader, cut_groups
from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import InputFile, walk_input
from ocrray.storage import Location

PART_ROWS = 1 << 15
ROW_GROUP_ROWS = 4096
PART_BYTES = 96 << 20  # and one table of at most 32 MB more
_TABLE_BYTES = 1 << 25
_SHOWN_UNCLEAR = 5


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
    digest: str = ""
    """That of the `InputFiles`."""
    table_rows: int = 0
    """Rows of CSV and TSV, without the header."""
    table_lines: int = 0
    """Lines that these rows stand in: more, where values hold line ends."""
    unclear: list[str] = field(default_factory=list)
    """The first messages about rows over several lines that can be read as several rows too."""
    known_mets: list[str] = field(default_factory=list)
    """URIs of METS files that were only found by reading all files."""

    @property
    def tables(self) -> str:
        """Return how many rows stand in how many lines of CSV and TSV, and which are unclear; empty without such files."""
        if not self.table_lines:
            return ""
        counts = f"{self.table_rows:,} rows in {self.table_lines:,} lines"
        return "; ".join([counts, *self.unclear])

    @property
    def skipped(self) -> int:
        """Number of files that were left out."""
        return sum(self.skipped_by_reason.values())

    def add_file(self, file: InputFile, result: FileRows) -> None:
        """Count one file that was read, or left out for its content."""
        if result.skipped:
            self.skipped_by_reason[result.skipped] += 1
        else:
            self.files += 1
            self.size_bytes += file.found.known_stat.size
            self.table_rows += result.table_rows
            self.table_lines += result.table_lines
            self.unclear = (self.unclear + result.unclear)[:_SHOWN_UNCLEAR]

    def add_rows(self, table: pa.Table) -> None:
        """Count rows of the work list."""
        self.records += len(table)
        self.failed += len(table) - table["error_kind"].null_count
        for entry in pc.value_counts(table["kind"]).to_pylist():
            self.counts[entry["values"]] += entry["counts"]

    def add(self, rows: "Listing") -> None:
        """Add the counts of other rows; files are counted by `add_file`."""
        self.records += rows.records
        self.failed += rows.failed
        self.counts.update(rows.counts)

    def save(self, work_list: Location, version: int = 0) -> None:
        """Write the counts beside the parts; `version` is the number of the update that they are of."""
        work_list.write_text(
            _listing_name(version), json.dumps({item.name: getattr(self, item.name) for item in fields(self)}, indent=1)
        )

    @classmethod
    def load(cls, work_list: Location, version: int = 0) -> "Listing | None":
        """Read the counts; None where the listing was never finished."""
        try:
            known = json.loads(work_list.read_text(_listing_name(version)))
        except FileNotFoundError:
            return None
        return cls(**known | {name: Counter(known[name]) for name in ("counts", "skipped_by_reason")})


def _listing_name(version: int) -> str:
    return f"_listing-{version:03d}.json"


def list_records(
    config: InputConfig, *, images: bool, limit: int | None = None, section: str = "input", listing: Listing | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of the input in this process, in tables of a few thousand, and count them in `listing`.

    `WORK_LIST_SCHEMA`, then the passthrough columns, in a stable order. Ids of an `id_column` are not checked for repetitions.
    `images` is True if scans can be recognized; `section` is the config section that errors in `paths` name.

    Raises: ConfigError: with one line for each path that matches nothing; when a table lacks a column.
    """
    counts = Listing() if listing is None else listing
    files = walk_input(config, images=images, section=section, limit=limit, open_all_markup=True)
    counts.digest = files.digest
    counts.skipped_by_reason.update(files.skipped_by_reason)
    reader = GroupReader(config, images=images, passthrough=files.passthrough)
    tables = cut_tables(_read(cut_groups(files), reader, counts), ROW_GROUP_ROWS, _TABLE_BYTES)
    with closing(first_rows(tables, limit)) as rows:
        for table in rows:
            counts.add_rows(table)
            yield table


def count_records(config: InputConfig, *, images: bool, limit: int | None = None, section: str = "input") -> Listing:
    """Count the rows of the input, reading them in this process as `list_records` does.

    Raises: ConfigError: as `list_records`.
    """
    listing = Listing()
    for _ in list_records(config, images=images, limit=limit, section=section, listing=listing):
        pass
    return listing


def write_part(work_list: Location, name: str, rows: pa.Table) -> None:
    """Write one part in one step, replacing an older one."""
    sink = pa.BufferOutputStream()
    # Half of the time of the default options, to write and to read: statistics and dictionaries of texts are of no use.
    options = {"use_dictionary": ["uri", "kind", "size", "etag"], "write_statistics": False, "compression": "lz4"}
    pq.write_table(rows, sink, row_group_size=ROW_GROUP_ROWS, **options)
    work_list.write_bytes(name, sink.getvalue())


def cut_tables(tables: Iterable[pa.Table], max_rows: int, size_bytes: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of `max_rows` rows, or of this many bytes and one more table at most; none is empty."""
    waiting: list[pa.Table] = []
    rows = bytes_waiting = 0
    for table in tables:
        start = 0
        while start < len(table):
            piece = table.slice(start, max_rows - rows)
            waiting.append(piece)
            rows, bytes_waiting, start = rows + len(piece), bytes_waiting + piece.nbytes, start + len(piece)
            if rows == max_rows or bytes_waiting >= size_bytes:
                yield pa.concat_tables(waiting)
                waiting, rows, bytes_waiting = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


def _read(groups: Iterable[Group], reader: GroupReader, listing: Listing) -> Iterator[pa.Table]:
    for group in groups:
        results: list[FileRows] = []
        try:
            yield from reader.tables(group, results)
        finally:
            for file, result in zip(group.files, results, strict=False):
                listing.add_file(file, result)


def first_rows(tables: Iterable[pa.Table], limit: int | None) -> Generator[pa.Table]:
    """Yield the first `limit` rows, without empty tables."""
    rows = 0
    for table in tables:
        some = table if limit is None else table.slice(0, limit - rows)
        rows += len(some)
        if len(some):
            yield some
        if rows == limit:
            return
