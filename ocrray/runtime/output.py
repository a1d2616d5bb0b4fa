"""Whose output folder it is: one run at a time, one fingerprint for ever, and no foreign files."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow import fs as pafs

from ocrray.config import StrictModel
from ocrray.errors import ConfigError
from ocrray.folder import Folder

_RUN_FILE = "_run.json"
_LOCK_FILE = ".lock"
_OURS_BEFORE_THE_RUN_FILE = {"_work_list", _LOCK_FILE}


class OutputConfig(StrictModel):
    """Where the corpus goes, and what its card says of it."""

    path: str
    title: str = "Restored corpus"
    description: str = ""
    license: str = "unknown"
    """One of the Hugging Face hub's identifiers, `cc0-1.0` for instance."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes, for the card."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the output remembers of the run that fills it."""

    fingerprint: str
    settings: Mapping[str, Any]
    started_at: str
    session: str


@contextmanager
def locked(output: Folder, tell_all: Callable[[str], object]) -> Iterator[None]:
    """Hold the folder for this process; raises ConfigError when another one holds it or it cannot be written.

    `tell_all` is called with that problem first, so that it can raise one message with everything else that is wrong.
    An object store has no locks: there, only a second run in the same cluster is noticed (by the name of the run's monitor).
    """
    with ExitStack() as held:
        try:
            held.enter_context(_lock(output))
        except ConfigError as error:
            tell_all(str(error))
            raise
        yield


@contextmanager
def _lock(output: Folder) -> Iterator[None]:
    try:
        output.filesystem.create_dir(output.path)
    except OSError as error:
        raise ConfigError(f"output.path: {output.path} cannot be created: {error}") from None
    if not isinstance(output.filesystem, pafs.LocalFileSystem):
        yield
        return
    try:
        lock = (Path(output.path) / _LOCK_FILE).open("w")
    except OSError as error:
        raise ConfigError(f"output.path: {output.path} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"output.path: another run is writing to {output.path}; wait for it or stop it") from None
        yield


def require_writable(output: Folder) -> None:
    """Raise ConfigError when a local folder, or the nearest one above it that exists, cannot be written; touches nothing."""
    if not isinstance(output.filesystem, pafs.LocalFileSystem):
        return
    nearest = next(path for path in (Path(output.path), *Path(output.path).parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"output.path: {output.path} cannot be written: {nearest} is no folder, or not one of yours")


def read_run(output: Folder) -> Run | None:
    """The run that fills this folder, None for a new or empty one; raises ConfigError when the folder holds other things."""
    try:
        return Run(**json.loads(output.read_text(_RUN_FILE)))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"output.path: {output.path} cannot be read: {' '.join(str(error).split())}") from None
    except (TypeError, ValueError):
        raise ConfigError(f"output.path: {output.path}/{_RUN_FILE} is damaged; choose another folder") from None
    listing = output.filesystem.get_file_info(pafs.FileSelector(output.path, allow_not_found=True))
    foreign = sorted({info.base_name for info in listing} - _OURS_BEFORE_THE_RUN_FILE)
    if foreign:
        raise ConfigError(
            f"output.path: {output.path} holds files of something else ({', '.join(foreign[:3])}, ...); choose an empty folder"
        )
    return None


def write_run(output: Folder, run: Run) -> None:
    """Write down whose folder this is; from now on only the same fingerprint may go on here."""
    output.write_text(_RUN_FILE, json.dumps(asdict(run), indent=1, ensure_ascii=False))


def require_same(output: Folder, previous: Run, fingerprint: str, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError, with what differs, unless the folder's run had this fingerprint."""
    if previous.fingerprint == fingerprint:
        return
    before, now = _flat(previous.settings), _flat(settings)
    differences = [
        f"  {key}: was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    headline = (
        f"output.path: {output.path} belongs to another run and cannot be resumed with this config "
        f"(fingerprint {previous.fingerprint[:12]} there, {fingerprint[:12]} here); choose another folder. What differs:"
    )
    raise ConfigError("\n".join([headline, *differences]))


def committed_records(checkpoint: Folder) -> int:
    """How many records were committed to this checkpoint by earlier runs."""
    files = checkpoint.files(".parquet")
    return sum(
        pq.read_metadata(info.path, filesystem=checkpoint.filesystem).num_rows
        for info in files
        if not info.base_name.endswith(".pending.parquet")
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
