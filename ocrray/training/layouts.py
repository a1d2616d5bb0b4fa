"""Layouts: rules by which the columns of a table become the columns that a task reads."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import RecordError
from ocrray.sources.rows import MAX_TEXT_CHARS, clean
from ocrray.sources.tables.columns import Table
from ocrray.sources.tables.forms import columns_problem
from ocrray.storage import Location
from ocrray.text import json_text
from ocrray.training.references import image_reference
from ocrray.training.samples import IMAGE, Column, ColumnKind

Arrays = dict[str, pa.Array]
RowProblems = dict[int, str]
"""Kind of error by the position of the row."""


class Layout(ABC):
    """Layout of the tables of one run; each table may have columns of its own."""

    @property
    @abstractmethod
    def columns(self) -> Sequence[Column]:
        """Columns that the task reads."""

    @abstractmethod
    def problem(self, table: Table, others: Sequence[str] = ()) -> str:
        """Return which columns `table` lacks, those of `others` among them; empty where it can be read."""

    @abstractmethod
    def sources(self, names: Collection[str]) -> Sequence[Column]:
        """Return the columns to read of a table that has the columns `names`; the source of each is its name in the table."""

    @abstractmethod
    def convert(self, arrays: Mapping[str, pa.Array], location: Location) -> tuple[Arrays, RowProblems]:
        """Return the task's columns, each of its ARROW_TYPES, and the rows that cannot be used.

        `arrays` are the columns of `sources` by their names in the table, with the types of the table at `location`.
        """


@dataclass(frozen=True, slots=True)
class PlainLayout(Layout):
    """Every column of the task is one column of each table."""

    read: Sequence[Column]

    @property
    def columns(self) -> Sequence[Column]:
        return self.read

    def problem(self, table: Table, others: Sequence[str] = ()) -> str:
        return columns_problem(table, [*(column.source for column in self.read), *others])

    def sources(self, names: Collection[str]) -> Sequence[Column]:  # noqa: ARG002 (`problem` says which are missing)
        return self.read

    def convert(self, arrays: Mapping[str, pa.Array], location: Location) -> tuple[Arrays, RowProblems]:
        converters: dict[ColumnKind, Callable[[pa.Array], tuple[pa.Array, RowProblems]]] = {
            "text": texts,
            "scalar": texts,
            "json": _json,
            "image": partial(_images, folder=location.parent()),
        }
        converted: Arrays = {}
        problems: RowProblems = {}
        for column in self.read:
            converted[column.name], found = converters[column.kind](arrays[column.source])
            problems = found | problems
        return converted, problems


def texts(array: pa.Array) -> tuple[pa.Array, RowProblems]:
    """Return the values as strings without control characters, nested ones as JSON text, and which are too long."""
    if pa.types.is_nested(array.type):
        return _json(array)
    strings = clean(array.cast(pa.string()))
    too_long = pc.fill_null(pc.greater(pc.utf8_length(strings), MAX_TEXT_CHARS), False)
    return strings, dict.fromkeys(pc.indices_nonzero(too_long).to_pylist(), "too_long")


def _json(array: pa.Array) -> tuple[pa.Array, RowProblems]:
    """Return the values as JSON text, and which strings are none (`bad_json`)."""
    if array.type in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
        strings, problems = texts(array)
        bad = {position: "bad_json" for position, text in enumerate(strings.to_pylist()) if not (text is None or _is_json(text))}
        return strings, bad | problems
    values = [None if value is None else json_text.spell(value) for value in array.to_pylist()]
    return texts(pa.array(values, pa.string()))


def _is_json(text: str) -> bool:
    try:
        json_text.canonical(text)
    except (ValueError, RecursionError):
        return False
    return True


def _images(array: pa.Array, *, folder: Location) -> tuple[pa.Array, RowProblems]:
    """Return IMAGE references, and the rows without a usable one; null stays null."""
    references: list[dict[str, bytes | str | None] | None] = []
    problems: RowProblems = {}
    for position, value in enumerate(array.to_pylist()):
        reference = None
        try:
            reference = image_reference(value, folder)
        except RecordError as err:
            problems[position] = err.kind
        references.append(reference)
    return pa.array(references, IMAGE), problems
