"""File systems of Locations: those of pyarrow, with every operation repeated while the store is at fault (`faults.retrying`)."""

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import fs

from ocrray.errors import StoreError
from ocrray.storage import connections
from ocrray.storage.faults import ChangedFileError, StoreAwayError, retrying

ResultT = TypeVar("ResultT")


@lru_cache(maxsize=256)
def filesystem(prefix: str, bucket: str = "", query: str = "") -> fs.PyFileSystem:
    """Return the file system of a bucket, or with an empty prefix the local one.

    Its operations raise StoreError where the store is at fault, after waiting for it, and OSError where one file is.
    """
    return fs.PyFileSystem(_Handler(prefix, bucket, query))


class _Handler(fs.FileSystemHandler):  # type: ignore[misc] # pyarrow has no types
    def __init__(self, prefix: str, bucket: str, query: str) -> None:
        self.prefix, self.bucket, self.query = prefix, bucket, query
        self._read_last = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handler) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, str, str]:
        return self.prefix, self.bucket, self.query

    @property
    def raw(self) -> fs.FileSystem:
        """File system of pyarrow, connected anew after credentials were refused."""
        return connections.connect(*self._key) if self.prefix else _LOCAL

    def attempt(self, work: Callable[[fs.FileSystem], ResultT], path: str, verb: str, *, reads: bool = False) -> ResultT:
        """Return the result of `work`, repeated while the store is at fault; with `reads` it reads one file."""
        return retrying(
            lambda: work(self.raw),
            f"{self.prefix}{path}: cannot be {verb}",
            reconnect=self._reconnect if self.prefix else None,
            serves_others=self.serves_others if reads else None,
        )

    def _reconnect(self) -> None:
        connections.forget(*self._key)

    def serves_others(self) -> bool:
        """Return whether another file can be read now: the one read last, or else the bucket be looked at."""
        for path in filter(None, (self._read_last, self.bucket)):
            try:
                if self.raw.get_file_info(path).type != fs.FileType.NotFound:
                    return True
            except OSError:
                continue
        return False

    def get_type_name(self) -> str:
        return self.prefix.partition(":")[0] or "local"

    def normalize_path(self, path: str) -> str:
        return str(self.raw.normalize_path(path))

    def get_file_info(self, paths: Sequence[str]) -> list[fs.FileInfo]:
        place = next(iter(paths), self.bucket)
        return self.attempt(lambda raw: list(raw.get_file_info(list(paths))), place, "looked at", reads=True)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        return self.attempt(lambda raw: list(raw.get_file_info(selector)), selector.base_dir, "listed")

    def create_dir(self, path: str, recursive: bool) -> None:
        self.attempt(lambda raw: _into_folder(lambda: raw.create_dir(path, recursive=recursive)), path, "created")

    def delete_dir(self, path: str) -> None:
        self.attempt(lambda raw: raw.delete_dir(path), path, "deleted")

    def delete_dir_contents(self, path: str, missing_dir_ok: bool) -> None:
        self.attempt(lambda raw: raw.delete_dir_contents(path, missing_dir_ok=missing_dir_ok), path, "emptied")

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError("nobody deletes a whole file system")

    def delete_file(self, path: str) -> None:
        self.attempt(lambda raw: raw.delete_file(path), path, "deleted")

    def move(self, src: str, dest: str) -> None:
        self.attempt(lambda raw: raw.move(src, dest), dest, "written")

    def copy_file(self, src: str, dest: str) -> None:
        self.attempt(lambda raw: raw.copy_file(src, dest), dest, "written")

    def open_input_file(self, path: str) -> pa.PythonFile:
        reader = RetryingReader(self, path)
        self._read_last = path
        return pa.PythonFile(reader, mode="r")

    open_input_stream = open_input_file

    def open_output_stream(self, path: str, metadata: Any) -> pa.PythonFile:  # noqa: ARG002 - of the interface
        return pa.PythonFile(_Writer(self, path), mode="w")

    def write_file(self, path: str, parts: Sequence[bytes | pa.Buffer]) -> None:
        """Write a file whose content is these parts."""

        def write(raw: fs.FileSystem) -> None:
            with raw.open_output_stream(path) as stream:
                for part in parts:
                    stream.write(part)

        self.attempt(lambda raw: _into_folder(lambda: write(raw)), path, "written")

    def open_append_stream(self, path: str, metadata: Any) -> pa.PythonFile:
        raise NotImplementedError("nobody appends to a file")


class RetryingReader(io.RawIOBase):
    """Reads a file from any place; where the store fails in between, the file is opened again and reading goes on there."""

    def __init__(self, handler: _Handler, path: str) -> None:
        super().__init__()
        self._handler, self._path = handler, path
        self._file: pa.NativeFile | None = None
        self._position = 0
        self.failure: StoreError | None = None
        self._size = self._attempt(lambda file: int(file.size()))

    def _attempt(self, work: Callable[[pa.NativeFile], ResultT]) -> ResultT:
        def on_open_file(raw: fs.FileSystem) -> ResultT:
            file, self._file = self._file, None  # that a read failed from is not used again
            file = file or self._open(raw)
            result = work(file)
            self._file = file
            return result

        try:
            return self._handler.attempt(on_open_file, self._path, "read", reads=True)
        except StoreError as error:
            self.failure = error
            raise

    def _open(self, raw: fs.FileSystem) -> pa.NativeFile:
        file = raw.open_input_file(self._path)
        if self._position and file.size() != self._size:
            raise ChangedFileError(f"{self._path} was changed while it was read")
        return file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        def read(file: pa.NativeFile) -> int:
            file.seek(self._position)
            return int(file.readinto(buffer))

        count = 0 if self._position >= self._size else self._attempt(read)
        self._position += count
        return count

    def read(self, size: int | None = -1) -> bytes:
        """Return the next `size` bytes, or all that are left."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._attempt(lambda file: bytes(file.read_at(wanted, self._position))) if wanted else b""
        self._position += len(data)
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()


class _Writer(io.RawIOBase):
    """Keeps what is written, and writes the file when it is closed: then it can be written again from its beginning."""

    def __init__(self, handler: _Handler, path: str) -> None:
        super().__init__()
        self._handler, self._path = handler, path
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        self._handler.write_file(self._path, self._parts)


def _into_folder(write: Callable[[], ResultT]) -> ResultT:
    try:
        return write()
    except FileNotFoundError as error:
        raise StoreAwayError(f"its folder is gone: {error}") from None


_LOCAL = fs.LocalFileSystem()
