"""Manifest of a corpus: written last, and only when every listed record is accounted for, so a corpus with one is complete."""

import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq
from pyarrow import fs
from pydantic import BaseModel, ConfigDict, ValidationError

import ocrray
from ocrray.corpus.provenance import Provenance
from ocrray.corpus.summary import Summary
from ocrray.errors import ConfigError, OcrrayError, Problems, RecordError
from ocrray.records import SCHEMA_VERSION, STATUSES
from ocrray.storage import Location

RUN_NAME = "_run.json"
"""File that a run writes first into its output folder."""

MANIFEST_NAME = "manifest.json"
"""File that a run writes last into its output folder: a folder that has one is complete."""

_CONCURRENT_READS = 32
_MAX_NAMED_FILES = 3
_WILD = re.compile(r"[*?\[]")
_LIBRARIES = (
    "ray",
    "pyarrow",
    "rapidfuzz",
    "pillow",
    "tesserocr",
    "pypdfium2",
    "lxml",
    "torch",
    "transformers",
    "peft",
    "httpx2",
)


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of the corpus, by its name in the data folder."""

    name: str
    rows: int
    size_bytes: int


class _Frozen(BaseModel):
    """Part of a manifest; keys of a newer version are ignored."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Counts(_Frozen):
    """Numbers of records: `listed` in the work list, and by status."""

    listed: int
    corrected: int
    unchanged: int
    kept_raw: int
    failed: int


class ProvenanceCount(Provenance):
    """Number of records of one provenance."""

    records: int


class DataFileEntry(_Frozen):
    """One Parquet file; `path` is relative to the output folder."""

    path: str
    rows: int
    size_bytes: int


class DataFiles(_Frozen):
    """Part that manifests of corpora and of pairs have in common; a manifest of other things has no files."""

    data_files: list[DataFileEntry] = []


class HasDataFiles(Protocol):
    """Manifest of an output folder with data files."""

    @property
    def data_files(self) -> Sequence[DataFileEntry]: ...


class Pass(_Frozen):
    """Processing of some records once more: `replayed` says which, `changed_settings` what differed from the first run."""

    number: int
    replayed: str
    fingerprint: str
    started: datetime
    changed_settings: dict[str, Any]


class Manifest(_Frozen):
    """Contents of an output folder and the settings that produced it."""

    ocrray_version: str
    schema_version: int
    fingerprint: str
    started: datetime
    finished: datetime
    counts: Counts
    makers: list[ProvenanceCount]
    """Records that did not fail, by provenance."""
    data_files: list[DataFileEntry]
    config: dict[str, Any]
    libraries: dict[str, str]
    passes: list[Pass] = []
    """Replays and updates since the first run, oldest first."""
    timings: dict[str, float] = {}
    """Seconds of the phases of the call that finished the run: plan, start (of Ray), listing, blocks, stop (of Ray), report."""
    statistics: dict[str, Any] | None = None
    """Summary of all records, as `Summary.to_json` writes it; None in a manifest of an earlier version."""

    @property
    def summary(self) -> Summary | None:
        """Summary of all records; None if the manifest does not hold it."""
        return None if self.statistics is None else Summary.from_json(json.dumps(self.statistics))


def write_manifest(
    output: str | Path | Location,
    *,
    summary: Summary,
    files: Iterable[DataFile],
    listed: int,
    fingerprint: str,
    config: Mapping[str, Any],
    started: datetime,
    passes: Iterable[Mapping[str, Any]] = (),
    timings: Mapping[str, float] | None = None,
) -> Manifest:
    """Write `manifest.json` into the output folder and return it; `config` is the resolved config as a JSON object.

    Raises: OcrrayError: when not every listed record is in the corpus with a known status; nothing is written then.
    """
    entries = sorted(data_file_entries(files), key=lambda entry: entry.path)
    _check(summary, sum(entry.rows for entry in entries), listed)
    statistics = summary.to_json()
    manifest = Manifest(
        ocrray_version=ocrray.__version__,
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint,
        started=started,
        finished=datetime.now(UTC),
        counts=Counts(listed=listed, **{status: summary.status[status] for status in STATUSES}),
        makers=[ProvenanceCount(**dict(provenance), records=n) for provenance, n in summary.provenance.most_common()],
        data_files=entries,
        config=dict(config),
        libraries=library_versions(),
        passes=[Pass.model_validate(entry) for entry in passes],
        timings={phase: round(seconds, 3) for phase, seconds in (timings or {}).items()},
        statistics=json.loads(statistics),
    )
    # Statistics are for programs: one line of a few kilobytes, at the end.
    text = manifest.model_dump_json(indent=2, exclude={"statistics"}).removesuffix("\n}")
    Location.at(output).write_text(MANIFEST_NAME, f'{text},\n  "statistics": {statistics}\n}}\n')
    return manifest


def read_manifest(output: str | Path | Location) -> Manifest | None:
    """Read the manifest of an output folder; None if there is none.

    Raises: OcrrayError: when it cannot be read.
    """
    try:
        return Manifest.model_validate_json(Location.at(output).read_text(MANIFEST_NAME))
    except FileNotFoundError:
        return None
    except ValidationError as err:
        raise OcrrayError(f"{output}/{MANIFEST_NAME}: not a manifest of ocrray: {err.errors()[0]['msg']}") from None
    except (OSError, UnicodeDecodeError) as err:
        raise OcrrayError(f"{output}/{MANIFEST_NAME}: cannot be read: {err}") from None


def data_file_entries(files: Iterable[DataFile]) -> list[DataFileEntry]:
    """Return the manifest's entries for files in the folder `data`."""
    return [DataFileEntry(path=f"data/{file.name}", rows=file.rows, size_bytes=file.size_bytes) for file in files]


def data_files(data: Location) -> list[DataFile]:
    """Return the Parquet files directly in the folder `data`; their footers are read in parallel."""
    infos = data.files(".parquet")
    with ThreadPoolExecutor(_CONCURRENT_READS) as pool:
        rows = pool.map(lambda info: pq.read_metadata(info.path, filesystem=data.filesystem).num_rows, infos)
        return [DataFile(info.base_name, count, info.size) for info, count in zip(infos, rows, strict=True)]


def missing_files(output: Location, manifest: HasDataFiles) -> list[str]:
    """Return the paths of data files of a manifest that are missing or have another size, found by one listing of `data`."""
    sizes = {f"data/{info.base_name}": info.size for info in output.child("data").files(".parquet")}
    return [file.path for file in manifest.data_files if sizes.get(file.path) != file.size_bytes]


def require_whole(paths: Iterable[str], key: str) -> None:
    """Check that every output folder that is named in `paths`, itself or by its folder `data`, is finished and whole.

    `paths` may be globs, and may name other things; `key` is the config key of the paths.

    Raises: ConfigError: with one line for each folder that is not finished, or lacks data files of its manifest.
    """
    problems = Problems()
    for output in dict.fromkeys(chain.from_iterable(map(_output_folders, paths))):
        problems.checked(_require_whole, output, key)
    problems.raise_if_any()


def _output_folders(path: str) -> Iterator[Location]:
    """Yield the folders whose data `path` can name: the last folder before any wildcard, and the one above a folder `data`."""
    try:
        folder = Location.at(path)
    except RecordError:
        return  # whoever reads the path says why it is none
    while _WILD.search(folder.path):
        folder = folder.parent()
    yield folder
    if folder.name == "data":
        yield folder.parent()


def _require_whole(output: Location, key: str) -> None:
    names = {info.base_name for info in _info_of(output, MANIFEST_NAME, RUN_NAME) if info.is_file}
    if RUN_NAME in names and MANIFEST_NAME not in names:
        raise ConfigError(f"{key}: {output.uri} is not finished: run the command that fills it again to go on")
    if MANIFEST_NAME not in names:
        return
    try:
        manifest = DataFiles.model_validate_json(output.read_text(MANIFEST_NAME))
        missing = missing_files(output, manifest)
    except (OSError, ValueError):
        return  # a manifest of something else
    if missing:
        named = ", ".join(missing[:_MAX_NAMED_FILES]) + (", ..." if len(missing) > _MAX_NAMED_FILES else "")
        raise ConfigError(
            f"{key}: {output.uri} lacks {len(missing):,} of its {len(manifest.data_files):,} data files, or they were cut short "
            f"({named}): run the same command that made it again to make them anew"
        )


def _info_of(output: Location, *names: str) -> list[fs.FileInfo]:
    try:
        return list(output.filesystem.get_file_info([output.child(name).path for name in names]))
    except (OSError, RecordError):
        return []  # whoever reads the folder says why that is impossible


def require_only(data: Location, files: Iterable[DataFile]) -> None:
    """Check that the folder `data` holds no other Parquet files than these, which a reader would take for a part of the corpus.

    Raises: OcrrayError: that names others.
    """
    foreign = sorted({info.base_name for info in data.files(".parquet")} - {file.name for file in files})
    if foreign:
        names = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise OcrrayError(f"{data.uri}: {len(foreign)} files are not of this run ({names}): move them elsewhere, then run again")


def _check(summary: Summary, in_files: int, listed: int) -> None:
    known = sum(summary.status[status] for status in STATUSES)
    if in_files != summary.records:
        raise OcrrayError(f"no manifest: the data files have {in_files} rows, but {summary.records} were counted")
    if known != summary.records:
        unknown = ", ".join(f"{status or 'null'} ({n})" for status, n in summary.status.items() if status not in STATUSES)
        raise OcrrayError(f"no manifest: records have a status that ocrray does not know: {unknown}")
    if known != listed:
        counts = " + ".join(f"{summary.status[status]} {status}" for status in STATUSES)
        raise OcrrayError(f"no manifest: {listed} records were listed, but {known} were written ({counts}); run again to resume")


def library_versions() -> dict[str, str]:
    """Return the installed versions of Python and of the libraries that affect the output."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
