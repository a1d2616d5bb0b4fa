"""Comparison of an input with the files that a work list was made from."""

from collections.abc import Iterable, Iterator
from itertools import compress, islice
from typing import Any

import numpy as np
import pyarrow as pa

from ocrray.errors import ConfigError
from ocrray.sources.file_record import GONE_KIND, read_files
from ocrray.sources.input_files import InputFile, InputFiles
from ocrray.sources.record_ids import hash_ids
from ocrray.storage import Location

_NAMED = 3
_BATCH_FILES = 4096


class InputChanges:
    """Files of an input that are new or changed, and recorded files that are gone; kept as hashes, 16 bytes a file.

    `version` is the number of the update that recorded the files, 0 for the first listing.
    """

    def __init__(self, files: InputFiles, work_list: Location, version: int = 0) -> None:
        """Compare the files with those recorded in `work_list`."""
        self._files, self._work_list, self._version = files, work_list, version
        keys, versions = _hashes(
            (file.found.name, file.found.location.uri, file.found.known_stat.size, file.tag) for file in files
        )
        recorded = ((row["name"], row["uri"], row["size"], row["tag"]) for row in self.recorded())
        keys_before, versions_before = _hashes(recorded)
        was_gone = np.array([row["kind"] == GONE_KIND for row in self.recorded()], dtype=bool)
        known, is_there = np.isin(keys, keys_before), np.isin(keys_before, keys)
        self._is_new = ~known
        self._is_changed = known & ~np.isin(versions, versions_before)
        self.has_changed = is_there & ~np.isin(versions_before, versions)
        """For each recorded file: True if it is changed."""
        self.is_gone = ~is_there & ~was_gone
        """For each recorded file: True if it is no longer there."""

    def __bool__(self) -> bool:
        return bool(self._is_new.any() or self._is_changed.any() or self.is_gone.any())

    @property
    def new(self) -> Iterator[InputFile]:
        """Files that were not there."""
        return compress(self._files, self._is_new.tolist())

    @property
    def changed(self) -> Iterator[InputFile]:
        """Files that were there with another size, tag or ground truth."""
        return compress(self._files, self._is_changed.tolist())

    @property
    def new_or_changed(self) -> Iterator[InputFile]:
        """Files that must be read, in their order."""
        return compress(self._files, (self._is_new | self._is_changed).tolist())

    @property
    def gone(self) -> Iterator[dict[str, Any]]:
        """Rows of `FILES_SCHEMA`, of files that are no longer there."""
        return compress(self.recorded(), self.is_gone.tolist())

    def describe(self) -> str:
        """Return the changes in one line: their numbers, and the first few names of each kind."""
        found = (
            ("new", int(self._is_new.sum()), (file.found.name for file in self.new)),
            ("changed", int(self._is_changed.sum()), (file.found.name for file in self.changed)),
            ("gone", int(self.is_gone.sum()), (row["name"] for row in self.gone)),
        )
        parts = [f"{count:,} {what} ({_some(names, count)})" for what, count, names in found if count]
        return ", ".join(parts) or "the same files in another order"

    def recorded(self) -> Iterator[dict[str, Any]]:
        """Yield the recorded files, rows of `FILES_SCHEMA`."""
        return read_files(self._work_list, self._version)


def require_unchanged(files: InputFiles, digest: str, work_list: Location, output: str, version: int = 0) -> None:
    """Check that a work list was made from these files; `digest` is that of its listing, `output` the path in the message.

    Raises: ConfigError: that names the first few files that are new, changed or gone.
    """
    if files.digest != digest:
        changes = InputChanges(files, work_list, version).describe()
        raise ConfigError(
            f"output.path: the input is not that of the run in {output} any more: {changes}; "
            "to take that in, set update: true (--set update=true); else put the files back, or choose another folder"
        )


def _hashes(files: Iterable[tuple[str, str, int, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Return a hash of each file's name and URI, and one of its size and tag as well."""
    keys, versions = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    stream = iter(files)
    while batch := list(islice(stream, _BATCH_FILES)):
        keys.append(hash_ids(pa.array([f"{name}\0{uri}" for name, uri, _, _ in batch])))
        versions.append(hash_ids(pa.array([f"{name}\0{uri}\0{size}\0{tag}" for name, uri, size, tag in batch])))
    return np.concatenate(keys), np.concatenate(versions)


def _some(names: Iterable[str], count: int) -> str:
    return ", ".join(islice(names, _NAMED)) + ", ..." * (count > _NAMED)
