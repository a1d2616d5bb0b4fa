"""Reading and writing in an output folder, be it local or in an object store."""

import os
from dataclasses import dataclass
from pathlib import Path

from pyarrow import ArrowException
from pyarrow import fs as pafs

from ocrray.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on a pyarrow filesystem; `at` takes a local path (relative to the working directory), a URI or a Folder."""

    filesystem: pafs.FileSystem
    path: str

    @classmethod
    def at(cls, location: "str | Path | Folder") -> "Folder":
        """The folder at a path or URI, which need not exist; raises ConfigError where pyarrow knows no such filesystem."""
        if isinstance(location, Folder):
            return location
        if "://" not in str(location):
            return cls(pafs.LocalFileSystem(), os.path.abspath(location))  # noqa: PTH100 (Path.resolve follows symbolic links)
        try:
            return cls(*pafs.FileSystem.from_uri(str(location)))
        except (ArrowException, OSError, ValueError) as err:
            raise ConfigError(f"{location}: not a path or URI that can be opened: {err}") from None

    def child(self, name: str) -> "Folder":
        """The folder `name` in this one, which need not exist."""
        return Folder(self.filesystem, f"{self.path}/{name}")

    def files(self, suffix: str) -> list[pafs.FileInfo]:
        """The files directly in this folder whose name ends so, sorted by name; none where the folder does not exist."""
        listing = self.filesystem.get_file_info(pafs.FileSelector(self.path, allow_not_found=True))
        wanted = (info for info in listing if info.is_file and info.base_name.endswith(suffix) and info.base_name[0] not in "._")
        return sorted(wanted, key=lambda info: info.base_name)

    def read_text(self, name: str) -> str:
        """The file `name` as UTF-8; raises OSError (FileNotFoundError where there is none)."""
        with self.filesystem.open_input_stream(f"{self.path}/{name}") as stream:
            return stream.read().decode("utf-8")

    def write_text(self, name: str, text: str) -> None:
        """Write the file `name` whole or not at all: object stores commit on close, local files are renamed into place."""
        target = f"{self.path}/{name}"
        local = isinstance(self.filesystem, pafs.LocalFileSystem)
        temporary = f"{self.path}/.{name}.{os.getpid()}.tmp" if local else target
        if local:
            self.filesystem.create_dir(self.path)
        with self.filesystem.open_output_stream(temporary) as stream:
            stream.write(text.encode("utf-8"))
        if local:
            self.filesystem.move(temporary, target)
