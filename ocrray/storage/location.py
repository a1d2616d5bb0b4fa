"""Files and folders by path or URI, on a local disk or in an object store.

A `uri` is an absolute local path, or `s3://` / `gs://` with percent-encoded keys and the query options that pyarrow knows
(`?region=...`, `?endpoint_override=...&scheme=http`). Users may also write keys as they are: only `%` before two hexadecimal
digits, and `?name=` after the last slash, have a meaning and must be encoded (`%25`, `%3F`) to stand for themselves.
Credentials come from the environment: a URI is written into the corpus.
"""

import os
import posixpath
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs
from pydantic import AfterValidator

from ocrray.errors import OcrrayError, RecordError
from ocrray.storage.filesystems import filesystem

_REMOTE = re.compile(r"(?P<prefix>(?:s3|gs)://(?:[^/?@]*@)?)(?P<path>.*?)(?P<query>\?\w+=[^/]*)?", re.DOTALL)
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}\.tmp", re.DOTALL)
UNREADABLE_PARTS = ("", ".", "..")
"""Parts of keys that pyarrow refuses (the empty one) or that its HTTP client resolves away: `a/../b` would be written to `b`."""

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Location:
    """A file or folder: `prefix` is empty for a local one, else `s3://` or `gs://`; `path` is not percent-encoded."""

    prefix: str
    path: str
    query: str = ""

    @classmethod
    def at(cls, place: "str | Path | Location") -> "Location":
        """Parse a path or URI; a relative path is resolved against the working directory. Nothing need exist there.

        Raises: RecordError: `bad_path` for unsupported schemes, keys in the URI, NUL characters, and keys of an object store that
            pyarrow cannot name.
        """
        if isinstance(place, Location):
            return place
        text = os.fspath(place)
        if found := _REMOTE.fullmatch(text):
            if ":" in found["prefix"][5:]:
                raise RecordError(f"{found['path']}: keys do not belong in a URI; set them in the environment", kind="bad_path")
            path = unquote(found["path"]).rstrip("/")
            if any(part in UNREADABLE_PARTS for part in path.split("/")):
                raise RecordError(f"{text}: a part of the path is empty, `.` or `..`, which is not supported", kind="bad_path")
            return cls(found["prefix"], path, found["query"] or "")
        if (scheme := _SCHEME.match(text)) and scheme["scheme"].lower() != "file":
            raise RecordError(
                f"{text}: {scheme['scheme']}:// is not supported; use a local path, s3:// or gs://", kind="bad_path"
            )
        path = unquote(text[7:]) if scheme else text
        if "\0" in path:
            raise RecordError(f"{path!r}: a path cannot hold a NUL character", kind="bad_path")
        return cls("", os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - links keep the name the user gave

    @property
    def uri(self) -> str:
        """URI from which `at` makes this location again."""
        return self.prefix + quote(self.path) + self.query if self.prefix else self.path

    @property
    def name(self) -> str:
        """Last part of the path."""
        return posixpath.basename(self.path)

    @property
    def is_local(self) -> bool:
        """True for a path of this machine's file system."""
        return not self.prefix

    @property
    def filesystem(self) -> fs.FileSystem:
        """Pyarrow file system, on which `path` names this location; connections are cached.

        Its operations raise StoreError where the store is at fault, after waiting for it, OSError where one file is, RecordError
        (`bad_path`) for options that pyarrow refuses.
        """
        return filesystem(self.prefix, self.path.partition("/")[0], self.query) if self.prefix else filesystem("")

    def child(self, name: str) -> "Location":
        """Return the file or folder of this relative POSIX name in this folder; it need not exist."""
        return Location(self.prefix, posixpath.join(self.path, name), self.query)  # `replace` takes four times as long

    def parent(self) -> "Location":
        """Return the folder that contains this location."""
        return replace(self, path=posixpath.dirname(self.path))

    def contains(self, other: "Location") -> bool:
        """Return whether `other` is this folder or lies in it, by whatever links it is named."""
        mine, others = (os.path.realpath(place.path) if place.is_local else place.path for place in (self, other))
        return self.prefix == other.prefix and f"{others}/".startswith(f"{mine}/")

    def files(self, suffix: str) -> list[fs.FileInfo]:
        """List the files directly in this folder whose names end with `suffix`, sorted by name, without hidden ones.

        A folder that does not exist has none.

        Raises: OSError: when it cannot be listed.
        """
        listing = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        wanted = (info for info in listing if info.is_file and info.base_name.endswith(suffix) and info.base_name[0] not in "._")
        return sorted(wanted, key=lambda info: info.base_name)

    def read_text(self, name: str) -> str:
        """Read the file `name` of this folder as UTF-8.

        Raises: OSError: when it cannot be read (FileNotFoundError when it does not exist).
        """
        with self.filesystem.open_input_stream(self.child(name).path) as stream:
            return str(stream.read(), "utf-8")

    def write_text(self, name: str, text: str) -> None:
        """Write the file `name` of this folder atomically, as UTF-8.

        Raises: OSError: when it cannot be written.
        """
        self.write_bytes(name, text.encode("utf-8"))

    def write_bytes(self, name: str, data: bytes | pa.Buffer) -> None:
        """Write the file `name` of this folder atomically: object stores commit on close, local files are renamed into place.

        Raises: OSError: when it cannot be written.
        """
        target = self.child(name).path
        # Not a process id: two machines that share a disk may have the same.
        temporary = self.child(f".{name}.{uuid4().hex}.tmp").path if self.is_local else target
        if self.is_local:
            self.filesystem.create_dir(self.path, recursive=False)  # a share that went away is not made on the local disk
        try:
            self.filesystem.handler.write_file(temporary, [data])
            if self.is_local:
                self.filesystem.move(temporary, target)
        except BaseException:  # a full disk must not stay full of it
            if self.is_local:
                with suppress(OSError, OcrrayError):
                    self.filesystem.delete_file(temporary)
            raise

    def remove_unfinished(self) -> None:
        """Remove from a local folder what killed processes left of files that they were writing.

        Raises: OSError: when it cannot be removed.
        """
        if not self.is_local:
            return
        with suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for path in [entry.path for entry in entries if _UNFINISHED.fullmatch(entry.name)]:
                os.unlink(path)  # noqa: PTH108

    def delete(self, name: str) -> None:
        """Delete the file `name` of this folder, if it exists.

        Raises: OSError: when it cannot be deleted.
        """
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(self.child(name).path)


def _parsable(text: str) -> str:
    try:
        Location.at(text)
    except RecordError as error:
        raise ValueError(str(error)) from None
    return text


LocationPath = Annotated[str, AfterValidator(_parsable)]
"""Field type of configs: a path or URI that `Location.at` accepts."""
