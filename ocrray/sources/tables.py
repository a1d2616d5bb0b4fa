"""Tables whose rows are records: JSON lines, CSV, TSV and Parquet, read in batches of bounded size."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.errors import RecordError
from ocrray.sources.rows import Problems, Texts
from ocrray.sources.text_files import BROKEN_GZIP, MAX_LINE_BYTES, WHOLE, Piece, decode, line_blocks, lines_of, unzipped
from ocrray.text.normalise import sanitise

EXTENSIONS = (*(ext + gz for ext in (".jsonl", ".ndjson", ".csv", ".tsv") for gz in ("", ".gz")), ".parquet")
_BATCH_ROWS = 4096
_BATCH_BYTES = 1 << 25
_BATCH_BLOCKS = 8  # of `line_blocks`, a few megabytes each
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

    @property
    def all(self) -> list[str]:
        """Names without repetition."""
        return list(dict.fromkeys(name for name in (self.text, self.id, self.ground_truth, *self.passthrough) if name))


class Table(Protocol):
    """Open table; its columns are known, its rows are not read yet."""

    schema: pa.Schema

    def batches(self, columns: Columns) -> Iterator[Texts]:
        """Yield every row, numbered from 0.

        A row that cannot be read has a problem; where the file is broken, one row with a problem stands for the rest.
        """


def open_table(file: BinaryIO, name: str, encoding: str, piece: Piece = WHOLE) -> Table:
    """Open the table in `file` by the extension of its `name`; of Parquet and JSON lines, one piece of it.

    Raises: RecordError: `bad_table` when its columns cannot be determined, `bad_encoding`.
    """
    stem = name.lower().removesuffix(".gz")
    stream = unzipped(file, name)
    try:
        if stem.endswith(".parquet"):
            return ParquetTable(stream, piece)
        if stem.endswith((".csv", ".tsv")):
            return CsvTable(stream, "\t" if stem.endswith(".tsv") else ",", encoding)
        return JsonTable(stream, encoding, piece)
    except _BROKEN as err:
        raise RecordError(f"{name}: the table cannot be read: {_reason(err)}", kind="bad_table") from None


_BROKEN = (pa.ArrowException, csv.Error, *BROKEN_GZIP)


class JsonTable:
    """JSON lines, one object each. Other values than strings become JSON text; blank lines are numbered, but are no rows."""

    def __init__(self, stream: BinaryIO, encoding: str, piece: Piece = WHOLE) -> None:
        self._encoding, self._first = encoding, piece.first
        blocks = line_blocks(stream)
        head = list(next(([block] for block in blocks), []))
        self._blocks = chain(head, blocks) if piece.count == 1 else line_blocks(lines_of(stream, piece))
        rows = [self._parse(line) for line in (head[0] or b"").split(b"\n")[:_BATCH_ROWS]] if head else []
        names = dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row)
        self.schema = pa.schema([(sanitise(name), pa.string()) for name in names])

    def batches(self, columns: Columns) -> Iterator[Texts]:
        number = self._first
        try:
            for block in self._blocks:
                lines = [None] if block is None else block.split(b"\n")
                for start in range(0, len(lines), _BATCH_ROWS):
                    part = lines[start : start + _BATCH_ROWS]
                    yield self._texts(part, number, columns)
                    number += len(part)
        except _BROKEN as err:
            yield _broken_from(number, columns, err)

    def _texts(self, lines: Sequence[bytes | None], first: int, columns: Columns) -> Texts:
        parsed = [(first + i, self._parse(line)) for i, line in enumerate(lines) if line is None or line.strip()]
        problems: Problems = {}
        values: dict[str, list[str | None]] = {name: [] for name in columns.all}
        must_be_text = {columns.text, columns.ground_truth, *columns.strings}
        for position, (_, row) in enumerate(parsed):
            if isinstance(row, RecordError):
                problems[position], row = (row.kind, str(row)), {}
            for name, into in values.items():
                value = row.get(name)
                if not (value is None or isinstance(value, str)):
                    if name in must_be_text:
                        problems[position] = ("wrong_type", f"{name} holds a {type(value).__name__}, not text")
                    value = json.dumps(value, ensure_ascii=False)
                into.append(value)
        arrays = {name: _strings(column)[0] for name, column in values.items()}
        return _texts(np.array([number for number, _ in parsed], dtype=np.int64), arrays, columns, problems)

    def _parse(self, line: bytes | None) -> dict[str, Any] | RecordError:
        if line is None:
            return RecordError("the line is too long", kind="too_long")
        try:
            row = json.loads(decode(line, self._encoding, "the line"))
        except RecordError as err:
            return err
        except (ValueError, RecursionError) as err:
            return RecordError(f"the line is not JSON: {_reason(err)}", kind="bad_json")
        return (
            row if isinstance(row, dict) else RecordError(f"the line is a {type(row).__name__}, not an object", kind="bad_json")
        )


class CsvTable:
    """Values separated by comma, semicolon or tab, with a header, quoted with `"`; blank lines are no rows."""

    def __init__(self, stream: BinaryIO, delimiter: str, encoding: str) -> None:
        self._encoding = encoding
        self._blocks_read = 0
        lines = self._lines(stream)
        header = next(lines, "").removeprefix("\ufeff")
        if delimiter not in header:
            delimiter = next((mark for mark in ";\t" if mark in header), delimiter)
        csv.field_size_limit(MAX_LINE_BYTES)
        self._rows = csv.reader(chain([header], lines), delimiter=delimiter)
        names = next(self._rows, [])
        if _strings(names, encoding)[1]:
            raise RecordError(f"the header is not {encoding}; convert the table, or set input.encoding", kind="bad_encoding")
        if len(set(names)) < len(names) or not names:
            raise RecordError("the header names a column twice, or none", kind="bad_table")
        self.schema = pa.schema([(name, pa.string()) for name in names])

    def batches(self, columns: Columns) -> Iterator[Texts]:
        number = 0
        try:
            while (batch := self._read()) is not None:
                rows, problems = batch
                by_name = dict(zip(self.schema.names, zip(*rows, strict=True), strict=True))
                arrays = {}
                for name in columns.all:
                    arrays[name], undecodable = _strings(by_name[name], self._encoding)
                    problems = undecodable | problems
                texts = _texts(np.arange(number, number + len(rows)), arrays, columns, problems)
                if texts.ground_truths is not None:  # an empty cell is how CSV says that there is none
                    texts.ground_truths = pc.if_else(pc.equal(texts.ground_truths, ""), None, texts.ground_truths)
                yield texts
                number += len(rows)
        except _BROKEN as err:
            yield _broken_from(number, columns, err)

    def _read(self) -> tuple[list[Sequence[str | None]], Problems] | None:
        """Return the next few thousand rows, blank where the number of values is wrong; None at the end."""
        rows: list[Sequence[str | None]] = []
        problems: Problems = {}
        width = len(self.schema)
        blank: Sequence[str | None] = [None] * width
        last_block = self._blocks_read + _BATCH_BLOCKS
        while len(rows) < _BATCH_ROWS and self._blocks_read <= last_block:
            try:
                row: Sequence[str | None] = next(self._rows)
            except StopIteration:
                break
            except csv.Error as err:
                row, problems[len(rows)] = blank, ("bad_row", _reason(err))
            if row and len(row) != width:
                problems[len(rows)] = ("bad_row", f"{len(row)} values in a table of {width} columns")
                row = blank
            if row:
                rows.append(row)
        return (rows, problems) if rows else None

    def _lines(self, stream: BinaryIO) -> Iterator[str]:
        for block in line_blocks(stream):
            self._blocks_read += 1
            # What is no text becomes surrogates, which `_strings` finds again, cell by cell.
            text = "\udcff" if block is None else block.decode(self._encoding, errors="surrogateescape")
            for line in text.split("\n"):
                yield line + "\n"


class ParquetTable:
    """Parquet; passthrough columns keep their types, with dictionaries decoded."""

    def __init__(self, stream: BinaryIO, piece: Piece = WHOLE) -> None:
        self._file = pq.ParquetFile(stream, pre_buffer=False)
        groups = self._file.num_row_groups
        self._row_groups = range(groups * piece.index // piece.count, groups * (piece.index + 1) // piece.count)
        self.schema = pa.schema([(field.name, _plain_type(field.type)) for field in self._file.schema_arrow])

    def batches(self, columns: Columns) -> Iterator[Texts]:
        metadata = self._file.metadata
        number = sum(metadata.row_group(i).num_rows for i in range(self._row_groups.start))
        try:
            for batch in self._file.iter_batches(self._batch_rows(), row_groups=list(self._row_groups), columns=columns.all):
                yield self._texts(batch, number, columns)
                number += len(batch)
        except _BROKEN as err:
            yield _broken_from(number, columns, err)

    def _texts(self, batch: pa.RecordBatch, first: int, columns: Columns) -> Texts:
        arrays = {name: batch.column(name).cast(self.schema.field(name).type) for name in columns.all}
        strings: dict[str, pa.Array] = {}
        problems: Problems = {}
        for name, array in arrays.items():
            if name in (columns.text, columns.id, columns.ground_truth, *columns.strings) or array.type == pa.string():
                strings[name], undecodable = _as_strings(array)
                problems |= undecodable
        texts = _texts(np.arange(first, first + len(batch)), arrays | strings, columns, problems)
        checked = {name for name, array in arrays.items() if name in columns.strings or array.type == pa.string()}
        texts.passthrough = [(strings if name in checked else arrays)[name] for name in columns.passthrough]
        return texts

    def _batch_rows(self) -> int:
        metadata = self._file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        row_bytes = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1)
        return int(min(_BATCH_ROWS, max(1, _BATCH_BYTES / max(1, row_bytes))))


def _texts(numbers: np.ndarray, arrays: dict[str, pa.Array], columns: Columns, problems: Problems) -> Texts:
    return Texts(
        numbers,
        arrays[columns.text] if columns.text else pa.nulls(len(numbers), pa.string()),
        problems,
        arrays[columns.ground_truth] if columns.ground_truth else None,
        arrays[columns.id] if columns.id else None,
        [arrays[name] for name in columns.passthrough],
    )


def _broken_from(number: int, columns: Columns, err: Exception) -> Texts:
    blank = dict.fromkeys(columns.all, pa.nulls(1, pa.string()))
    return _texts(
        np.array([number]), blank, columns, {0: ("bad_table", f"from here on the table cannot be read: {_reason(err)}")}
    )


def _as_strings(array: pa.Array) -> tuple[pa.Array, Problems]:
    """Return a Parquet column as valid UTF-8 strings, which the file does not guarantee."""
    if not is_text(array.type):
        return array.cast(pa.string()), {}
    octets = array.cast(pa.binary())
    try:
        return octets.cast(pa.string()), {}
    except pa.ArrowInvalid:
        values = octets.to_pylist()
        return _strings([None if value is None else value.decode(errors="surrogateescape") for value in values], "utf-8")


def _strings(values: Sequence[str | None], encoding: str | None = None) -> tuple[pa.Array, Problems]:
    """Return the values as an array, with a problem for each that `encoding` cannot decode.

    A lone surrogate is such a byte; with None (JSON, which can write surrogates itself) it is replaced without a problem.
    """
    try:
        return pa.array(values, pa.string()), {}
    except UnicodeEncodeError:
        problem = ("bad_encoding", f"a value is not {encoding}; convert the file, or set input.encoding")
        bad = [i for i, value in enumerate(values) if value is not None and _SURROGATES.search(value)]
        cleaned = [None if value is None else sanitise(value) for value in values]
        return pa.array(cleaned, pa.string()), dict.fromkeys(bad, problem) if encoding else {}


def is_text(kind: pa.DataType) -> bool:
    """Return True if a column of this type can hold texts."""
    return kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.null())


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _reason(err: Exception) -> str:
    return " ".join(str(err).split()) or type(err).__name__
