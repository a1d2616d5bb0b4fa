"""Tables of training data: found, checked, and read as typed columns."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.corpus.manifest import require_whole
from ocrray.errors import ConfigError, Problems, RecordError
from ocrray.sources.pages import named_file
from ocrray.sources.rows import MAX_TEXT_CHARS, Texts, clean
from ocrray.sources.streams import BROKEN_STREAM, TextEncoding
from ocrray.sources.tables import forms as tables
from ocrray.sources.tables.columns import Columns
from ocrray.sources.walk import Found, Walk
from ocrray.storage import Location, files
from ocrray.training.samples import ARROW_TYPES, IMAGE, Column, ColumnKind
from ocrray.training.settings import DataConfig

BREAKS_OFF = ("bad_table", "missing", "unreadable", "read_error")
"""Kinds of problems after which nothing more of a file is read."""
GROUP = "group"
"""Name of the group column in the tables that `Reader` delivers."""
_ENCODING = TextEncoding()
_ROWS_PER_FILE = 1 << 40
_PARALLEL_REQUESTS = 16  # object stores have a high latency, but answer many requests at a time


def find_files(config: DataConfig, columns: Sequence[Column]) -> dict[str, list[Found]]:
    """List the tables of `train` and `validation` in a stable order.

    Raises:
        ConfigError: when a path names no table, or a table cannot be opened or lacks a column; one line for each.
    """
    wanted = [*(column.source for column in columns), *([config.group_column] if config.group_column else [])]
    found: dict[str, list[Found]] = {}
    problems = Problems()
    for part, paths in (("train", config.train), ("validation", config.validation)):
        found[part] = problems.checked(_tables, paths, f"data.{part}") or []
        problems += _column_problems(found[part], wanted, f"data.{part}")
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


def _column_problems(found: Sequence[Found], wanted: Sequence[str], key: str) -> list[str]:
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        problems = pool.map(lambda file: _column_problem(file, wanted), found)
    return [f"{key}: {problem}" for problem in problems if problem]


def _column_problem(found: Found, wanted: Sequence[str]) -> str | None:
    try:
        with files.open_binary(found.location) as file:
            problem = tables.columns_problem(tables.open_table(file, found.location.name, _ENCODING), wanted)
    except (RecordError, *BROKEN_STREAM) as err:
        return f"{found.name}: {err}"
    return f"{found.name}: {problem}" if problem else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the rows of tables as the columns of a task, each of its ARROW_TYPES, with `group`, `problem` and `row`.

    `problem` is the kind of error of a row that cannot be used, else null. `row` is unique, and ascends with the number of the
    file and the position in it.
    """

    columns: Sequence[Column]
    group_column: str | None = None

    def read(self, uri: str, number: int) -> Iterator[pa.Table]:
        """Yield the rows of one file, the `number`-th, a few thousand at a time; where the file breaks off, one row says so."""
        columns = self._all_columns()
        names = tuple(column.source for column in columns)
        wanted = Columns(
            text=None,
            passthrough=names,
            optional=frozenset(names),
            strings=frozenset(column.source for column in columns if column.kind == "text"),
        )
        try:
            location = Location.at(uri)
            with files.open_binary(location) as file:
                for texts in tables.open_table(file, location.name, _ENCODING).batches(wanted):
                    yield self._rows(texts, number, location)
        except (RecordError, *BROKEN_STREAM) as err:
            yield self._broken(getattr(err, "kind", "unreadable"), number)

    def _all_columns(self) -> tuple[Column, ...]:
        return (*self.columns, *([Column(GROUP, self.group_column, "scalar")] if self.group_column else []))

    def _rows(self, texts: Texts, number: int, location: Location) -> pa.Table:
        problems = {position: kind for position, (kind, _) in texts.problems.items()}
        convert: dict[ColumnKind, Callable[[pa.Array], tuple[pa.Array, dict[int, str]]]] = {
            "text": _text,
            "scalar": _text,
            "json": _json,
            "image": partial(_images, location=location),
        }
        arrays = {GROUP: pa.nulls(len(texts.numbers), pa.string())}
        for column, array in zip(self._all_columns(), texts.passthrough, strict=True):
            arrays[column.name], found = convert[column.kind](array)
            problems = found | problems
        kinds = pa.array([problems.get(position) for position in range(len(texts.numbers))], pa.string())
        rows = pa.array(texts.numbers.astype(np.int64) + number * _ROWS_PER_FILE)
        named = {name: arrays[name] for name in (*(column.name for column in self.columns), GROUP)}
        return pa.table({**named, "problem": kinds, "row": rows})

    def _broken(self, kind: str, number: int) -> pa.Table:
        blank = {column.name: pa.nulls(1, ARROW_TYPES[column.kind]) for column in self.columns}
        about = {"problem": pa.array([kind]), "row": pa.array([number * _ROWS_PER_FILE])}
        return pa.table({**blank, GROUP: pa.nulls(1, pa.string()), **about})


def _text(array: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Return the values as strings without control characters, nested ones as JSON text, and which are too long."""
    if pa.types.is_nested(array.type):
        return _json(array)
    strings = clean(array.cast(pa.string()))
    too_long = pc.fill_null(pc.greater(pc.utf8_length(strings), MAX_TEXT_CHARS), False)
    return strings, dict.fromkeys(pc.indices_nonzero(too_long).to_pylist(), "too_long")


def _json(array: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Return the values as JSON text, and which strings are none (`bad_json`)."""
    if array.type in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
        strings, problems = _text(array)
        bad = {position: "bad_json" for position, text in enumerate(strings.to_pylist()) if not (text is None or _is_json(text))}
        return strings, bad | problems
    values = [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in array.to_pylist()]
    return _text(pa.array(values, pa.string()))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _images(array: pa.Array, *, location: Location) -> tuple[pa.Array, dict[int, str]]:
    """Return IMAGE references, and which name no file: paths are relative to the folder of the table, and stay below it.

    The kinds of problems begin with `image_`: of those of the table itself, some end the run.
    """
    table = Found(location.name, location, files.FileStat(0, ""), "file")
    references: list[dict[str, bytes | str | None] | None] = []
    problems: dict[int, str] = {}
    for position, value in enumerate(array.to_pylist()):
        data: bytes | None
        path: str | None
        if isinstance(value, dict):
            data, path = value.get("bytes"), value.get("path")
        else:
            data, path = (None, value) if isinstance(value, str) else (value, None)
        if not data and path:
            file = named_file(table, path)
            if isinstance(file.stat, RecordError):
                problems[position] = f"image_{file.stat.kind}"
            path = file.location.uri
        references.append({"bytes": data, "path": path} if (data or path) and position not in problems else None)
    return pa.array(references, IMAGE), problems


def draws(rows: pa.Table, columns: Sequence[str], salt: str, by_group: bool = False) -> np.ndarray:
    """Return a float in [0, 1) for each row: a hash of its values, or, with `by_group`, of its group where it has one."""
    texts = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    groups = rows[GROUP].to_pylist() if by_group else [None] * len(rows)
    keys = [repr(row) if group is None else f"group {group}" for row, group in zip(texts, groups, strict=True)]
    digests = b"".join(hashlib.blake2b(f"{salt} {key}".encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, np.uint64) / 2.0**64
