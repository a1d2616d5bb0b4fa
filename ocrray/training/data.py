"""The tables that samples are made of: found, checked, and read row by row."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import ConfigError, Problems, RecordError
from ocrray.sources import files, tables
from ocrray.sources.rows import MAX_TEXT_CHARS, Texts, clean
from ocrray.sources.text_files import BROKEN_GZIP
from ocrray.sources.walk import Found, Walk
from ocrray.training.config import DataConfig

BREAKS_OFF = ("bad_table", "missing", "unreadable")  # kinds of a problem after which nothing more of a file is read
_ENCODING = "utf-8"
_ROWS_PER_FILE = 1 << 40
_AT_ONCE = 16  # object stores answer slowly, but many at a time


def find_files(config: DataConfig, columns: Mapping[str, str]) -> dict[str, list[Found]]:
    """The tables of `train` and `validation`, in a stable order, each with the columns of a task and the group column.

    Raises ConfigError with one line for each path that names no table, and each table that cannot be opened or lacks a column.
    """
    wanted = [*columns.values(), *([config.group_column] if config.group_column else [])]
    found: dict[str, list[Found]] = {}
    problems = Problems()
    for part, paths in (("train", config.train), ("validation", config.validation)):
        found[part] = problems.checked(partial(_tables, paths, f"data.{part}")) or []
        problems += _column_problems(found[part], wanted, f"data.{part}")
    problems.raise_if_any()
    return found


def _tables(paths: Sequence[str], key: str) -> list[Found]:
    """What else lies in a folder is passed over; a file that is named must be a table."""
    found = [file for batch in Walk(paths, key).batches(Counter()) for file in batch]
    good = [file for file in found if file.name.lower().endswith(tables.EXTENSIONS)]
    named = [file.name for file in found if file.origin == "file" and file not in good]
    if named or (paths and not good):
        what = ", ".join(named or paths)
        raise ConfigError(f"{key}: {what}: no table; give files that end in {', '.join(tables.EXTENSIONS)}")
    return good


def _column_problems(found: Sequence[Found], wanted: Sequence[str], key: str) -> list[str]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        problems = pool.map(lambda file: _column_problem(file, wanted), found)
    return [f"{key}: {problem}" for problem in problems if problem]


def _column_problem(found: Found, wanted: Sequence[str]) -> str | None:
    try:
        with files.open_binary(found.location) as file:
            names = tables.open_table(file, found.location.name, _ENCODING).schema.names
    except (RecordError, *BROKEN_GZIP) as err:
        return f"{found.name}: {err}"
    missing = [name for name in wanted if name not in names]
    return f"{found.name}: no column {', '.join(missing)}; the columns are {', '.join(names)}" if missing else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the rows of tables: the columns of a task, all strings, and `group`, `problem` (why a row is none) and `row`.

    `row` tells a row from all others, and grows with the number of its file and its own.
    """

    columns: Mapping[str, str]
    """The task's names for columns, and the files'; the first two must hold text."""
    group_column: str | None = None

    def read(self, uri: str, number: int) -> Iterator[pa.Table]:
        """The rows of one file, the `number`-th, a few thousand at a time; where it cannot be read further, one says so."""
        names = list(self.columns.values())
        others = (*names[2:], *([self.group_column] if self.group_column else []))
        wanted = tables.Columns(text=names[0], ground_truth=names[1], passthrough=others)
        try:
            location = files.parse(uri)
            with files.open_binary(location) as file:
                for texts in tables.open_table(file, location.name, _ENCODING).batches(wanted):
                    yield self._rows(texts, number)
        except (RecordError, *BROKEN_GZIP) as err:
            problem = {0: (getattr(err, "kind", "unreadable"), str(err))}
            blank = pa.nulls(1)
            yield self._rows(Texts(np.zeros(1), blank, problem, blank, passthrough=[blank] * len(others)), number)

    def _rows(self, texts: Texts, number: int) -> pa.Table:
        kinds = [texts.problems[position][0] if position in texts.problems else None for position in range(len(texts.texts))]
        problem = pa.array(kinds, pa.string())
        arrays = [clean(array.cast(pa.string())) for array in (texts.texts, texts.ground_truths, *texts.passthrough)]
        for array in arrays:
            problem = pc.if_else(pc.fill_null(pc.greater(pc.utf8_length(array), MAX_TEXT_CHARS), False), "too_long", problem)
        named = dict(zip(self.columns, arrays, strict=False))
        group = arrays[-1] if self.group_column else pa.nulls(len(problem), pa.string())
        row = pa.array(texts.numbers.astype(np.int64) + number * _ROWS_PER_FILE)
        return pa.table({**named, "group": group, "problem": problem, "row": row})


def draws(rows: pa.Table, columns: Sequence[str], salt: str, by_group: bool = False) -> np.ndarray:
    """A number in [0, 1) for each row, the same for rows that hold the same; with `by_group`, for all of a group."""
    texts = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    groups = rows["group"].to_pylist() if by_group else [None] * len(rows)
    keys = [repr(row) if group is None else f"group {group}" for row, group in zip(texts, groups, strict=True)]
    digests = b"".join(hashlib.blake2b(f"{salt} {key}".encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, np.uint64) / 2.0**64
