"""Rows in the lines of CSV and TSV: read in the file's dialect, and where that fails line by line, so that no row is lost.

A quotation mark that is never closed would otherwise swallow the rows after it.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ocrray.sources.rows import Problems
from ocrray.sources.tables.csv_dialects import Header, NotOneRecord, Quoting, fits, literal_row, wrong_width
from ocrray.sources.text_files import MAX_LINE_BYTES

TOO_LONG = "\udcff"
"""Stands for a line that is too long to be read."""
_LAST_NUMBER = re.compile(r"(\D*)(\d+)\s*$")


@dataclass(slots=True)
class Rows:
    """Rows of some lines."""

    rows: list[Sequence[str | None]] = field(default_factory=list)
    """Values by column; all None where there is a problem."""
    problems: Problems = field(default_factory=dict)
    unclear: dict[int, str] = field(default_factory=dict)
    """Rows over several lines that can be read as several rows too, with a message, by their positions."""
    lines: int = 0
    """Number of lines that are not blank."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class _Record:
    """Content of some lines: rows (none for a blank line), or a problem; and the number of lines."""

    lines: int
    rows: Sequence[Sequence[str]] = ()
    problem: str = ""
    unclear: str = ""


class RowParser:
    """Cuts lines into rows. `line` is the number in the file, from 1, of the next line."""

    def __init__(self, header: Header, quoting: Quoting) -> None:
        self.line = header.lines + 1
        self._width, self._names = len(header.names), header.names
        self._quoting, self._base = quoting, quoting.dialect
        standard = replace(self._base, quote='"', escapes=False)
        self._others = [other for other in (standard, replace(standard, escapes=True)) if other != self._base]
        self._blank: Sequence[str | None] = [None] * self._width

    def parse(self, lines: Sequence[str], *, at_end: bool) -> tuple[Rows, int]:
        """Return the rows of the first lines, and the number of these: fewer than all where the last row may go on.

        `at_end`: there are no more lines.
        """
        found, start = Rows(), 0
        while start < len(lines):
            after = self._plain_rows(lines, start, found.rows)
            if after == len(lines):
                start = after
                break
            record = self._record(lines, after, at_end=at_end)
            if record is None:
                start = after
                break
            self._add(record, found)
            start = after + record.lines
        self.line += start
        found.lines += start
        return found, start

    def _plain_rows(self, lines: Sequence[str], start: int, rows: list[Sequence[str | None]]) -> int:
        """Add rows up to the first that needs a closer look, and return where that begins.

        A row over several lines needs none where few of them could be rows by themselves.
        """
        width, first = self._width, self._names[0]
        reader = self._base.reader(map(lines.__getitem__, range(start, len(lines))) if start else lines)
        at = start
        try:
            for row in reader:
                after = start + reader.line_num
                if len(row) != width or row[0] == first:
                    return at
                if after > at + 1 and width > 1 and self._may_be_rows(lines, at, after):
                    return at
                rows.append(row)
                at = after
        except csv.Error:
            pass
        return at

    def _may_be_rows(self, lines: Sequence[str], start: int, end: int) -> bool:
        """Return whether at least half of the lines, the first among them, may be rows by themselves, as far as is told fast."""
        delimiter, marks = self._base.delimiter, self._width - 1
        may_be = [line.count(delimiter) == marks or line.rstrip().endswith(delimiter) for line in lines[start:end]]
        return may_be[0] and sum(may_be) >= max(2, len(may_be) / 2)

    def _add(self, record: _Record, found: Rows) -> None:
        position = len(found.rows)
        if not record.rows and not record.problem:
            found.lines -= record.lines  # blank
        if record.problem:
            kind = "too_long" if record.problem.startswith(_LINE_TOO_LONG) else "bad_row"
            found.problems[position] = (kind, record.problem)
            found.rows.append(self._blank)
        if record.unclear:
            found.unclear[position] = record.unclear
        found.rows += record.rows

    def _record(self, lines: Sequence[str], start: int, *, at_end: bool) -> _Record | None:
        """Return what stands at `start`; None where more lines are needed to tell."""
        line = lines[start]
        if not line.strip("\r\n") or (self._width > 1 and not line.strip()):
            return _Record(1)
        if line.startswith(TOO_LONG):
            return _Record(1, problem=f"{_LINE_TOO_LONG} ({self._place(start)})")
        failures = []
        for dialect in (self._base, *self._others):
            try:
                row, count = dialect.record(lines, start, self._width)
                return self._checked(lines, start, row, count)
            except NotOneRecord as err:
                failures.append(err)
        may_go_on = not at_end and any(err.is_open for err in failures)
        if may_go_on and sum(map(len, lines[start:])) < MAX_LINE_BYTES:
            return None
        return self._one_line(lines, start) or self._failed(lines, start, failures[0])

    def _checked(self, lines: Sequence[str], start: int, row: list[str], count: int) -> _Record:
        """Return the row, or rows where its lines are more likely rows by themselves; a repeated header is a problem."""
        if [name.strip().removeprefix("\ufeff") for name in row] == self._names and self._width > 1:
            return _Record(
                count, problem=f"the header is repeated in {self._place(start)}: are these several tables in one file?"
            )
        if count == 1:
            return _Record(1, [row])
        delimiter = self._base.delimiter
        parts = [literal_row(line, delimiter) for line in lines[start : start + count] if line.strip()]
        are_rows = [fits(part, self._width) for part in parts]
        if self._width == 1 or not are_rows[0]:
            return _Record(count, [row])
        is_tabbed = delimiter == "\t" and not self._quoting.is_needed and all(are_rows)
        if is_tabbed or _count_on([part[0] if is_row else None for part, is_row in zip(parts, are_rows, strict=True)]):
            return _Record(1, [parts[0][: self._width]])
        message = f"{self._place(start, count)} are read as one row, but each could be a row by itself"
        return _Record(count, [row], unclear=message if all(are_rows) else "")

    def _one_line(self, lines: Sequence[str], start: int) -> _Record | None:
        """Read one line with its quotation marks as text, with carriage returns in it, or as rows that these end."""
        line, delimiter = lines[start], self._base.delimiter
        row = literal_row(line, delimiter) if self._width > 1 else [line.rstrip("\r\n")]
        if fits(row, self._width):
            return _Record(1, [self._unquoted(row)])
        text = line.rstrip("\r\n")
        if text[:1] == text[-1:] == '"' and len(inner := text[1:-1].split(f'"{delimiter}"')) == self._width:
            return _Record(1, [[value.replace('""', '"') for value in inner]])  # a mark inside a value was not doubled
        parts = [part for part in text.split("\r") if part]
        rows = [literal_row(part, delimiter) for part in parts]
        return _Record(1, rows) if len(rows) > 1 and all(fits(row, self._width) for row in rows) else None

    def _unquoted(self, row: Sequence[str]) -> list[str]:
        """Take off marks around values, where the file has them; some value of this row has one inside that was not doubled."""
        values = row[: self._width]
        if not self._base.quote:
            return list(values)
        return [value[1:-1].replace('""', '"') if len(value) > 1 and value[0] == value[-1] == '"' else value for value in values]

    def _failed(self, lines: Sequence[str], start: int, failure: NotOneRecord) -> _Record:
        """Return a problem for the line, and for those after it up to the next that can be read, where a mark opened in it."""
        text, is_width = str(failure), "values in a table" in str(failure)
        if '"' not in lines[start] or (is_width and failure.at_line == 1):
            width = text if is_width else wrong_width(literal_row(lines[start], self._base.delimiter), self._width)
            return _Record(1, problem=f"{width} ({self._place(start)})")
        end, last = start + 1, start + failure.at_line if is_width else len(lines)
        while end < last and not self._begins_row(lines, end):
            end += 1
        opened = self._place(start)
        if failure.is_open:
            problem = f"a quotation mark that opens in {opened} is never closed"
        elif "expected after" in text:
            closed = self._place(start + failure.at_line - 1)
            problem = f"a quotation mark that opens in {opened} closes in {closed} before other text: inside a value, double it"
        else:
            problem = f"{text}, with a quotation mark that opens in {opened}"
        lost = end - start - 1
        inside = f"; the {lost:,} lines after it, up to line {self.line + end - 1}, are lost with it" if lost else ""
        return _Record(end - start, problem=problem + inside)

    def _begins_row(self, lines: Sequence[str], start: int) -> bool:
        if fits(literal_row(lines[start], self._base.delimiter), self._width):
            return True
        try:
            return bool(self._base.record(lines, start, self._width))
        except NotOneRecord:
            return False

    def _place(self, start: int, count: int = 1) -> str:
        first = self.line + start
        return f"line {first}" if count == 1 else f"lines {first} to {first + count - 1}"


_LINE_TOO_LONG = f"a line of more than {MAX_LINE_BYTES:,} bytes"


def _count_on(ids: Sequence[str | None]) -> bool:
    """Return whether at least half of these, the first among them, end in numbers that count lines, after the same beginning."""
    found = [_LAST_NUMBER.match(text or "") for text in ids]
    if found[0] is None or 2 * sum(map(bool, found)) < len(found) or sum(map(bool, found)) < 2:
        return False
    beginning, first = found[0][1], int(found[0][2])
    return all(match is None or (match[1] == beginning and int(match[2]) == first + i) for i, match in enumerate(found))
