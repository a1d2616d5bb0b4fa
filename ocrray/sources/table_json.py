"""JSON lines, and the objects of a JSON file of another form, read in batches of bounded size."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa

from ocrray.errors import RecordError
from ocrray.sources.json_values import JsonValue, JsonValues
from ocrray.sources.rows import Problems, Texts
from ocrray.sources.streams import TextEncoding, TextStream
from ocrray.sources.table_columns import BATCH_ROWS, BROKEN_TABLE, Columns, broken_from, reason_of, to_strings, to_texts
from ocrray.sources.text_files import MAX_LINE_BYTES, WHOLE, Piece, decode, line_blocks, lines_of
from ocrray.text.normalise import sanitise

_SNIFF_BYTES = 1 << 16
_BATCH_CHARS = 1 << 23
_DECODER = json.JSONDecoder()

Row = tuple[int, JsonValue]
"""Number of a row, and its value."""


class JsonTable:
    """JSON lines, one object each; or an array of objects, or objects one after the other, over any number of lines.

    Other values than strings become JSON text. Blank lines of JSON lines are numbered, but are no rows.
    """

    repeated: frozenset[str] = frozenset()

    def __init__(self, stream: TextStream, piece: Piece = WHOLE) -> None:
        head = stream.peek(_SNIFF_BYTES)
        if not head.strip(b" \t\r\n\xef\xbb\xbf"):
            raise RecordError("the file is empty", kind="empty_file")
        values = None if has_json_lines(head, stream.encoding) else JsonValues(stream.file, stream.encoding)
        batches = _value_batches(values) if values else _line_batches(line_blocks(stream.file), stream.encoding, 0)
        first = next(batches, [])
        self.form = "JSON lines"
        if values:
            self.form = "a JSON array" if values.has_array else "JSON objects over several lines"
        if len(first) == 1 and len(head) < _SNIFF_BYTES and self.form != "a JSON array":
            self.form = "a single JSON object"
        self._batches: Iterator[list[Row]]
        if piece.count == 1:
            self._batches = chain([first], batches)
        else:
            self._batches = _line_batches(line_blocks(lines_of(stream.file, piece)), stream.encoding, piece.first)
        names = dict.fromkeys(name for _, row in first if isinstance(row.value, dict) for name in row.value)
        self.schema = pa.schema([(sanitise(name), pa.string()) for name in names])

    def batches(self, columns: Columns) -> Iterator[Texts]:
        number = 0
        try:
            for rows in self._batches:
                yield _to_texts(rows, columns)
                number = rows[-1][0] + 1 if rows else number
        except BROKEN_TABLE as err:
            yield broken_from(number, columns, reason_of(err))


def has_json_lines(head: bytes, encoding: TextEncoding) -> bool:
    """Return whether a file with this beginning holds JSON lines, broken ones among them, rather than JSON of another form."""
    text = head.decode(encoding.name, errors="replace").lstrip("\ufeff \t\r\n")
    line, _, rest = text.partition("\n")
    if text.startswith(("[", "\x1e")):
        return False
    if not text.startswith("{"):
        return True
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        pass
    else:
        return True
    try:
        _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return rest.startswith("{") or line.strip() != "{"
    return False


def _line_batches(blocks: Iterable[bytes | None], encoding: TextEncoding, number: int) -> Iterator[list[Row]]:
    """Yield the lines that are not blank, numbered from `number`."""
    for block in blocks:
        lines = [None] if block is None else block.split(b"\n")
        for start in range(0, len(lines), BATCH_ROWS):
            numbered = enumerate(lines[start : start + BATCH_ROWS], number + start)
            yield [(i, _parsed(line, i, encoding)) for i, line in numbered if line is None or line.strip()]
        number += len(lines)


def _parsed(line: bytes | None, number: int, encoding: TextEncoding) -> JsonValue:
    place = f"line {number + 1}"
    if line is None:
        return JsonValue(RecordError(f"{place} has more than {MAX_LINE_BYTES:,} bytes", kind="too_long"))
    try:
        row = json.loads(decode(line, encoding, place))
    except RecordError as err:
        return JsonValue(err)
    except (ValueError, RecursionError) as err:
        return JsonValue(RecordError(f"{place} is not JSON: {reason_of(err)}", kind="bad_json"))
    if not isinstance(row, dict):
        return JsonValue(RecordError(f"{place} is a {type(row).__name__}, not an object", kind="bad_json"))
    return JsonValue(row, line)


def _value_batches(values: Iterable[JsonValue]) -> Iterator[list[Row]]:
    """Yield the values, numbered; where the stream breaks, those before it first."""
    batch, chars, broken = list[Row](), 0, None
    stream = enumerate(values)
    while not broken:
        try:
            row = next(stream, None)
        except BROKEN_TABLE as err:
            row, broken = None, err
        if row:
            batch.append(row)
            chars += len(row[1].text)
        if not row or len(batch) == BATCH_ROWS or chars > _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
        if not row and not broken:
            return
    raise broken


def _to_texts(rows: Sequence[Row], columns: Columns) -> Texts:
    problems: Problems = {}
    values: dict[str, list[str | None]] = {name: [] for name in columns.all}
    must_be_text = {columns.text, columns.ground_truth, *columns.strings}
    for position, (_, found) in enumerate(rows):
        row = found.value
        if isinstance(row, RecordError):
            problems[position], row = (row.kind, str(row)), {}
        for name, into in values.items():
            value = row.get(name)
            if not (value is None or isinstance(value, str)):
                if name in must_be_text:
                    problems[position] = ("wrong_type", f"{name} holds a {type(value).__name__}, not text")
                value = json.dumps(value, ensure_ascii=False)
            if value is not None and _is_repeated(found.text, name):
                problems[position] = ("bad_json", f"the key {name} stands twice in one object")
            into.append(value)
    arrays = {name: to_strings(column)[0] for name, column in values.items()}
    return to_texts(np.array([number for number, _ in rows], dtype=np.int64), arrays, columns, problems)


def _is_repeated(text: str | bytes, key: str) -> bool:
    """Return whether a key stands twice at the top of the object with this JSON: one of its values would be lost."""
    name = json.dumps(key, ensure_ascii=False)
    if (text.count(name) if isinstance(text, str) else text.count(name.encode(errors="replace"))) < 2:
        return False
    pairs: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    return sum(found == key for found, _ in pairs) > 1
