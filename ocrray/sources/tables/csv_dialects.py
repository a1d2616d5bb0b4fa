"""Dialects of CSV and TSV: delimiter, quotation marks and escapes, found in the header and the first rows of a file."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ocrray.sources.text_files import MAX_LINE_BYTES

_DELIMITERS = ",;\t|"
_EXCEL_HINT = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_SAMPLED_ROWS = 400
_DELIMITER_ROWS = 40
_QUOTED_FRAC = 0.8
_READ_PAIRS = '"\\\n\r'  # with the delimiter, what a backslash escapes; before any other letter it is a backslash


class Reader(Protocol):
    """A reader of the module csv."""

    line_num: int
    """Lines read so far."""

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class NotOneRecord(Exception):  # noqa: N818 - an outcome
    """Raised where no record of the dialect begins; `at_line`: lines read, `is_open`: they end inside it."""

    def __init__(self, reason: str, at_line: int, *, is_open: bool) -> None:
        super().__init__(reason)
        self.at_line, self.is_open = at_line, is_open


@dataclass(frozen=True, slots=True)
class Dialect:
    """Way to write rows as lines."""

    delimiter: str
    quote: str = '"'
    """Mark around values; empty: quotation marks are text."""
    escapes: bool = False
    """A backslash takes the meaning from a quotation mark, a delimiter, a line end or a backslash."""
    skips_spaces: bool = False
    """A space after the delimiter belongs to it."""

    def reader(self, lines: Iterable[str]) -> "Reader":
        """Return a strict reader of the rows in `lines`."""
        csv.field_size_limit(MAX_LINE_BYTES)
        return csv.reader(
            map(self._protected, lines) if self.escapes else lines,
            delimiter=self.delimiter,
            quotechar=self.quote or '"',
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar="\\" if self.escapes else None,
            skipinitialspace=self.skips_spaces,
            strict=True,
        )

    def record(self, lines: Sequence[str], start: int, width: int | None = None) -> tuple[list[str], int]:
        """Return the record that begins at `start`, of `width` values, and the number of its lines.

        Raises: NotOneRecord: when there is none.
        """
        reader = self.reader(map(lines.__getitem__, range(start, len(lines))))
        try:
            row = next(reader, [])
        except csv.Error as err:
            raise NotOneRecord(str(err), reader.line_num, is_open=is_open(err)) from None
        if width is not None and not fits(row, width):
            raise NotOneRecord(wrong_width(row, width), reader.line_num, is_open=False)
        return row[:width], reader.line_num

    def _protected(self, line: str) -> str:
        """Double each backslash that escapes nothing: Python's reader would drop it."""
        if "\\" not in line:
            return line
        kept = _READ_PAIRS + self.delimiter + self.quote
        return re.sub(r"\\(.?)", lambda pair: pair[0] if pair[1] and pair[1] in kept else f"\\\\{pair[1]}", line, flags=re.DOTALL)


def is_open(error: csv.Error) -> bool:
    """Return whether the lines end inside a value."""
    return "unexpected end of data" in str(error)


def fits(row: Sequence[str], width: int) -> bool:
    """Return whether a row has the values of a table of `width` columns; values beyond them may be empty."""
    return len(row) == width or (len(row) > width and not any(row[width:]))


def wrong_width(row: Sequence[str], width: int) -> str:
    """Return what is wrong with a row of another number of values."""
    return f"{len(row)} values in a table of {width} columns"


def literal_row(line: str, delimiter: str) -> list[str]:
    """Return the values of one line in which quotation marks are text."""
    return line.rstrip("\r\n").split(delimiter)


@dataclass(frozen=True, slots=True)
class Header:
    """Names of the columns, and the number of lines they stand in, leading blank ones included."""

    names: list[str]
    lines: int
    dialect: Dialect


def read_header(lines: Sequence[str], default: str) -> Header:
    """Find the delimiter, `default` if it can be that, and read the header.

    Raises: NotOneRecord: when there is no header.
    """
    first = next((number for number, line in enumerate(lines) if line.strip("\r\n")), len(lines))
    candidates = dict.fromkeys(default + _DELIMITERS)
    if first < len(lines) and (hint := _EXCEL_HINT.fullmatch(lines[first])):
        first, candidates = first + 1, {hint[1]: None}
    if first >= len(lines):
        raise NotOneRecord("there is no header", first, is_open=False)
    options = [_header(lines, first, delimiter) for delimiter in candidates]
    several = [option for option in options if len(option.names) > 1]
    return max(several, key=lambda option: _share_that_fits(lines, option), default=options[0])


def _header(lines: Sequence[str], first: int, delimiter: str) -> Header:
    dialect = Dialect(delimiter)
    try:
        names, count = dialect.record(lines, first)
    except NotOneRecord:
        names, count = literal_row(lines[first], delimiter), 1
    if all(name.startswith("'") and name.endswith("'") and len(name) > 1 for name in map(str.strip, names)):
        dialect = Dialect(delimiter, "'")
        names, count = dialect.record(lines, first)
    if len(names) > 1 and all(name.startswith(" ") for name in names[1:]):
        dialect = replace(dialect, skips_spaces=True)
        names, count = dialect.record(lines, first)
    return Header([name.strip() for name in names], first + count, dialect)


def _share_that_fits(lines: Sequence[str], header: Header) -> float:
    rows = [line for line in lines[header.lines : header.lines + _DELIMITER_ROWS] if line.strip("\r\n")]
    return sum(_fits_alone(line, header) for line in rows) / max(1, len(rows))


def _fits_alone(line: str, header: Header) -> bool:
    width = len(header.names)
    try:
        return bool(header.dialect.record([line], 0, width))
    except NotOneRecord:
        return fits(literal_row(line, header.dialect.delimiter), width)


@dataclass(frozen=True, slots=True)
class Quoting:
    """Dialect that the rows of a file are read in first, and whether some of them can be read in no other way."""

    dialect: Dialect
    is_needed: bool


def find_quoting(lines: Sequence[str], header: Header, *, is_whole: bool) -> Quoting:
    """Find how values are quoted, from the rows below the header in `lines`; `is_whole` if these are all of the file.

    The standard (`"` around values, doubled inside) holds where no other dialect reads more of the rows.
    """
    base, literal = header.dialect, replace(header.dialect, quote="")
    double, single = ([replace(base, quote=quote, escapes=escapes) for escapes in (False, True)] for quote in "\"'")
    ranked = list(dict.fromkeys([base, *double, literal, *single]))
    misfits = {dialect: _misfits(lines, header, dialect, is_whole=is_whole) for dialect in ranked}
    if _is_quoted(lines, header):
        ranked = [dialect for dialect in ranked if dialect.quote == '"']
    escaping = replace(base, escapes=_has_escapes(lines[header.lines :], base))
    best = min(ranked, key=lambda dialect: (misfits[dialect], dialect != escaping))
    return Quoting(best, is_needed=misfits[literal] > misfits[best])


def _misfits(lines: Sequence[str], header: Header, dialect: Dialect, *, is_whole: bool) -> int:
    """Return the number of lines that begin no row of the dialect, where one could begin."""
    misfits, start, width = 0, header.lines, len(header.names)
    while start < len(lines):
        reader = dialect.reader(map(lines.__getitem__, range(start, len(lines))))
        first = start
        try:
            for row in reader:
                if row and len(row) != width:
                    break
                first = start + reader.line_num
            else:
                return misfits
        except csv.Error as err:
            if is_open(err) and not is_whole:
                return misfits
        misfits, start = misfits + 1, first + 1
    return misfits


def _has_escapes(lines: Sequence[str], dialect: Dialect) -> bool:
    """Return whether quotation marks inside of values are escaped, and none is doubled."""
    end = rf"(?:{re.escape(dialect.delimiter)}|[\r\n])"
    escaped = re.compile(rf"(?<!\\)\\{dialect.quote}(?!{end})")
    doubled = re.compile(rf"(?<!^)(?<!{end}){dialect.quote}{{2}}(?!{end})")
    return any(map(escaped.search, lines)) and not any(map(doubled.search, lines))


def _is_quoted(lines: Sequence[str], header: Header) -> bool:
    """Return whether one column, or the header, is in quotation marks throughout: then the marks are no text."""
    delimiter, width = header.dialect.delimiter, len(header.names)
    head = literal_row(lines[header.lines - 1], delimiter)
    if all(len(name) > 1 and name[0] == name[-1] == '"' for name in map(str.strip, head)):
        return True
    quoted, filled = [0] * width, [0] * width
    for line in lines[header.lines : header.lines + _SAMPLED_ROWS]:
        for column, value in enumerate(literal_row(line, delimiter)[:width]):
            filled[column] += bool(value)
            quoted[column] += len(value) > 1 and value[0] == value[-1] == '"'
    return any(marks > max(1, _QUOTED_FRAC * values) for marks, values in zip(quoted, filled, strict=True))
