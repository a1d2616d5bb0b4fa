"""Bytes of text files: unpacked, and in an encoding that is based on ASCII, whatever the file itself is."""

import codecs
import lzma
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import pyarrow as pa

from ocrray.errors import RecordError
from ocrray.sources.compression import SUFFIXES, compression_of, without_suffix


class DamagedFile(Exception):  # noqa: N818 - as FileNotFoundError
    """A compressed file is damaged or cut off."""


BROKEN_STREAM = (OSError, DamagedFile)
"""Exceptions that reading a damaged compressed file raises."""
PACKED = ("", *SUFFIXES)
"""Endings of names, after the extension, of files that are read."""
UTF_8 = "utf-8"

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK_ERRORS = "ocrray.streams.mark"  # a lone surrogate in place of what cannot be decoded
_CHUNK_BYTES = 1 << 16
_SNIFF_BYTES = 64


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """Encoding that a user names, or the default, and the config key for it; `key` is empty where a verb has none."""

    name: str = UTF_8
    key: str = ""

    @property
    def advice(self) -> str:
        """Return what to do about a file in another encoding."""
        return f"convert the file to UTF-8, or set {self.key}" if self.key else "convert the file to UTF-8"


@dataclass(frozen=True, slots=True)
class TextStream:
    """Bytes of a text, and their encoding, which is based on ASCII."""

    file: BinaryIO
    encoding: TextEncoding
    is_plain: bool
    """These are the bytes of the file itself, which can be cut at its line ends."""

    def peek(self, size: int) -> bytes:
        """Return the first bytes, before anything is read."""
        return _peek(self.file, size)


def stem_of(name: str) -> str:
    """Return a file name in lower case without the ending of a compression."""
    return without_suffix(name.lower())


def text_stream(file: BinaryIO, name: str, encoding: TextEncoding) -> TextStream:
    """Unpack a file (by its name, or its first bytes), and bring UTF-16 and UTF-32 (by their byte order mark) to UTF-8.

    A byte order mark overrules `encoding`. Reading a damaged file gives what comes before the damage, then raises one of
    BROKEN_STREAM.

    Raises: RecordError: `bad_encoding` for UTF-16 without a mark.
    """
    stream = unpacked(file, name)
    is_plain = stream is file
    head = _peek(stream, _SNIFF_BYTES)
    for mark, found in _MARKS:
        if head.startswith(mark):
            is_utf_8 = found == UTF_8
            return TextStream(
                stream if is_utf_8 else cast(BinaryIO, _Transcoded(stream, found)), TextEncoding(), is_plain and is_utf_8
            )
    if _is_unmarked_utf_16(head):
        raise RecordError("this looks like UTF-16 without a byte order mark; convert the file to UTF-8", kind="bad_encoding")
    return TextStream(stream, encoding, is_plain)


def unpacked(file: BinaryIO, name: str) -> BinaryIO:
    """Return the file, decompressed if its first bytes are those of a compressed file.

    Raises: DamagedFile: when they are not, but its name ends as that of one.
    """
    head = file.read(_SNIFF_BYTES)
    file.seek(0)
    if compression := compression_of(head):
        return cast(BinaryIO, _Unpacked(compression.open(file)))
    if head and stem_of(name) != name.lower():
        raise DamagedFile("the file's name ends as that of a compressed file, which it is not")
    return file


class _Buffered(ABC):
    """Stream that returns as many bytes as are asked for, all that come before a damage; then reading raises."""

    def __init__(self) -> None:
        self._waiting = b""
        self._error: Exception | None = None

    def peek(self, size: int) -> bytes:
        """Return the next bytes without moving on."""
        self._waiting = self.read(size)
        return self._waiting

    def read(self, size: int) -> bytes:
        chunks, left = [self._waiting[:size]], size - len(self._waiting)
        self._waiting = self._waiting[size:]
        try:
            while left > 0 and not self._error and (chunk := self._chunk(left)):
                chunks.append(chunk[:left])
                self._waiting = chunk[left:]
                left -= len(chunk)
        except BROKEN_STREAM as err:
            self._error = err
        if self._error and not any(chunks):
            raise self._error
        return b"".join(chunks)

    @abstractmethod
    def _chunk(self, size: int) -> bytes:
        """Return some bytes, about `size`; none at the end."""


class _Unpacked(_Buffered):
    """Decompressed bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream: Any = stream

    def _chunk(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read1(min(size, _CHUNK_BYTES)))
        except (EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as err:
            raise DamagedFile(f"{err} (a compressed file)") from None
        except OSError as err:
            if err.errno is None:  # of the decompression, not of the file below
                raise DamagedFile(f"{err} (a compressed file)") from None
            raise


class _Transcoded(_Buffered):
    """UTF-8 of a stream in UTF-16 or UTF-32; what is no text becomes bytes that are no UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(errors=_MARK_ERRORS)

    def _chunk(self, size: int) -> bytes:
        block = self._stream.read(max(size, _CHUNK_BYTES))
        octets = self._decoder.decode(block, final=not block).encode(errors="surrogatepass")
        return octets or (self._chunk(size) if block else b"")


def _peek(stream: BinaryIO, size: int) -> bytes:
    if isinstance(stream, _Buffered):
        return stream.peek(size)
    head = stream.read(size)
    stream.seek(0)
    return head


def _mark(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    raise error


codecs.register_error(_MARK_ERRORS, _mark)


def _is_unmarked_utf_16(head: bytes) -> bool:
    """Return whether every second byte is NUL, and no other: Latin letters in UTF-16."""
    even, odd = head[::2], head[1::2]
    return len(head) >= 8 and any({*one} == {0} and 0 not in other for one, other in ((even, odd), (odd, even)))
