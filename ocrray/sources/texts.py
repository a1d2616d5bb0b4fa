"""Reading of tables and plain text, files of many short texts, into rows of the work list."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pyarrow as pa

from ocrray.errors import ConfigError, EngineError, RecordError
from ocrray.sources.input import InputConfig
from ocrray.sources.kinds import KINDS, InputKind, family_of
from ocrray.sources.pages import named_file
from ocrray.sources.rows import Texts, page_row, table_of_rows, table_of_texts
from ocrray.sources.streams import BROKEN_STREAM, TextEncoding, text_stream
from ocrray.sources.tables.columns import Columns, Table
from ocrray.sources.tables.forms import can_be_cut, columns_problem, describe, open_table, repeated_problem
from ocrray.sources.tables.parquet_table import is_text
from ocrray.sources.text_files import WHOLE, Piece, count_lines, lines_of, read_units
from ocrray.sources.walk import Found
from ocrray.storage import files
from ocrray.storage.files import FileStat

_TEXT_COLUMNS = ("text", "ocr")
_SHOWN_UNCLEAR = 5


class TextReader:
    """Reader of tables and text files; `passthrough` is the schema of the passthrough columns, as in the first table."""

    def __init__(self, config: InputConfig, passthrough: pa.Schema, pool: ThreadPoolExecutor) -> None:
        self.config = config
        self.passthrough = passthrough
        self._pool = pool
        self.table_rows = self.table_lines = 0
        self.unclear: list[str] = []

    def read(self, found: Found, kind: InputKind, piece: Piece = WHOLE) -> Iterator[pa.Table]:
        """Yield the rows of a file, or of a piece of it; where it cannot be read on, the last row is a failed record.

        Raises: ConfigError: when a table lacks a column; EngineError: when the file went away between its pieces.
        """
        rows, is_open = piece.first, False
        self.table_rows, self.table_lines, self.unclear = 0, 0, []
        try:
            with files.open_binary(found.location) as file:
                batches = self._batches(file, found, kind, piece)
                is_open = True
                for batch in batches:
                    self._count(found, batch)
                    if len(batch.texts):
                        yield self._rows(found, kind, batch)
                        rows = int(batch.numbers[-1]) + 1
        except (RecordError, *BROKEN_STREAM) as err:
            if piece.index and not is_open:
                if getattr(err, "kind", "") == "missing":
                    raise EngineError(f"{found.name}: the file went away while it was listed: {err}") from None
                return  # the first piece says that the file cannot be opened
            problem = RecordError(f"{found.name}: cannot be read: {err}", kind=_kind_of(err))
            yield table_of_rows([page_row(found, kind.name, rows, problem)], self.passthrough)

    def _batches(self, file: BinaryIO, found: Found, kind: InputKind, piece: Piece) -> Iterator[Texts]:
        if kind.texts == "rows":
            table = open_table(file, found.location.name, self.config.text_encoding, piece)
            return table.batches(_columns(table, found, self.config))
        by_paragraph = self.config.text_unit == "paragraph"
        stream = text_stream(file, found.location.name, self.config.text_encoding)
        return read_units(lines_of(stream.file, piece), stream.encoding, by_paragraph=by_paragraph, first=piece.first)

    def _count(self, found: Found, batch: Texts) -> None:
        if batch.lines:
            self.table_rows += len(batch.texts)
            self.table_lines += batch.lines
            self.unclear += [f"{found.name}: {message}" for message in batch.unclear[: _SHOWN_UNCLEAR - len(self.unclear)]]

    def _rows(self, found: Found, kind: InputKind, batch: Texts) -> pa.Table:
        batch.passthrough = [self._cast(found, i, array) for i, array in enumerate(batch.passthrough)] or [
            pa.nulls(len(batch.texts), column.type) for column in self.passthrough
        ]
        table = table_of_texts(found, kind.name, batch, self.passthrough, self.config.max_text_chars)
        return self._with_images(table, found) if kind.texts == "rows" and self.config.image_column else table

    def _cast(self, found: Found, index: int, array: pa.Array) -> pa.Array:
        column = self.passthrough.field(index)
        if array.null_count == len(array):
            return pa.nulls(len(array), column.type)
        try:
            return array.cast(column.type)
        except pa.ArrowException:
            message = f"{found.name}: column {column.name} holds {array.type}, but in the first table {column.type}"
            raise ConfigError(message) from None

    def _with_images(self, table: pa.Table, found: Found) -> pa.Table:
        """Return the same rows as scans: each text is the file name of one."""
        rows = table.to_pylist()
        scans = self._pool.map(lambda row: None if row["text"] is None else _image_columns(found, row["text"]), rows)
        for row, scan in zip(rows, scans, strict=True):
            row["text"] = None
            if isinstance(scan, RecordError):
                row |= {"ground_truth": None, "error_kind": scan.kind, "error": str(scan)}
            elif scan:
                row |= scan
        return pa.Table.from_pylist(rows, schema=table.schema)


def count_rows(task: tuple[Found, TextEncoding, Piece]) -> int:
    """Return the number of lines in a piece of a file of text or JSON lines; -1 if it cannot be read in pieces."""
    found, encoding, piece = task
    try:
        with files.open_binary(found.location) as file:
            if not can_be_cut(file, found.location.name, encoding):
                return -1
            return count_lines(lines_of(file, piece), encoding, only_lf=not found.location.name.lower().endswith(".txt"))
    except (RecordError, OSError):
        return -1


def first_table_types(config: InputConfig, candidates: Iterable[Found]) -> pa.Schema:
    """Return the types of the passthrough columns in the first table that can be opened; text if there is none.

    All tables of a run must fit them, as a corpus has one schema.

    Raises: ConfigError: when that table lacks a column of the config.
    """
    for found in candidates:
        try:
            with files.open_binary(found.location) as file:
                table = open_table(file, found.location.name, config.text_encoding)
                _columns(table, found, config)
        except RecordError:  # it will be a failed record
            continue
        if table.schema.names:
            return pa.schema([(name, table.schema.field(name).type) for name in config.passthrough])
    return pa.schema([(name, pa.string()) for name in config.passthrough])


def _columns(table: Table, found: Found, config: InputConfig) -> Columns:
    names = table.schema.names
    text = config.image_column or config.text_column
    likely = [name for name in _TEXT_COLUMNS if name in names]
    if text is None and len(likely) != 1 and names:
        raise ConfigError(f"{found.name}: set {config.key('text_column')}; {describe(table)}")
    columns = Columns(
        text or (likely or _TEXT_COLUMNS)[0],
        config.id_column,
        config.ground_truth_column,
        tuple(config.passthrough),
        optional=config.answers,
    )
    if problem := repeated_problem(table, columns.all):
        raise RecordError(problem, kind="bad_table")
    if names and (problem := columns_problem(table, columns.all)):
        raise ConfigError(f"{found.name}: {problem}")
    for name in {config.text_column, config.ground_truth_column, columns.text} & set(names):
        if not is_text(table.schema.field(name).type):
            raise ConfigError(f"{found.name}: column {name} holds {table.schema.field(name).type}, not text")
    return columns


def _kind_of(error: Exception) -> str:
    if isinstance(error, RecordError):
        return error.kind
    return files.READ_ERROR if isinstance(error, OSError) else "unreadable"


def _image_columns(base: Found, name: str) -> dict[str, str | int] | RecordError:
    """Return the work list's columns for the scan of this name, relative to the folder of `base`."""
    scan = named_file(base, name)
    if not isinstance(scan.stat, FileStat):
        return scan.stat
    family = family_of(scan.location.name)
    kind = KINDS.get(family) if family else None
    if kind is None or kind.image is None:
        return RecordError(f"{scan.name}: not a kind of scan that is read", kind="unknown_format")
    try:
        pages = kind.image.count_pages(scan.location.uri)
    except RecordError as err:
        return err
    if pages > 1:
        message = f"{scan.name}: {pages} pages, where a row of a table is one; name it in input.paths"
        return RecordError(message, kind="many_pages")
    return {"uri": scan.location.uri, "kind": kind.name, "page": 0, "size": scan.stat.size, "etag": scan.stat.etag}
