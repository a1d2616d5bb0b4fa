"""The manifest: written last, and only when every listed record is accounted for, so that its presence means a whole corpus."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import ocrray
from ocrray.corpus.summary import Summary
from ocrray.errors import OcrrayError
from ocrray.folder import Folder
from ocrray.records import SCHEMA_VERSION, STATUSES

NAME = "manifest.json"
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
    "openai",
)


class _Frozen(BaseModel):
    """Unlike a config, a manifest may hold keys of a newer ocrray: they are ignored."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Counts(_Frozen):
    """Records: `listed` in the work list, and how each one ended."""

    listed: int
    corrected: int
    unchanged: int
    kept_raw: int
    failed: int


class MakerCount(_Frozen):
    """Which engines, models and prompt made how many of the records; empty strings where there was none."""

    recognizer: str
    corrector: str
    model: str
    model_revision: str
    adapter: str
    prompt_version: str
    records: int


class DataFileEntry(_Frozen):
    """One Parquet file, by its path relative to the output folder."""

    path: str
    rows: int
    size_bytes: int


class Manifest(_Frozen):
    """What an output folder holds and how it came about."""

    ocrray_version: str
    schema_version: int
    fingerprint: str
    started: datetime
    finished: datetime
    counts: Counts
    makers: list[MakerCount]
    data_files: list[DataFileEntry]
    config: dict[str, Any]
    libraries: dict[str, str]


def write_manifest(
    output: str | Path | Folder, *, summary: Summary, listed: int, fingerprint: str, config: Mapping[str, Any], started: datetime
) -> Manifest:
    """Write `manifest.json` into the output folder and return it; `config` is the resolved config as JSON holds it.

    Raises OcrrayError, and writes nothing, unless every listed record is in the corpus exactly once with a known status.
    """
    _check(summary, listed)
    manifest = Manifest(
        ocrray_version=ocrray.__version__,
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint,
        started=started,
        finished=datetime.now(UTC),
        counts=Counts(listed=listed, **{status: summary.status[status] for status in STATUSES}),
        makers=[MakerCount(**maker._asdict(), records=records) for maker, records in summary.makers.most_common()],
        data_files=[
            DataFileEntry(path=f"data/{file.name}", rows=file.rows, size_bytes=file.size_bytes) for file in summary.files
        ],
        config=dict(config),
        libraries=library_versions(),
    )
    Folder.at(output).write_text(NAME, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def read_manifest(output: str | Path | Folder) -> Manifest | None:
    """The manifest of an output folder, None where there is none yet; raises OcrrayError for one that cannot be read."""
    try:
        return Manifest.model_validate_json(Folder.at(output).read_text(NAME))
    except FileNotFoundError:
        return None
    except ValidationError as err:
        raise OcrrayError(f"{output}/{NAME}: not a manifest of ocrray: {err.errors()[0]['msg']}") from None
    except (OSError, UnicodeDecodeError) as err:
        raise OcrrayError(f"{output}/{NAME}: cannot be read: {err}") from None


def _check(summary: Summary, listed: int) -> None:
    known = sum(summary.status[status] for status in STATUSES)
    if summary.duplicate_ids:
        raise OcrrayError(f"no manifest: record ids occur more than once, for instance {', '.join(summary.duplicate_ids)}")
    if known != summary.records:
        strange = ", ".join(f"{status or 'null'} ({n})" for status, n in summary.status.items() if status not in STATUSES)
        raise OcrrayError(f"no manifest: records have a status that ocrray does not know: {strange}")
    if known != listed:
        counts = " + ".join(f"{summary.status[status]} {status}" for status in STATUSES)
        raise OcrrayError(f"no manifest: {listed} records were listed, but {known} were written ({counts}); run again to resume")


def library_versions() -> dict[str, str]:
    """The installed versions of Python and of the libraries that shape what ocrray writes."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
