"""JSON lines, and the objects of a JSON file of another form, read in batches of bounded size."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from ocrray.errors import RecordError
from ocrray.sources.rows import Problems, Texts
from ocrray.sources.streams import TextEncoding, TextStream
from ocrray.sources.tables.columns import BATCH_ROWS, BROKEN_TABLE, Columns, broken_from, reason_of, to_strings, to_texts
from ocrray.sources.tables.json_values import JsonValue, JsonValues
from ocrray.sources.text_files import MAX_LINE_BYTES, WHOLE, Piece, line_blocks, lines_of
from ocrray.text import json_text
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
    try:
        text = (line or b"").decode(encoding.name).removeprefix("\ufeff")
        row = json.loads(text)
        if isinstance(row, dict):
            return JsonValue(row, text)
        problem, kind = f"is a {type(row).__name__}, not an object", "bad_json"
    except UnicodeDecodeError as err:
        problem, kind = f"is not {encoding.name} at its byte {err.start}; {encoding.advice}", "bad_encoding"
    except (ValueError, RecursionError) as err:
        problem, kind = f"is not JSON: {reason_of(err)}", "bad_json"
    if line is None:
        problem, kind = f"has more than {MAX_LINE_BYTES:,} bytes", "too_long"
    return JsonValue(RecordError(f"line {number + 1} {problem}", kind=kind))


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
    objects: list[dict[str, Any]] = []
    for position, (_, found) in enumerate(rows):
        if isinstance(found.value, RecordError):
            problems[position] = (found.value.kind, str(found.value))
        objects.append({} if isinstance(found.value, RecordError) else found.value)
    must_be_text = {columns.text, columns.ground_truth, *columns.strings}
    arrays = {}
    for name in columns.all:
        values = [row.get(name) for row in objects]
        for position, value in enumerate(values):
            if not (value is None or isinstance(value, str)):
                if name in must_be_text:
                    problems[position] = ("wrong_type", f"{name} holds a {type(value).__name__}, not text")
                values[position] = _as_written(value, rows[position][1].text, name)
        for position in _repeated(rows, name):
            problems.setdefault(position, ("bad_json", f"the key {name} stands twice in one object"))
        arrays[name] = to_strings(values)[0]
    return to_texts(np.array([number for number, _ in rows], dtype=np.int64), arrays, columns, problems)


def _as_written(value: object, row: str, key: str) -> str:
    """Return the JSON text of a value of a row, its numbers as they stand there."""
    if isinstance(value, dict | list | float):
        with suppress(RecursionError):  # else as deep a value as the faster parser takes
            return json_text.member(row, key) or ""
    return json.dumps(value, ensure_ascii=False)


def _repeated(rows: Sequence[Row], key: str) -> Iterator[int]:
    """Yield the positions of the objects in which a key stands twice: one of its values would be lost."""
    in_text = json.dumps(key, ensure_ascii=False)
    for position, (_, (value, text, _)) in enumerate(rows):
        if text.count(in_text) > 1 and not isinstance(value, RecordError):
            pairs: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
            if sum(found == key for found, _ in pairs) > 1:
                yield position
