"""Plain text: lines or paragraphs of a file, or all of it; gzipped if its name ends in `.gz`."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from ocrray.errors import RecordError
from ocrray.sources.rows import Texts
from ocrray.storage import Location, files
from ocrray.text.normalise import sanitise

EXTENSIONS = (".txt", ".txt.gz")
MAX_LINE_BYTES = 1 << 26
_BLOCK_BYTES = 1 << 22
_ALIGN_BYTES = 1 << 16


def read_text_file(uri: str, encoding: str, max_bytes: int) -> str:
    """Return a whole text file, sanitised, without form feeds (page ends).

    Raises: RecordError: `bad_encoding`, `too_large`, `empty_file`, `missing`, `unreadable`.
    """
    location = Location.at(uri)
    data = files.read_bytes(location, max_bytes)
    try:
        data = unzipped(io.BytesIO(data), location.name).read(max_bytes + 1)
    except BROKEN_GZIP as err:
        raise RecordError(f"{uri}: cannot be read: {err}", kind="unreadable") from None
    if len(data) > max_bytes:
        raise RecordError(f"{uri}: larger than input.max_file_bytes ({max_bytes:,}) when unpacked", kind="too_large")
    return sanitise(decode(data, encoding, uri).replace("\f", ""))


BROKEN_GZIP = (OSError, EOFError, zlib.error)


def unzipped(file: BinaryIO, name: str) -> BinaryIO:
    """Return the file, decompressed if its name ends in `.gz`; reading a broken one raises one of BROKEN_GZIP."""
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if name.lower().endswith(".gz") else file


def decode(data: bytes, encoding: str, where: str) -> str:
    """Decode bytes and remove a byte order mark; `where` names them in the message.

    Raises: RecordError: `bad_encoding`.
    """
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as err:
        utf_16 = " (it looks like UTF-16)" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
        message = f"{where}: byte {err.start} is not {encoding}{utf_16}; convert the file, or set input.encoding"
        raise RecordError(message, kind="bad_encoding") from None


def read_units(file: BinaryIO, encoding: str, *, by_paragraph: bool, first: int = 0) -> Iterator[Texts]:
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


def count_lines(file: BinaryIO, encoding: str, *, only_lf: bool) -> int:
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


def line_blocks(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield whole lines, a few megabytes at a time, without the last line end; None for a line beyond `MAX_LINE_BYTES`."""
    rest, too_long = b"", False
    while block := file.read(_BLOCK_BYTES):
        if too_long:
            _, line_end, block = block.partition(b"\n")
            if not line_end:
                continue
            yield None
        head, line_end, rest = (rest + block).rpartition(b"\n")
        if line_end:
            yield head
        too_long = len(rest) > MAX_LINE_BYTES
        rest = b"" if too_long else rest
    if too_long:
        yield None
    elif rest:
        yield rest


def _split(block: bytes | None, encoding: str) -> list[str | RecordError]:
    if block is None:
        return [RecordError(f"a line of more than {MAX_LINE_BYTES:,} bytes", kind="too_long")]
    try:
        text = block.removesuffix(b"\r").decode(encoding).removeprefix("\ufeff")
        return list(text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "").split("\n"))
    except UnicodeDecodeError:
        return [_line(line, encoding) for line in block.split(b"\n")]


def _line(line: bytes, encoding: str) -> str | RecordError:
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
