"""Compressed files (gzip, bzip2, xz, Zstandard), known by their first bytes whatever their names."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, cast

import pyarrow as pa

from ocrray.errors import RecordError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_BLOCK_BYTES = 1 << 20
_HEAD_BLOCK_BYTES = 1 << 10
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Compression:
    """One way to compress a file: how it is recognised, read and written."""

    name: str
    magic: bytes
    open: Callable[[BinaryIO], BinaryIO]
    compress: Callable[[bytes], bytes]


def _open_xz(file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, lzma.LZMAFile(file))


def _zstd(data: bytes) -> bytes:
    return cast(bytes, pa.compress(data, codec="zstd", asbytes=True))


_ALL = (
    Compression(
        "gzip", b"\x1f\x8b\x08", lambda file: cast(BinaryIO, gzip.GzipFile(fileobj=file)), lambda d: gzip.compress(d, mtime=0)
    ),
    Compression("bzip2", b"BZh", lambda file: cast(BinaryIO, bz2.BZ2File(file)), bz2.compress),
    Compression("xz", b"\xfd7zXZ\0", _open_xz, lzma.compress),
    Compression("Zstandard", b"\x28\xb5\x2f\xfd", lambda file: cast(BinaryIO, pa.CompressedInputStream(file, "zstd")), _zstd),
)


def compression_of(head: bytes) -> Compression | None:
    """Return the compression of a file that begins with these bytes; None if it is not compressed."""
    return next((kind for kind in _ALL if head.startswith(kind.magic)), None)


def without_suffix(file_name: str) -> str:
    """Return the name without the suffix of a compressed file, if it has one."""
    lower = file_name.lower()
    suffix = next((suffix for suffix in SUFFIXES if lower.endswith(suffix)), "")
    return file_name[: len(file_name) - len(suffix)]


class Unpacked:
    """Content of a file, decompressed while it is read, at most `max_bytes` of it."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        self._kind = compression_of(data)
        file = io.BytesIO(data)
        self._file = self._kind.open(file) if self._kind else cast(BinaryIO, file)
        self._max_bytes = self._left = max_bytes

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; empty at the end.

        Raises: RecordError: `truncated`, `unreadable`; `too_large` where there are more than `max_bytes`.
        """
        try:
            data = self._file.read(size)
        except _DAMAGED as err:
            kind = "truncated" if isinstance(err, EOFError) or "truncated" in str(err).lower() else "unreadable"
            name = self._kind.name if self._kind else ""
            raise RecordError(f"cannot be unpacked as {name}: {' '.join(str(err).split())}", kind=kind) from None
        self._left -= len(data)
        if self._left < 0:
            what = " when unpacked" if self._kind else ""
            raise RecordError(f"the file has more than {self._max_bytes:,} bytes{what}", kind="too_large")
        return data

    def read_all(self) -> bytes:
        """Return all that is left. Raises as `read`."""
        return b"".join(iter(lambda: self.read(_BLOCK_BYTES), b""))


def unpacked(data: bytes, max_bytes: int) -> bytes:
    """Return the whole content of a file; one that is not compressed is returned as it is, whatever its size.

    Raises: RecordError: as `Unpacked.read`.
    """
    return Unpacked(data, max_bytes).read_all() if compression_of(data) else data


def unpacked_head(head: bytes, max_bytes: int) -> bytes:
    """Return the beginning of a file's content, of which `head` is the beginning as stored; possibly fewer than `max_bytes`.

    Raises: RecordError: `truncated`, `unreadable`: when not even the first bytes can be unpacked.
    """
    if not compression_of(head):
        return head
    file, blocks = Unpacked(head, max_bytes + _HEAD_BLOCK_BYTES), list[bytes]()
    try:
        while sum(map(len, blocks)) < max_bytes and (block := file.read(_HEAD_BLOCK_BYTES)):
            blocks.append(block)
    except RecordError:  # the head ends in the middle of a block
        if not blocks:
            raise
    return b"".join(blocks)
