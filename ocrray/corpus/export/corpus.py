"""Export of a finished corpus: copies of its ALTO, PAGE and hOCR files with the corrections, and new files of its scans.

Data files are surveyed, and documents written, by functions that can run elsewhere; the caller keeps 8 bytes a document.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator

import ocrray
from ocrray.config import StrictModel
from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.documents import Document, DocumentRange, InOrder, plan_ranges, read_documents
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.names import RelativeNames
from ocrray.corpus.export.scans.document import Scan, ScanFormat, WrittenFiles, write_scan
from ocrray.errors import OcrrayError, RecordError, StoreError
from ocrray.sources.kinds import EXPORTED_KINDS, IMAGE_KINDS, KINDS
from ocrray.storage import Location, files

NAME = "export.json"
DOCUMENTS_NAME = "export.parquet"
FOLDER_NAME = "export"

_OUTCOME_SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("file", pa.string()),  # relative to the folder `export`; null when nothing was written
        ("kind", pa.string()),  # format of what is written
        ("is_new", pa.bool_()),  # made of a scan, not a copy
        ("records", pa.int32()),
        ("files", pa.int32()),  # of a scan of several pages, `file` is the folder of as many files
        ("unread_pages", pa.int32()),  # pages of a scan that failed in the run, and have no text here
        ("changed_lines", pa.int32()),
        ("error_kind", pa.string()),  # these two are set when the document could not be written
        ("error", pa.string()),
    ]
)


class ExportConfig(StrictModel):
    """Copies of the ALTO, PAGE and hOCR input files with the corrections, and new files of scans, in `<output>/export`."""

    copy_unchanged: bool = True
    """Copy files without corrections too, byte for byte."""
    scans: list[ScanFormat] = Field(default_factory=list)
    """Formats of the new files of scans, one or more: `alto` (4.2), `page` (PAGE 2019-07-15) and `hocr` give a file a page, `pdf`
    a searchable PDF a document. They hold the corrected words in their boxes; a PDF of the input stays as it is and gets a text
    layer. Empty: none."""
    pdf_jpeg_quality: int | None = Field(default=None, ge=1, le=100)
    """Quality (1..100) of the pictures in PDFs made from other formats than JPEG and JPEG 2000, which stay as they are, as black
    and white ones do; null compresses them without loss."""

    @field_validator("scans", mode="before")
    @classmethod
    def _one_format_or_more(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @property
    def kinds(self) -> tuple[str, ...]:
        """Values of `source_kind` of which files are written."""
        return (*EXPORTED_KINDS, *(IMAGE_KINDS if self.scans else ()))


@dataclass(frozen=True, slots=True)
class Exported:
    """Counts of an export: documents by result, and changed lines. A scan counts once for each format, as `new` or `failed`."""

    changed: int
    unchanged: int
    failed: int
    changed_lines: int
    new: int = 0

    @property
    def documents(self) -> int:
        """All documents."""
        return self.changed + self.unchanged + self.failed + self.new


@dataclass(frozen=True, slots=True)
class _Job:
    """Settings with which any document is written."""

    output: Location
    names: RelativeNames
    config: ExportConfig
    finished: datetime
    max_file_bytes: int
    max_pixels: int

    def write_file(self, name: str, data: bytes) -> None:
        """Write a file of this name, a path in the folder of the export."""
        filesystem, path = self.output.filesystem, f"{self.output.path}/{FOLDER_NAME}/{name}"
        if self.output.is_local:
            filesystem.create_dir(path.rpartition("/")[0])
        with filesystem.open_output_stream(path) as stream:
            stream.write(data)


def read_export(output: Location, config: ExportConfig) -> Exported | None:
    """Return the counts of an earlier, finished export with this config; None if there is none."""
    try:
        saved = json.loads(output.read_text(NAME))
        return Exported(**saved["counts"]) if ExportConfig(**saved["config"]) == config else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def export_corpus(
    output: Location,
    config: ExportConfig,
    *,
    finished: datetime,
    max_file_bytes: int,
    max_pixels: int,
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
    counts = dict.fromkeys(("changed", "unchanged", "failed", "changed_lines", "new"), 0)
    try:
        output.filesystem.create_dir(folder.path)
        output.filesystem.delete_dir_contents(folder.path)
        names, ranges = plan_ranges(output.child("data"), config.kinds, documents_per_task, in_order)
        job = _Job(output, names, config, finished, max_file_bytes, max_pixels)
        with pq.ParquetWriter(output.child(DOCUMENTS_NAME).path, _OUTCOME_SCHEMA, filesystem=output.filesystem) as writer:
            for outcomes in in_order(partial(_export, job), ranges):
                writer.write_table(outcomes)
                for row in outcomes.select(["changed_lines", "error_kind", "is_new"]).to_pylist():
                    counts[_result(row)] += 1
                    counts["changed_lines"] += row["changed_lines"]
    except (pa.ArrowException, OSError) as err:
        raise OcrrayError(f"{output.uri}: cannot be exported: {' '.join(str(err).split())}") from None
    exported = Exported(**counts)
    saved = {"ocrray_version": ocrray.__version__, "config": config.model_dump(mode="json"), "counts": asdict(exported)}
    output.write_text(NAME, json.dumps(saved, indent=1) + "\n")
    return exported


def _result(row: dict[str, Any]) -> str:
    """Return the name of the count in which a row of `export.parquet` belongs."""
    if row["error_kind"]:
        return "failed"
    return "new" if row["is_new"] else "changed" if row["changed_lines"] else "unchanged"


def _export(job: _Job, part: DocumentRange) -> pa.Table:
    """Write the documents of a range; return their rows of `export.parquet`."""
    rows = [row for document in read_documents(job.output.child("data"), part) for row in _write_document(job, document)]
    return pa.Table.from_pylist(rows, _OUTCOME_SCHEMA)


def _write_document(job: _Job, document: Document) -> Iterator[dict[str, Any]]:
    """Write one document, a scan in each format; yield its rows."""
    if not KINDS[document.kind].is_image:
        yield _outcome(document, document.kind, partial(_write_copy, job, document))
        return
    for kind in job.config.scans:
        row = _outcome(document, kind, partial(_write_scan, job, document, kind))
        yield {**row, "is_new": True, "unread_pages": document.unread_pages}


def _outcome(document: Document, kind: str, write: Callable[[], WrittenFiles]) -> dict[str, Any]:
    """Return the row of one document; any error of `write` becomes its error, so that it cannot end an export of millions."""
    row = {"uri": document.uri, "kind": kind, "is_new": False, "records": document.records, "files": 0, "changed_lines": 0}
    try:
        written = write()
        return {**row, "file": written.name, "files": written.files, "changed_lines": written.changed_lines}
    except RecordError as error:
        kind, message = error.kind, str(error)
    except StoreError:
        raise
    except OSError as error:
        kind, message = "unwritable", str(error)
    except Exception as error:  # a bug that one document triggers must not end the export of the others
        kind, message = "internal_error", f"{type(error).__name__}: {error}; a bug in ocrray, please report it"
    return {**row, "error_kind": kind, "error": " ".join(message.split())}


def _read(job: _Job, document: Document) -> tuple[str, bytes]:
    """Return the document's name in the export, and its content.

    Raises: RecordError: also `other_text` when it is not the content that was restored.
    """
    if document.content_hash is None:
        kind, message = document.problem or ("unreadable", "none of its pages could be read")
        raise RecordError(message, kind=kind)
    name = job.names.name_of(document.uri)
    data, content_hash = files.read_hashed(Location.at(document.uri), job.max_file_bytes)
    if content_hash != document.content_hash:
        raise RecordError("the file has changed since it was read", kind="other_text")
    return name, data


def _write_copy(job: _Job, document: Document) -> WrittenFiles:
    name, data = _read(job, document)
    step = ProcessingStep(ocrray.__version__, document.corrector, job.finished)
    written = write_document(document.kind, data, document.edits, step)
    if not written.changed_lines and not job.config.copy_unchanged:
        return WrittenFiles(None, 0, 0)
    job.write_file(name, written.data)
    return WrittenFiles(name, 1, written.changed_lines)


def _write_scan(job: _Job, document: Document, kind: ScanFormat) -> WrittenFiles:
    name, data = _read(job, document)
    scan = Scan(document, data, job.finished, job.max_pixels, job.config.pdf_jpeg_quality)
    return write_scan(scan, kind, name, job.write_file)
