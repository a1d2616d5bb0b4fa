"""Reading of single files at a Location: size, ranges, whole content and its sha256."""

import hashlib
import io
import os
import posixpath
import stat as stat_modes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, TypeVar, cast

from pyarrow import fs

from ocrray.errors import RecordError
from ocrray.storage.faults import StoreAwayError, retrying
from ocrray.storage.filesystems import RetryingReader
from ocrray.storage.location import Location

_READ_AHEAD_BYTES = 1 << 16
READ_ERROR = "read_error"
"""Kind of the error of a record whose file the disk or store does not give; `unreadable` is one whose content is broken."""


ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class FileStat:
    """Size in bytes, and a tag that changes when the file does."""

    size: int
    etag: str


def stat(location: Location) -> FileStat:
    """Return size and tag of one file.

    Raises: RecordError: `missing`, `not_a_file`, `read_error`.
    """
    try:
        if location.prefix:
            info = location.filesystem.get_file_info(location.path)
            if info.type == fs.FileType.NotFound:
                raise FileNotFoundError
            is_file, size, mtime_ns = info.type == fs.FileType.File, info.size, info.mtime_ns
        else:
            # Not through a Path or pyarrow: an object per file is what makes a million of them slow.
            status = retrying(lambda: os.stat(location.path), f"{location.path}: cannot be read")  # noqa: PTH116
            is_file, size, mtime_ns = stat_modes.S_ISREG(status.st_mode), status.st_size, status.st_mtime_ns
    except (OSError, ValueError) as err:
        raise _unreadable(location, err) from None
    if not is_file:
        raise RecordError(f"{location.uri}: a folder or a device, not a file", kind="not_a_file")
    return FileStat(size, f"{size}-{mtime_ns}")


def open_binary(location: Location) -> BinaryIO:
    """Open a file for reading; it is seekable. Object stores are read in ranges: the first bytes of a large file cost one
    request.

    Reading from it raises OSError where the file is at fault, StoreError where the store is.

    Raises: RecordError: `missing`, `not_a_file`, `read_error`; StoreError: also where the file is missing with all its folder.
    """
    return _unless_away(location, lambda: _open_binary(location))


def _open_binary(location: Location) -> BinaryIO:
    try:
        if location.is_local:
            stat(location)  # opening a named pipe would wait for ever
        return cast(BinaryIO, io.BufferedReader(RetryingReader(location.filesystem.handler, location.path), _READ_AHEAD_BYTES))
    except (OSError, ValueError) as err:
        raise _unreadable(location, err) from None


def raise_failure(file: BinaryIO) -> None:
    """Raise the error with which reading from a file of `open_binary` failed, if a library that read it has swallowed it."""
    raw = getattr(file, "raw", None)
    if isinstance(raw, RetryingReader) and raw.failure:
        raise raw.failure


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

    Raises: RecordError: as `read_bytes` and `stat`; StoreError.
    """
    return _unless_away(location, lambda: _read_hashed(location, stat(location).etag, max_bytes))


def _unless_away(location: Location, read: Callable[[], ResultT]) -> ResultT:
    """Return the result of `read`; where the file is missing with all that its folder had, wait for the folder to come back."""

    def checked() -> ResultT:
        try:
            return read()
        except RecordError as error:
            if error.kind == "missing":
                require_store(location)
            raise

    return retrying(checked, f"{location.prefix}{location.path}: cannot be read")


def require_store(location: Location) -> None:
    """Check that a file which was listed before and is missing now is not missing with all others.

    Raises: StoreAwayError: when its folder is gone or empty, or the bucket is.
    """
    if not location.is_local:
        if not location.filesystem.handler.serves_others():
            raise StoreAwayError("neither the bucket nor the file that was read last is there")
        return
    try:
        with os.scandir(posixpath.dirname(location.path)) as entries:
            if next(entries, None) is not None:
                return
    except (FileNotFoundError, NotADirectoryError):
        pass
    raise StoreAwayError("its folder is gone or empty, as that of a share that is not mounted")


@lru_cache(maxsize=1)
def _read_hashed(location: Location, etag: str, max_bytes: int) -> tuple[bytes, str]:  # noqa: ARG001 - a changed file is read anew
    data = read_bytes(location, max_bytes)
    return data, hashlib.sha256(data).hexdigest()


def _unreadable(location: Location, err: Exception) -> RecordError:
    if isinstance(err, FileNotFoundError):
        return RecordError(f"{location.uri}: no such file", kind="missing")
    reason = getattr(err, "strerror", None) or " ".join(str(err).split())
    return RecordError(f"{location.uri}: cannot be read: {reason}", kind=READ_ERROR)
