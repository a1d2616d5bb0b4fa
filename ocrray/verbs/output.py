"""Output folder of a run: locked by one process at a time, bound to one fingerprint, free of foreign files."""

import json
import os
import posixpath
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pyarrow import fs as pafs

from ocrray.corpus.about import About
from ocrray.corpus.manifest import MANIFEST_NAME, RUN_NAME
from ocrray.errors import ConfigError, Problems, RecordError
from ocrray.storage import Location, LocationPath, lease
from ocrray.verbs import console

_LOCK_FILE = ".lock"
_LEAST_BYTES = 1 << 18  # of a run without records: its settings, log and report
_LEAST_RECORD_BYTES = 100  # of a row with little text, compressed
_PACKAGE_FOLDERS = "/runtime_resources/working_dir_files/"
_WRITTEN_BEFORE_RUN_FILE = {"_work_list", "_probe", _LOCK_FILE, lease.FOLDER_NAME}


class OutputConfig(About):
    """Location of the corpus, and metadata for its card."""

    path: LocationPath
    """A local folder or a URI (`s3://`, `gs://`); relative paths are relative to the working directory."""
    title: str = "Restored corpus"
    """Heading of the card and the report."""


@dataclass(frozen=True, slots=True)
class Run:
    """Record of the run that fills an output folder; `session` names the Ray session it started, empty on a cluster.

    `passes`: what was processed again since, oldest first, in the form of `corpus.manifest.Pass`.
    """

    fingerprint: str
    settings: Mapping[str, Any]
    started_at: str
    session: str
    passes: Sequence[Mapping[str, Any]] = ()


@contextmanager
def locked(output: Location) -> Iterator[list[str]]:
    """Hold the folder for this process, by a lock file or a lease; yield why it cannot be held, in one line, or an empty list.

    Raises: OcrrayError: when another process took an output in an object store over, because this one seemed dead.
    """
    with ExitStack() as held:
        try:
            held.enter_context(_lock(output))
        except ConfigError as error:
            problems = [str(error)]
        else:
            problems = []
        yield problems


@contextmanager
def _lock(output: Location) -> Iterator[None]:
    try:
        output.filesystem.create_dir(output.path)
    except (OSError, RecordError) as error:
        raise ConfigError(f"output.path: {output.path} cannot be created: {' '.join(str(error).split())}") from None
    if not output.is_local:
        with ExitStack() as stack:
            _hold(stack, output)
            yield
        return
    lock = FileLock(Path(output.path) / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"output.path: another run is writing to {output.path}; wait for it or stop it") from None
    except OSError as error:
        raise ConfigError(f"output.path: {output.path} cannot be written: {error.strerror}") from None
    try:
        for folder in (output, output.child("data"), output.child("_work_list")):
            folder.remove_unfinished()
        yield
    finally:
        lock.release()


def _hold(stack: ExitStack, output: Location) -> None:
    try:
        with console.working(f"Waiting for {output.uri}"):
            stack.enter_context(lease.held(output))
    except lease.HeldError as error:
        raise ConfigError(
            f"output.path: another run is writing to {output.uri} ({error}); wait for it or stop it: its hold ends "
            f"{lease.STALE_S:.0f} s after its last sign of life"
        ) from None
    except OSError as error:
        raise ConfigError(f"output.path: {output.uri} cannot be written: {' '.join(str(error).split())}") from None


def require_writable(output: Location) -> None:
    """Check that a local folder will last, and that it, or its nearest ancestor that exists, can be written; change nothing.

    Raises: ConfigError: when it cannot.
    """
    if not output.is_local:
        return
    if _PACKAGE_FOLDERS in output.path:
        raise ConfigError(
            f"output.path: {output.path} is in Ray's copy of the submitted job, on one machine, and deleted with it; "
            "use an absolute path that all machines share, or an object store"
        )
    nearest = next(path for path in (Path(output.path), *Path(output.path).parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"output.path: {output.path} cannot be written: {nearest} is not a folder, or you may not write to it")
    require_space(output, 0)


def require_space(output: Location, records: int) -> None:
    """Check that the disk of a local folder has room for the least that so many records take.

    Raises: ConfigError: when it has not.
    """
    if not output.is_local:
        return
    nearest = next(path for path in (Path(output.path), *Path(output.path).parents) if path.exists())
    free, needed = shutil.disk_usage(nearest).free, _LEAST_BYTES + records * _LEAST_RECORD_BYTES
    if free < needed:
        raise ConfigError(f"output.path: {output.path}: {free:,} bytes are free, and {needed:,} are needed at the least")


def require_apart(output: Location, paths: Sequence[str]) -> None:
    """Check that no path or glob of `input.paths` leads into the output folder.

    Raises: ConfigError: with a line for each that does.
    """
    problems = Problems()
    for path in paths:
        with suppress(RecordError):  # it is told where the paths are resolved
            place = Location.at(path)
            fixed, *pattern = re.split(r"[*?\[]", place.path, maxsplit=1)
            if output.contains(replace(place, path=posixpath.dirname(fixed) if pattern else fixed)):
                problems.append(f"input.paths: {path} lies in output.path, {output.uri}; choose another output")
    problems.raise_if_any()


def read_run(output: Location) -> Run | None:
    """Return the run that fills this folder, None for a new or empty one.

    Raises: ConfigError: when the folder holds foreign files or cannot be read.
    """
    try:
        return Run(**json.loads(output.read_text(RUN_NAME)))
    except FileNotFoundError:
        pass
    except (OSError, RecordError) as error:
        raise ConfigError(f"output.path: {output.path} cannot be read: {' '.join(str(error).split())}") from None
    except (TypeError, ValueError):
        raise ConfigError(f"output.path: {output.path}/{RUN_NAME} is damaged; choose another folder") from None
    listing = output.filesystem.get_file_info(pafs.FileSelector(output.path, allow_not_found=True))
    foreign = sorted({info.base_name for info in listing} - _WRITTEN_BEFORE_RUN_FILE)
    if foreign:
        raise ConfigError(f"output.path: {output.path} holds other files ({', '.join(foreign[:3])}, ...); choose an empty folder")
    return None


def write_run(output: Location, run: Run) -> None:
    """Record the run; from now on only a run with the same fingerprint can write here."""
    output.write_text(RUN_NAME, json.dumps(asdict(run), indent=1, ensure_ascii=False))


def require_same(output: Location, previous: Run, fingerprint: str, settings: Mapping[str, Any]) -> None:
    """Check that the run recorded in the folder had this fingerprint.

    Raises: ConfigError: that lists the settings that differ.
    """
    if previous.fingerprint == fingerprint:
        return
    was, is_now = previous.settings.get("schema_version"), settings.get("schema_version")
    if was != is_now:
        raise ConfigError(
            f"output.path: {output.path} was begun with version {was} of the columns, and this ocrray writes version {is_now}; "
            "choose another folder, or go on with the ocrray that began it"
        )
    differences = [
        f"  {key}: was {before!r}, is {now!r}" for key, (before, now) in differing(previous.settings, settings).items()
    ]
    headline = (
        f"output.path: {output.path} belongs to another run and cannot be resumed with this config "
        f"(fingerprint {previous.fingerprint[:12]} there, {fingerprint[:12]} here); choose another folder. Differences:"
    )
    raise ConfigError("\n".join([headline, *differences]))


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, by their keys joined with dots: the value before, and now."""
    flat_before, flat_now = _flat(before), _flat(now)
    keys = sorted(flat_before.keys() | flat_now.keys())
    return {key: (flat_before.get(key), flat_now.get(key)) for key in keys if flat_before.get(key) != flat_now.get(key)}


def is_finished(output: Location) -> bool:
    """Return whether the run of this folder has ended: its manifest is written last."""
    return bool(output.filesystem.get_file_info(f"{output.path}/{MANIFEST_NAME}").is_file)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
