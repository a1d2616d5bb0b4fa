"""A folder on a local disk or in an object store: list, read and write its files."""

import os
from dataclasses import dataclass
from pathlib import Path

from pyarrow import ArrowException
from pyarrow import fs as pafs

from ocrray.errors import ConfigError

MANIFEST_NAME = "manifest.json"
"""File that a run writes last into its output folder: a folder that has one is complete."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on a pyarrow filesystem. `path` has no trailing slash and no scheme."""

    filesystem: pafs.FileSystem
    path: str

    @classmethod
    def at(cls, location: "str | Path | Folder") -> "Folder":
        """Return the folder at a path or URI; it need not exist.

        Raises: ConfigError: when pyarrow cannot open the URI's filesystem.
        """
        if isinstance(location, Folder):
            return location
        if "://" not in str(location):
            return cls(pafs.LocalFileSystem(), os.path.abspath(location))  # noqa: PTH100 (Path.resolve follows symbolic links)
        try:
            return cls(*pafs.FileSystem.from_uri(str(location)))
        except (ArrowException, OSError, ValueError) as err:
            raise ConfigError(f"{location}: not a path or URI that can be opened: {err}") from None

    def child(self, name: str) -> "Folder":
        """Return the subfolder `name`; it need not exist."""
        return Folder(self.filesystem, f"{self.path}/{name}")

    def files(self, suffix: str) -> list[pafs.FileInfo]:
        """List the files directly in this folder whose names end with `suffix`, sorted by name, without hidden ones.

        A folder that does not exist has none.
        """
        listing = self.filesystem.get_file_info(pafs.FileSelector(self.path, allow_not_found=True))
        wanted = (info for info in listing if info.is_file and info.base_name.endswith(suffix) and info.base_name[0] not in "._")
        return sorted(wanted, key=lambda info: info.base_name)

    def read_text(self, name: str) -> str:
        """Read the file `name` as UTF-8.

        Raises: OSError: when it cannot be read (FileNotFoundError when it does not exist).
        """
        with self.filesystem.open_input_stream(f"{self.path}/{name}") as stream:
            return str(stream.read(), "utf-8")

    def write_text(self, name: str, text: str) -> None:
        """Write the file `name` atomically: object stores commit on close, local files are renamed into place."""
        target = f"{self.path}/{name}"
        local = isinstance(self.filesystem, pafs.LocalFileSystem)
        temporary = f"{self.path}/.{name}.{os.getpid()}.tmp" if local else target
        if local:
            self.filesystem.create_dir(self.path)
        with self.filesystem.open_output_stream(temporary) as stream:
            stream.write(text.encode("utf-8"))
        if local:
            self.filesystem.move(temporary, target)
