"""Plain text: lines or paragraphs of a file, or all of it."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from ocrray.errors import RecordError
from ocrray.sources.rows import Texts
from ocrray.sources.streams import BROKEN_STREAM, PACKED, TextEncoding, text_stream
from ocrray.storage import Location, files
from ocrray.text.normalise import sanitise

EXTENSIONS = tuple(f".txt{packed}" for packed in PACKED)
MAX_LINE_BYTES = 1 << 26
_BLOCK_BYTES = 1 << 22
_ALIGN_BYTES = 1 << 16


def read_text_file(uri: str, encoding: TextEncoding, max_bytes: int) -> str:
    """Return a whole text file, sanitised, without form feeds (page ends).

    Raises: RecordError: `bad_encoding`, `too_large`, `empty_file`, `missing`, `unreadable`.
    """
    location = Location.at(uri)
    packed = files.read_bytes(location, max_bytes)
    try:
        stream = text_stream(io.BytesIO(packed), location.name, encoding)
        data = _first_bytes(stream.file, max_bytes + 1)
    except BROKEN_STREAM as err:
        raise RecordError(f"{uri}: cannot be read: {err}", kind="unreadable") from None
    except RecordError as err:
        raise RecordError(f"{uri}: {err}", kind=err.kind) from None
    if len(data) > max_bytes:
        raise RecordError(f"{uri}: larger than input.max_file_bytes ({max_bytes:,}) when unpacked", kind="too_large")
    return sanitise(decode(data, stream.encoding, uri).replace("\f", ""))


def _first_bytes(stream: BinaryIO, size: int) -> bytes:
    blocks, left = list[bytes](), size
    while left and (block := stream.read(min(left, _BLOCK_BYTES))):
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)


def decode(data: bytes, encoding: TextEncoding, where: str) -> str:
    """Decode bytes and remove a byte order mark; `where` names them in the message.

    Raises: RecordError: `bad_encoding`.
    """
    try:
        return data.decode(encoding.name).removeprefix("\ufeff")
    except UnicodeDecodeError as err:
        raise RecordError(f"{where}: byte {err.start} is not {encoding.name}; {encoding.advice}", kind="bad_encoding") from None


def read_units(file: BinaryIO, encoding: TextEncoding, *, by_paragraph: bool, first: int = 0) -> Iterator[Texts]:
    """Yield the lines, or the paragraphs (separated by blank lines) of a text file, numbered from `first`, in bounded batches.

    Line ends are LF, CR LF or CR; the last one does not start a line. `encoding` must be based on ASCII; a line or paragraph that
    it cannot decode has a problem.
    """
    lines = (_split(block, encoding) for block in line_blocks(file))
    for units in _paragraphs(lines) if by_paragraph else lines:
        problems = {i: (text.kind, str(text)) for i, text in enumerate(units) if isinstance(text, RecordError)}
        texts = pa.array([None if i in problems else text for i, text in enumerate(units)] if problems else units, pa.string())
        yield Texts(np.arange(first, first + len(units)), texts, problems)
        first += len(units)


@dataclass(frozen=True, slots=True)
class Piece:
    """One of `count` pieces of a file, and the number of its first row, which is known without `first` for Parquet only."""

    index: int
    count: int
    first: int = 0


WHOLE = Piece(0, 1)


def lines_of(file: BinaryIO, piece: Piece) -> BinaryIO:
    """Return the lines that begin in this piece of a seekable file, to be read once."""
    if piece.count == 1:
        return file
    size = file.seek(0, io.SEEK_END)
    start, end = (_line_start(file, size * i // piece.count, size) for i in (piece.index, piece.index + 1))
    return cast(BinaryIO, _Range(file, start, end))


def count_lines(file: BinaryIO, encoding: TextEncoding, *, only_lf: bool) -> int:
    """Return the number of lines that `line_blocks` and `read_units` find; `only_lf`: a CR ends no line, as in JSON lines."""
    lines = 0
    for block in line_blocks(file):
        ends = (block or b"").removesuffix(b"\r")
        simple = only_lf or ends.count(b"\r") == ends.count(b"\r\n")
        lines += ends.count(b"\n") + 1 if simple else len(_split(block, encoding))
    return lines


class _Range:
    """Bytes from `start` to `end` of a file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._left = file, max(0, end - start)
        file.seek(start)

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _line_start(file: BinaryIO, offset: int, size: int) -> int:
    """Return the offset of the first line that starts at `offset` or after it."""
    if offset in (0, size):
        return offset
    position = file.seek(offset - 1)
    while block := file.read(_ALIGN_BYTES):
        if (end := block.find(b"\n")) >= 0:
            return position + end + 1
        position += len(block)
    return size


def line_blocks(file: BinaryIO, *, or_cr: bool = False) -> Iterator[bytes | None]:
    """Yield whole lines, a few megabytes at a time, without the last line end; None for a line beyond `MAX_LINE_BYTES`.

    `or_cr`: lines end at CR, and are yielded as if they ended at LF, where the first few megabytes hold no LF.
    """
    rest, too_long, line_end = b"", False, b""
    while block := file.read(_BLOCK_BYTES):
        if not line_end:
            line_end = b"\r" if or_cr and b"\n" not in block and b"\r" in block else b"\n"
        if too_long:
            _, found, block = block.partition(line_end)
            if not found:
                continue
            yield None
        head, found, rest = (rest + block).rpartition(line_end)
        if found:
            yield head.replace(b"\r", b"\n") if line_end == b"\r" else head
        too_long = len(rest) > MAX_LINE_BYTES
        rest = b"" if too_long else rest
    if too_long:
        yield None
    elif rest:
        yield rest


def _split(block: bytes | None, encoding: TextEncoding) -> list[str | RecordError]:
    if block is None:
        return [RecordError(f"a line of more than {MAX_LINE_BYTES:,} bytes", kind="too_long")]
    try:
        text = block.removesuffix(b"\r").decode(encoding.name).removeprefix("\ufeff")
        return list(text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "").split("\n"))
    except UnicodeDecodeError:
        return [_line(line, encoding) for line in block.split(b"\n")]


def _line(line: bytes, encoding: TextEncoding) -> str | RecordError:
    try:
        return decode(line, encoding, "the line").removesuffix("\r").replace("\f", "")
    except RecordError as err:
        return err


def _paragraphs(batches: Iterable[list[str | RecordError]]) -> Iterator[list[str | RecordError]]:
    lines: list[str | RecordError] = []
    chars = 0
    for batch in batches:
        complete = []
        for line in batch:
            if isinstance(line, RecordError) or line.strip():
                lines.append(line)
                chars += len(str(line))
            elif lines:
                complete.append(_joined(lines))
                lines, chars = [], 0
            if chars > MAX_LINE_BYTES:
                lines, chars = [RecordError(f"a paragraph of more than {MAX_LINE_BYTES:,} characters", kind="too_long")], 0
        if complete:
            yield complete
    if lines:
        yield [_joined(lines)]


def _joined(lines: list[str | RecordError]) -> str | RecordError:
    problem = next((line for line in lines if isinstance(line, RecordError)), None)
    return problem or "\n".join(map(str, lines))
