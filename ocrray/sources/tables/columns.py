"""Columns of tables: which to read, and their values as arrays with a problem for each row that cannot be used."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from ocrray.sources.rows import Problems, Texts
from ocrray.sources.streams import BROKEN_STREAM, TextEncoding
from ocrray.text.normalise import sanitise

BATCH_ROWS = 4096
BROKEN_TABLE = (pa.ArrowException, csv.Error, *BROKEN_STREAM)
"""Exceptions that reading a damaged table raises."""
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a table to read."""

    text: str | None
    """Column with texts, or the names of images; None: read nothing but `passthrough`."""
    id: str | None = None
    ground_truth: str | None = None
    passthrough: tuple[str, ...] = ()
    strings: frozenset[str] = frozenset()
    """Columns of `passthrough` that must hold text, as `text` and `ground_truth` must."""
    optional: frozenset[str] = frozenset()
    """Columns of `passthrough` in which an empty cell of CSV or TSV is a missing value; in `ground_truth` it always is."""

    @property
    def all(self) -> list[str]:
        """Names without repetition."""
        return list(dict.fromkeys(name for name in (self.text, self.id, self.ground_truth, *self.passthrough) if name))


class Table(Protocol):
    """Open table; its columns are known, its rows are not read yet."""

    schema: pa.Schema
    form: str
    """Form of the file, for messages: `CSV with ; between the values`, `a JSON array`."""

    @property
    def repeated(self) -> frozenset[str]:
        """Names that the table gives to several columns."""

    def batches(self, columns: Columns) -> Iterator[Texts]:
        """Yield every row, numbered from 0.

        A row that cannot be read has a problem; where the file is broken, one row with a problem stands for the rest.
        """


def to_texts(numbers: np.ndarray, arrays: dict[str, pa.Array], columns: Columns, problems: Problems) -> Texts:
    """Return the batch of these rows."""
    return Texts(
        numbers,
        arrays[columns.text] if columns.text else pa.nulls(len(numbers), pa.string()),
        problems,
        arrays[columns.ground_truth] if columns.ground_truth else None,
        arrays[columns.id] if columns.id else None,
        [arrays[name] for name in columns.passthrough],
    )


def broken_from(number: int, columns: Columns, reason: str) -> Texts:
    """Return one row, with a problem, that stands for the rest of a table."""
    blank = dict.fromkeys(columns.all, pa.nulls(1, pa.string()))
    problems = {0: ("bad_table", f"from here on the table cannot be read: {reason}")}
    return to_texts(np.array([number]), blank, columns, problems)


def to_strings(values: Sequence[str | None], encoding: TextEncoding | None = None) -> tuple[pa.Array, Problems]:
    """Return the values as an array, with a problem for each that `encoding` cannot decode.

    A lone surrogate is such a byte; with None (JSON, which can write surrogates itself) it is replaced without a problem.
    """
    try:
        return pa.array(values, pa.string()), {}
    except UnicodeEncodeError:
        cleaned = pa.array([None if value is None else sanitise(value) for value in values], pa.string())
        if encoding is None:
            return cleaned, {}
        problem = ("bad_encoding", f"a value is not {encoding.name}; {encoding.advice}")
        bad = [i for i, value in enumerate(values) if value is not None and _SURROGATES.search(value)]
        return cleaned, dict.fromkeys(bad, problem)


def reason_of(error: Exception) -> str:
    """Return an exception's message in one line."""
    return " ".join(str(error).split()) or type(error).__name__
