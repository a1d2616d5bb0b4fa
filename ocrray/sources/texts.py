"""Reading of tables and plain text, files of many short texts, into rows of the work list."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pyarrow as pa

from ocrray.errors import ConfigError, RecordError
from ocrray.sources.input import AUTO, InputConfig
from ocrray.sources.kinds import KINDS, InputKind, family_of
from ocrray.sources.pages import named_file
from ocrray.sources.rows import Texts, page_row, table_of_rows, table_of_texts
from ocrray.sources.tables import Columns, Table, is_text, open_table
from ocrray.sources.text_files import BROKEN_GZIP, read_units, unzipped
from ocrray.sources.walk import Found, Walk
from ocrray.storage import files
from ocrray.storage.files import FileStat

_TEXT_COLUMNS = ("text", "ocr")


class TextReader:
    """Reader of tables and text files; `passthrough` is the schema of the passthrough columns, as in the first table."""

    def __init__(self, config: InputConfig, walk: Walk, pool: ThreadPoolExecutor) -> None:
        self.config = config
        self._pool = pool
        self.passthrough = self._passthrough(walk)

    def read(self, found: Found, kind: InputKind) -> Iterator[pa.Table]:
        """Yield the rows of one file; if it cannot be read to its end, the last row is a failed record.

        Raises: ConfigError: when a table lacks a column.
        """
        rows = 0
        try:
            with files.open_binary(found.location) as file:
                for batch in self._batches(file, found, kind):
                    if len(batch.texts):
                        yield self._rows(found, kind, batch)
                        rows = int(batch.numbers[-1]) + 1
        except (RecordError, *BROKEN_GZIP) as err:
            problem = RecordError(f"{found.name}: cannot be read: {err}", kind=getattr(err, "kind", "unreadable"))
            yield table_of_rows([page_row(found, kind.name, rows, problem)], self.passthrough)

    def _batches(self, file: BinaryIO, found: Found, kind: InputKind) -> Iterator[Texts]:
        if kind.texts == "rows":
            table = open_table(file, found.location.name, self.config.encoding)
            return table.batches(self._columns(table, found))
        by_paragraph = self.config.text_unit == "paragraph"
        return read_units(unzipped(file, found.location.name), self.config.encoding, by_paragraph=by_paragraph)

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

    def _columns(self, table: Table, found: Found) -> Columns:
        config, names = self.config, table.schema.names
        text = config.image_column or config.text_column
        likely = [name for name in _TEXT_COLUMNS if name in names]
        if text is None and len(likely) != 1 and names:
            raise ConfigError(f"{found.name}: set input.text_column; the columns are {', '.join(names)}")
        columns = Columns(
            text or (likely or _TEXT_COLUMNS)[0], config.id_column, config.ground_truth_column, tuple(config.passthrough)
        )
        missing = [name for name in columns.all if name not in names]
        if missing and names:
            raise ConfigError(f"{found.name}: no column {', '.join(missing)}; the columns are {', '.join(names)}")
        for name in {config.text_column, config.ground_truth_column, columns.text} & set(names):
            if not is_text(table.schema.field(name).type):
                raise ConfigError(f"{found.name}: column {name} holds {table.schema.field(name).type}, not text")
        return columns

    def _passthrough(self, walk: Walk) -> pa.Schema:
        """Return the types in the first table; all tables of a run must fit them, as a corpus has one schema."""
        columns = [(name, pa.string()) for name in self.config.passthrough]
        candidates = (found for batch in walk.batches(Counter()) for found in batch) if columns else iter(())
        for found in candidates:
            family = family_of(found.location.name)
            kind = KINDS.get(family) if family else None
            if self.config.kind not in (AUTO, family) or kind is None or kind.texts != "rows":
                continue
            try:
                with files.open_binary(found.location) as file:
                    schema = open_table(file, found.location.name, self.config.encoding).schema
            except RecordError:  # it will be a failed record
                continue
            return pa.schema([(name, schema.field(name).type if name in schema.names else type_) for name, type_ in columns])
        return pa.schema(columns)


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
