"""Local files and object-store files by URI: open, stat and read.

A `uri` is an absolute local path, or `s3://` / `gs://` with percent-encoded keys and the query options that pyarrow knows
(`?region=...`, `?endpoint_override=...&scheme=http`). Credentials come from the environment: a URI is written into the corpus.
"""

import hashlib
import io
import os
import posixpath
import re
import stat as stat_modes
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import BinaryIO, cast
from urllib.parse import quote, unquote

from pyarrow import fs

from ocrray.errors import RecordError

_REMOTE = re.compile(r"(?P<prefix>(?:s3|gs)://(?:[^/?@]*@)?)(?P<path>.*?)(?P<query>\?\w+=[^/]*)?", re.DOTALL)
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_READ_AHEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Location:
    """Place in a file system: `prefix` is empty for a local one, else `s3://` or `gs://`; `path` is not percent-encoded."""

    prefix: str
    path: str
    query: str = ""

    @property
    def uri(self) -> str:
        """URI from which `parse` makes this location again."""
        return self.prefix + quote(self.path) + self.query if self.prefix else self.path

    @property
    def name(self) -> str:
        """Last part of the path."""
        return posixpath.basename(self.path)

    def child(self, name: str) -> "Location":
        """Return the file or folder of this relative POSIX name in this folder."""
        return replace(self, path=posixpath.join(self.path, name))

    def parent(self) -> "Location":
        """Return the folder that contains this location."""
        return replace(self, path=posixpath.dirname(self.path))


@dataclass(frozen=True, slots=True)
class FileStat:
    """Size in bytes, and a tag that changes when the file does."""

    size: int
    etag: str


def parse(text: str) -> Location:
    """Parse a path or URI; a relative path is resolved against the working directory.

    Raises: RecordError: `bad_path` for unsupported schemes, keys in the URI and NUL characters.
    """
    if found := _REMOTE.fullmatch(text):
        if ":" in found["prefix"][5:]:
            raise RecordError(f"{found['path']}: keys do not belong in a URI; set them in the environment", kind="bad_path")
        return Location(found["prefix"], unquote(found["path"]).rstrip("/"), found["query"] or "")
    if (scheme := _SCHEME.match(text)) and scheme["scheme"].lower() != "file":
        raise RecordError(f"{text}: {scheme['scheme']}:// is not supported; use a local path, s3:// or gs://", kind="bad_path")
    path = unquote(text[7:]) if scheme else text
    if "\0" in path:
        raise RecordError(f"{path!r}: a path cannot hold a NUL character", kind="bad_path")
    return Location("", os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - links keep the name the user gave


def filesystem(location: Location) -> fs.FileSystem:
    """Return the pyarrow file system of an object-store location.

    Raises: OSError: when it cannot be reached.
    """
    bucket = location.path.partition("/")[0]
    return _connect(f"{location.prefix}{bucket}{location.query}")


@lru_cache(maxsize=64)
def _connect(uri: str) -> fs.FileSystem:
    return fs.FileSystem.from_uri(uri)[0]


def stat(location: Location) -> FileStat:
    """Return size and tag of one file.

    Raises: RecordError: `missing`, `not_a_file`, `unreadable`.
    """
    try:
        if location.prefix:
            info = filesystem(location).get_file_info(location.path)
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
        source = filesystem(location).open_input_file(location.path)
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
