"""Tables whose rows are records: JSON, CSV, TSV and Parquet, plain or compressed, for every verb that reads tables."""

from collections.abc import Iterable, Mapping
from typing import BinaryIO

from ocrray.errors import RecordError
from ocrray.sources.compression import SUFFIXES
from ocrray.sources.streams import PACKED, TextEncoding, stem_of, text_stream
from ocrray.sources.tables.columns import BROKEN_TABLE, Table, reason_of
from ocrray.sources.tables.csv_table import CsvTable
from ocrray.sources.tables.json_table import JsonTable, has_json_lines
from ocrray.sources.tables.parquet_table import ParquetTable
from ocrray.sources.text_files import WHOLE, Piece
from ocrray.sources.walk import Found

_JSON = (".jsonl", ".ndjson", ".json")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
EXTENSIONS = (*(extension + packed for extension in (*_JSON, *_DELIMITERS) for packed in PACKED), ".parquet")

ADVICE = (
    f"a table ends in {', '.join((*_JSON, *_DELIMITERS, '.parquet'))}, or with {', '.join(SUFFIXES)} after it; a .json is read "
    "where it is named itself, or by a glob that ends in .json"
)


def is_table(found: Found) -> bool:
    """Return whether a file is a table by its name. Folders hold other JSON: a `.json` must be named (`*.json`)."""
    name = found.location.name.lower()
    return name.endswith(EXTENSIONS) and (not stem_of(name).endswith(".json") or found.origin in ("file", "ending"))


def open_table(file: BinaryIO, name: str, encoding: TextEncoding, piece: Piece = WHOLE) -> Table:
    """Open the table in `file` by the extension of its `name`; of Parquet and JSON lines, one piece of it.

    Raises: RecordError: `bad_table` when its columns cannot be determined, `bad_encoding`, `empty_file`.
    """
    stem = stem_of(name)
    try:
        if stem.endswith(".parquet"):
            return ParquetTable(file, piece)
        stream = text_stream(file, name, encoding)
        delimiter = _DELIMITERS.get(stem[-4:])
        return CsvTable(stream, delimiter) if delimiter else JsonTable(stream, piece)
    except BROKEN_TABLE as err:
        raise RecordError(f"the table cannot be read: {reason_of(err)}", kind="bad_table") from None


def can_be_cut(file: BinaryIO, name: str, encoding: TextEncoding) -> bool:
    """Return whether a file of JSON or text can be read in pieces that end at line ends.

    Raises: RecordError: `bad_encoding`.
    """
    stream = text_stream(file, name, encoding)
    return stream.is_plain and (not stem_of(name).endswith(_JSON) or has_json_lines(stream.peek(1 << 16), stream.encoding))


def columns_problem(table: Table, wanted: Iterable[str], labels: Mapping[str, str] | None = None) -> str:
    """Return which of the columns are missing, or named twice, and what the table has instead; empty where all are there.

    `labels` are what messages call the columns.
    """
    names, wanted = table.schema.names, list(dict.fromkeys(wanted))
    called = {name: name for name in wanted} | dict(labels or {})
    if missing := [called[name] for name in wanted if name not in names]:
        return f"no column {', '.join(missing)}; {describe(table)}"
    return repeated_problem(table, wanted, called)


def repeated_problem(table: Table, wanted: Iterable[str], labels: Mapping[str, str] | None = None) -> str:
    """Return which of the columns the table has several of; empty where there are none."""
    repeated = ", ".join((labels or {}).get(name, name) for name in wanted if name in table.repeated)
    return f"several columns are called {repeated}: rename all but one of them" if repeated else ""


def describe(table: Table) -> str:
    """Return a clause about a table's form and columns."""
    names = ", ".join(table.schema.names)
    if table.form == "a single JSON object":
        return f"the file is a single JSON object with the keys {names}; a table is one object a line, or an array of objects"
    return f"the file is {table.form}; its columns are {names}" if names else f"the file is {table.form} that holds no objects"
