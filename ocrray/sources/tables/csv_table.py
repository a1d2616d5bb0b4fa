"""CSV and TSV, in the dialects of spreadsheets, databases and `csv` modules, read in batches of bounded size."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import RecordError
from ocrray.sources.rows import Texts
from ocrray.sources.streams import TextStream
from ocrray.sources.tables.columns import BATCH_ROWS, BROKEN_TABLE, Columns, broken_from, reason_of, to_strings, to_texts
from ocrray.sources.tables.csv_dialects import NotOneRecord, find_quoting, read_header
from ocrray.sources.tables.csv_rows import TOO_LONG, RowParser, Rows
from ocrray.sources.text_files import line_blocks

_NO_VALUE = r"^(\s*|\\N)$"
_NAMES = {",": "CSV", "\t": "TSV"}


class CsvTable:
    """Rows of values between delimiters, below a header; blank lines are no rows."""

    def __init__(self, stream: TextStream, delimiter: str) -> None:
        self._encoding = stream.encoding
        self._chunks = self._lines(stream)
        head, is_whole = self._head()
        if not any(line.strip("\ufeff\r\n") for line in head):
            raise RecordError("the file is empty", kind="empty_file")
        head[0] = head[0].removeprefix("\ufeff")
        try:
            header = read_header(head, delimiter)
        except NotOneRecord as err:
            raise RecordError(str(err), kind="bad_table") from None
        names = header.names
        if to_strings(names, self._encoding)[1]:
            message = f"the header is not {self._encoding.name}; {self._encoding.advice}"
            raise RecordError(message, kind="bad_encoding")
        mark = header.dialect.delimiter
        self.form = _NAMES.get(mark, f"CSV with {mark} between the values")
        self.repeated = frozenset(name for name in names if names.count(name) > 1)
        self.schema = pa.schema([(name, pa.string()) for name in dict.fromkeys(names)])
        self._names = names
        self._parser = RowParser(header, find_quoting(head, header, is_whole=is_whole))
        self._rest = head[header.lines :]

    def batches(self, columns: Columns) -> Iterator[Texts]:
        number = 0
        try:
            for rows in filter(len, self._rows()):
                yield self._texts(rows, number, columns)
                number += len(rows)
        except BROKEN_TABLE as err:
            yield broken_from(number, columns, reason_of(err))

    def _head(self) -> tuple[list[str], bool]:
        """Return the first lines, and whether they are all; a damage behind them is found again by who reads on."""
        head: list[str] = []
        try:
            while len(head) <= BATCH_ROWS:
                if (chunk := next(self._chunks, None)) is None:
                    return head, True
                head += chunk
        except BROKEN_TABLE as err:
            if not head:
                raise
            self._chunks = _raising(err)
        return head, False

    def _rows(self) -> Iterator[Rows]:
        """Yield the rows chunk by chunk; a row that goes on is parsed again when twice as many lines are there."""
        waiting, wanted, broken = list[str](), 0, None
        try:
            for chunk in chain(_cut(self._rest), self._chunks):
                waiting += chunk
                if len(waiting) < wanted:
                    continue
                rows, used = self._parser.parse(waiting, at_end=False)
                waiting = waiting[used:]
                wanted = 2 * len(waiting)
                yield rows
        except BROKEN_TABLE as err:
            broken = err
        yield self._parser.parse(waiting, at_end=True)[0]
        if broken:
            raise broken

    def _texts(self, rows: Rows, first: int, columns: Columns) -> Texts:
        by_column = list(zip(*rows.rows, strict=True))
        problems = rows.problems
        arrays = {}
        for name in columns.all:
            arrays[name], undecodable = to_strings(by_column[self._names.index(name)], self._encoding)
            problems = undecodable | problems
            if name in columns.optional:
                arrays[name] = _without_empty(arrays[name])
        texts = to_texts(np.arange(first, first + len(rows)), arrays, columns, problems)
        texts.lines, texts.unclear = rows.lines, list(rows.unclear.values())
        if texts.ground_truths is not None:
            texts.ground_truths = _without_empty(texts.ground_truths)
        return texts

    def _lines(self, stream: TextStream) -> Iterator[list[str]]:
        """Yield lines with their ends, some thousands at a time. Bytes that are no text become surrogates, for `to_strings`."""
        for block in line_blocks(stream.file, or_cr=True):
            text = TOO_LONG if block is None else block.decode(stream.encoding.name, errors="surrogateescape")
            yield from _cut([f"{line}\n" for line in text.split("\n")])


def _cut(lines: Sequence[str]) -> Iterator[list[str]]:
    return (list(lines[start : start + BATCH_ROWS]) for start in range(0, len(lines), BATCH_ROWS))


def _raising(error: Exception) -> Iterator[list[str]]:
    yield from ()
    raise error


def _without_empty(values: pa.Array) -> pa.Array:
    r"""Return null for empty values and `\N`, which is how CSV says that there is none."""
    return pc.if_else(pc.match_substring_regex(values, _NO_VALUE), None, values)
