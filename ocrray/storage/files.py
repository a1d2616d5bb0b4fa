"""Reading of single files at a Location: size, ranges, whole content and its sha256."""

import hashlib
import io
import os
import stat as stat_modes
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, cast

from pyarrow import fs

from ocrray.errors import RecordError
from ocrray.storage.location import Location

_READ_AHEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class FileStat:
    """Size in bytes, and a tag that changes when the file does."""

    size: int
    etag: str


def stat(location: Location) -> FileStat:
    """Return size and tag of one file.

    Raises: RecordError: `missing`, `not_a_file`, `unreadable`.
    """
    try:
        if location.prefix:
            info = location.filesystem.get_file_info(location.path)
            if info.type == fs.FileType.NotFound:
                raise FileNotFoundError
            is_file, size, mtime_ns = info.type == fs.FileType.File, info.size, info.mtime_ns
        else:
            status = os.stat(location.path)  # noqa: PTH116 - a Path object per file is what makes a million of them slow
            is_file, size, mtime_ns = stat_modes.S_ISREG(status.st_mode), status.st_size, status.st_mtime_ns
    except (OSError, ValueError) as err:
        raise _unreadable(location, err) from None
    if not is_file:
        raise RecordError(f"{location.uri}: a folder or a device, not a file", kind="not_a_file")
    return FileStat(size, f"{size}-{mtime_ns}")


def open_binary(location: Location) -> BinaryIO:
    """Open a file for reading; it is seekable. Object stores are read in ranges: the first bytes of a large file cost one
    request.

    Raises: RecordError: `missing`, `not_a_file`, `unreadable`.
    """
    try:
        if not location.prefix:
            stat(location)  # opening a named pipe would wait for ever
            return open(location.path, "rb")  # noqa: PTH123 - the caller closes it
        source = location.filesystem.open_input_file(location.path)
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, source), _READ_AHEAD_BYTES))
    except (OSError, ValueError) as err:
        raise _unreadable(location, err) from None


def read_bytes(location: Location, max_bytes: int) -> bytes:
    """Return all bytes of a file of at most `max_bytes`.

    Raises: RecordError: `too_large`, `empty_file`, and as `open_binary`.
    """
    with open_binary(location) as file:
        try:
            data = file.read(max_bytes + 1)
        except OSError as err:
            raise _unreadable(location, err) from None
    if len(data) > max_bytes:
        raise RecordError(f"{location.uri}: larger than input.max_file_bytes ({max_bytes:,})", kind="too_large")
    if not data:
        raise RecordError(f"{location.uri}: the file is empty", kind="empty_file")
    return data


def read_hashed(location: Location, max_bytes: int) -> tuple[bytes, str]:
    """Return the file's bytes and their sha256 (hex); the last result is cached for the next page of the same file.

    Raises: RecordError: as `read_bytes` and `stat`.
    """
    return _read_hashed(location, stat(location).etag, max_bytes)


@lru_cache(maxsize=1)
def _read_hashed(location: Location, etag: str, max_bytes: int) -> tuple[bytes, str]:  # noqa: ARG001 - a changed file is read anew
    data = read_bytes(location, max_bytes)
    return data, hashlib.sha256(data).hexdigest()


def _unreadable(location: Location, err: Exception) -> RecordError:
    if isinstance(err, FileNotFoundError):
        return RecordError(f"{location.uri}: no such file", kind="missing")
    reason = getattr(err, "strerror", None) or " ".join(str(err).split())
    return RecordError(f"{location.uri}: cannot be read: {reason}", kind="unreadable")
