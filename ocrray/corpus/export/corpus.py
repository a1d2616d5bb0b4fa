"""Export of a finished corpus: copies of its ALTO, PAGE and hOCR files with the corrections.

Data files are surveyed, and documents written, by functions that can run elsewhere; the caller keeps 8 bytes a document.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import ocrray
from ocrray.config import StrictModel
from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.documents import Document, DocumentRange, InOrder, plan_ranges, read_documents
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.names import RelativeNames
from ocrray.errors import OcrrayError, RecordError, StoreError
from ocrray.storage import Location, files

NAME = "export.json"
DOCUMENTS_NAME = "export.parquet"
FOLDER_NAME = "export"

_OUTCOME_SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("file", pa.string()),  # relative to the folder `export`; null when nothing was written
        ("kind", pa.string()),
        ("records", pa.int32()),
        ("changed_lines", pa.int32()),
        ("error_kind", pa.string()),  # these two are set when the document could not be written
        ("error", pa.string()),
    ]
)


class ExportConfig(StrictModel):
    """Copies of the ALTO, PAGE and hOCR input files with the corrections, in `<output>/export`."""

    copy_unchanged: bool = True
    """Copy files without corrections too, byte for byte."""


@dataclass(frozen=True, slots=True)
class Exported:
    """Counts of an export: documents by result, and changed lines."""

    changed: int
    unchanged: int
    failed: int
    changed_lines: int

    @property
    def documents(self) -> int:
        """All documents."""
        return self.changed + self.unchanged + self.failed


@dataclass(frozen=True, slots=True)
class _Job:
    """Settings with which any document is written."""

    output: Location
    names: RelativeNames
    config: ExportConfig
    finished: datetime
    max_file_bytes: int


def read_export(output: Location, config: ExportConfig) -> Exported | None:
    """Return the counts of an earlier, finished export with this config; None if there is none."""
    try:
        saved = json.loads(output.read_text(NAME))
        return Exported(**saved["counts"]) if saved["config"] == config.model_dump(mode="json") else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def export_corpus(
    output: Location,
    config: ExportConfig,
    *,
    finished: datetime,
    max_file_bytes: int,
    documents_per_task: int = 32,
    in_order: InOrder = map,
) -> Exported:
    """Write every document of the finished corpus in `output` into its folder `export`, replacing an earlier export.

    `in_order` runs the survey of each data file, and the export of each range of rows with about `documents_per_task` documents.
    `export.parquet` has a row for each document, with the error of one that could not be written. `export.json` (the counts) is
    written last.

    Raises: OcrrayError: when the corpus cannot be read.
    """
    folder = output.child(FOLDER_NAME)
    counts = dict.fromkeys(("changed", "unchanged", "failed", "changed_lines"), 0)
    try:
        output.filesystem.create_dir(folder.path)
        output.filesystem.delete_dir_contents(folder.path)
        names, ranges = plan_ranges(output.child("data"), documents_per_task, in_order)
        job = _Job(output, names, config, finished, max_file_bytes)
        with pq.ParquetWriter(output.child(DOCUMENTS_NAME).path, _OUTCOME_SCHEMA, filesystem=output.filesystem) as writer:
            for outcomes in in_order(partial(_export, job), ranges):
                writer.write_table(outcomes)
                for lines, error in zip(outcomes["changed_lines"].to_pylist(), outcomes["error_kind"].to_pylist(), strict=True):
                    counts["failed" if error else "changed" if lines else "unchanged"] += 1
                    counts["changed_lines"] += lines
    except (pa.ArrowException, OSError) as err:
        raise OcrrayError(f"{output.uri}: cannot be exported: {' '.join(str(err).split())}") from None
    exported = Exported(**counts)
    saved = {"ocrray_version": ocrray.__version__, "config": config.model_dump(mode="json"), "counts": asdict(exported)}
    output.write_text(NAME, json.dumps(saved, indent=1) + "\n")
    return exported


def _export(job: _Job, part: DocumentRange) -> pa.Table:
    """Write the documents of a range; return their rows of `export.parquet`."""
    documents = read_documents(job.output.child("data"), part)
    return pa.Table.from_pylist([_write_one(job, document) for document in documents], _OUTCOME_SCHEMA)


def _write_one(job: _Job, document: Document) -> dict[str, Any]:
    """Write one document; any error becomes its row's error, so that it cannot end an export of millions."""
    row = {"uri": document.uri, "kind": document.kind, "records": document.records, "changed_lines": 0}
    try:
        name, lines = _write(job, document)
        return {**row, "file": name, "changed_lines": lines}
    except RecordError as error:
        kind, message = error.kind, str(error)
    except StoreError:
        raise
    except OSError as error:
        kind, message = "unwritable", str(error)
    except Exception as error:  # a bug that one document triggers must not end the export of the others
        kind, message = "internal_error", f"{type(error).__name__}: {error}; a bug in ocrray, please report it"
    return {**row, "error_kind": kind, "error": " ".join(message.split())}


def _write(job: _Job, document: Document) -> tuple[str | None, int]:
    if document.content_hash is None:
        kind, message = document.problem or ("unreadable", "none of its pages could be read")
        raise RecordError(message, kind=kind)
    name = job.names.name_of(document.uri)
    data, content_hash = files.read_hashed(Location.at(document.uri), job.max_file_bytes)
    if content_hash != document.content_hash:
        raise RecordError("the file has changed since it was read", kind="other_text")
    step = ProcessingStep(ocrray.__version__, document.corrector, job.finished)
    written = write_document(document.kind, data, document.edits, step)
    if not written.changed_lines and not job.config.copy_unchanged:
        return None, 0
    filesystem, path = job.output.filesystem, f"{job.output.path}/{FOLDER_NAME}/{name}"
    if job.output.is_local:
        filesystem.create_dir(path.rpartition("/")[0])
    with filesystem.open_output_stream(path) as stream:
        stream.write(written.data)
    return name, written.changed_lines
