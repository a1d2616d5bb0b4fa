"""Tables of training data: found, checked, and read as typed columns."""

import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ocrray.corpus.manifest import require_whole
from ocrray.errors import ConfigError, Problems, RecordError
from ocrray.sources.rows import Texts
from ocrray.sources.streams import BROKEN_STREAM, TextEncoding
from ocrray.sources.tables import forms as tables
from ocrray.sources.tables.columns import Columns, Table
from ocrray.sources.walk import Found, Walk
from ocrray.storage import Location, files
from ocrray.training.layouts import Layout, texts
from ocrray.training.samples import ARROW_TYPES
from ocrray.training.settings import DataConfig

BREAKS_OFF = ("bad_table", "missing", "unreadable", "read_error")
"""Kinds of problems after which nothing more of a file is read."""
GROUP = "group"
"""Name of the group column in the tables that `Reader` delivers."""
_ENCODING = TextEncoding()
_ROWS_PER_FILE = 1 << 40
_PARALLEL_REQUESTS = 16  # object stores have a high latency, but answer many requests at a time


def find_files(config: DataConfig, layout: Layout) -> dict[str, list[Found]]:
    """List the tables of `train` and `validation` in a stable order.

    Raises:
        ConfigError: when a path names no table, or a table cannot be opened or lacks a column; one line for each.
    """
    found: dict[str, list[Found]] = {}
    problems = Problems()
    for part, paths in (("train", config.train), ("validation", config.validation)):
        found[part] = problems.checked(_tables, paths, f"data.{part}") or []
        problems += _column_problems(found[part], layout, config.group_column, f"data.{part}")
    problems.raise_if_any()
    return found


def _tables(paths: Sequence[str], key: str) -> list[Found]:
    """List tables; other files of a folder are skipped, but a file that is named must be a table."""
    require_whole(paths, key)
    found = [file for batch in Walk(paths, key).batches(Counter()) for file in batch]
    good = [file for file in found if tables.is_table(file)]
    named = [file.name for file in found if file.origin == "file" and file not in good]
    if named or (paths and not good):
        what = ", ".join(named or paths)
        raise ConfigError(f"{key}: {what}: no table; {tables.ADVICE}")
    return good


def _column_problems(found: Sequence[Found], layout: Layout, group_column: str | None, key: str) -> list[str]:
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        problems = pool.map(lambda file: _column_problem(file, layout, group_column), found)
    return [f"{key}: {problem}" for problem in problems if problem]


def _column_problem(found: Found, layout: Layout, group_column: str | None) -> str | None:
    try:
        with files.open_binary(found.location) as file:
            table = tables.open_table(file, found.location.name, _ENCODING)
            problem = layout.problem(table, [group_column] if group_column else [])
    except (RecordError, *BROKEN_STREAM) as err:
        return f"{found.name}: {err}"
    return f"{found.name}: {problem}" if problem else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the rows of tables as the columns of a layout, each of its ARROW_TYPES, with `group`, `problem` and `row`.

    `problem` is the kind of error of a row that cannot be used, else null. `row` is unique, and ascends with the number of the
    file and the position in it.
    """

    layout: Layout
    group_column: str | None = None

    def read(self, uri: str, number: int) -> Iterator[pa.Table]:
        """Yield the rows of one file, the `number`-th, a few thousand at a time; where the file breaks off, one row says so."""
        try:
            location = Location.at(uri)
            with files.open_binary(location) as file:
                table = tables.open_table(file, location.name, _ENCODING)
                wanted = self._wanted(table)
                for batch in table.batches(wanted):
                    yield self._rows(dict(zip(wanted.passthrough, batch.passthrough, strict=True)), batch, number, location)
        except (RecordError, *BROKEN_STREAM) as err:
            yield self._broken(getattr(err, "kind", "unreadable"), number)

    def _wanted(self, table: Table) -> Columns:
        sources = self.layout.sources(table.schema.names)
        names = dict.fromkeys([*(column.source for column in sources), *([self.group_column] if self.group_column else [])])
        strings = frozenset(column.source for column in sources if column.kind == "text")
        return Columns(text=None, passthrough=tuple(names), optional=frozenset(names), strings=strings)

    def _rows(self, arrays: dict[str, pa.Array], batch: Texts, number: int, location: Location) -> pa.Table:
        converted, problems = self.layout.convert(arrays, location)
        groups = pa.nulls(len(batch.numbers), pa.string())
        if self.group_column:
            groups, too_long = texts(arrays[self.group_column])
            problems = too_long | problems
        problems |= {position: kind for position, (kind, _) in batch.problems.items()}
        kinds = pa.array([problems.get(position) for position in range(len(batch.numbers))], pa.string())
        rows = pa.array(batch.numbers.astype(np.int64) + number * _ROWS_PER_FILE)
        named = {column.name: converted[column.name] for column in self.layout.columns}
        return pa.table({**named, GROUP: groups, "problem": kinds, "row": rows})

    def _broken(self, kind: str, number: int) -> pa.Table:
        blank = {column.name: pa.nulls(1, ARROW_TYPES[column.kind]) for column in self.layout.columns}
        about = {"problem": pa.array([kind]), "row": pa.array([number * _ROWS_PER_FILE])}
        return pa.table({**blank, GROUP: pa.nulls(1, pa.string()), **about})


def draws(rows: pa.Table, columns: Sequence[str], salt: str, by_group: bool = False) -> np.ndarray:
    """Return a float in [0, 1) for each row: a hash of its values, or, with `by_group`, of its group where it has one.

    An image counts by the name of its file, so that the draw does not depend on where the data lie; without one by its bytes.
    """
    texts = zip(*(map(_identity, rows[name].to_pylist()) for name in columns), strict=True)
    groups = rows[GROUP].to_pylist() if by_group else [None] * len(rows)
    keys = [repr(row) if group is None else f"group {group}" for row, group in zip(texts, groups, strict=True)]
    digests = b"".join(hashlib.blake2b(f"{salt} {key}".encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, np.uint64) / 2.0**64


def _identity(value: str | Mapping[str, bytes | str | None] | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    data, path = value["bytes"], value["path"]
    name = posixpath.basename(path) if isinstance(path, str) else ""
    return name or hashlib.blake2b(data if isinstance(data, bytes) else b"", digest_size=8).hexdigest()
