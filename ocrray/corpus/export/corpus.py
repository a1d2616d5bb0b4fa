"""Export of a finished corpus: copies of its ALTO, PAGE and hOCR files with the corrections; memory use is bounded."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from multiprocessing import get_context
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import ocrray
from ocrray.config import StrictModel
from ocrray.corpus.examples import BATCH_ROWS
from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.names import RelativeNames
from ocrray.errors import OcrrayError, RecordError, StoreError
from ocrray.records import Edit, edits_from_rows
from ocrray.sources.kinds import EXPORTED_KINDS
from ocrray.storage import Location, files

NAME = "export.json"
DOCUMENTS_NAME = "export.parquet"
FOLDER_NAME = "export"

_DOCUMENTS_A_TASK = 32
_COLUMNS = [
    *("source_uri", "source_kind", "page", "status", "edits", "content_hash", "failed_stage", "error_kind", "error"),
    *("corrector", "model", "model_revision", "adapter"),
]
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


@dataclass(slots=True)
class _Document:
    """One file's records read so far."""

    uri: str
    kind: str
    pages: int  # records in the work list
    records: int = 0
    content_hash: str | None = None
    edits: dict[int, list[Edit]] = field(default_factory=dict)
    corrector: str = ""
    problem: tuple[str, str] | None = None  # kind and message of a page that could not be loaded


@dataclass(frozen=True, slots=True)
class _Job:
    """Settings with which a worker writes any document."""

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


def export_corpus(output: Location, config: ExportConfig, *, finished: datetime, max_file_bytes: int) -> Exported:
    """Write every document of the finished corpus in `output` into its folder `export`, replacing an earlier export.

    `export.parquet` has a row for each document, with the error of one that could not be written. `export.json` (the counts) is
    written last.

    Raises: OcrrayError: when the corpus cannot be read.
    """
    folder = output.child(FOLDER_NAME)
    counts = dict.fromkeys(("changed", "unchanged", "failed", "changed_lines"), 0)
    try:
        output.filesystem.create_dir(folder.path)
        output.filesystem.delete_dir_contents(folder.path)
        names, pages, total = _survey(output.child("_work_list"))
        job = _Job(output, names, config, finished, max_file_bytes)
        documents = _documents(output.child("data"), pages)
        with pq.ParquetWriter(f"{output.path}/{DOCUMENTS_NAME}", _OUTCOME_SCHEMA, filesystem=output.filesystem) as writer:
            for outcomes in _in_parallel(job, documents, total):
                writer.write_table(pa.Table.from_pylist(outcomes, _OUTCOME_SCHEMA))
                for outcome in outcomes:
                    lines = outcome["changed_lines"]
                    counts["failed" if "error_kind" in outcome else "changed" if lines else "unchanged"] += 1
                    counts["changed_lines"] += lines
    except (pa.ArrowException, OSError) as err:
        raise OcrrayError(f"{output.path}: cannot be exported: {' '.join(str(err).split())}") from None
    exported = Exported(**counts)
    saved = {"ocrray_version": ocrray.__version__, "config": config.model_dump(mode="json"), "counts": asdict(exported)}
    output.write_text(NAME, json.dumps(saved, indent=1) + "\n")
    return exported


def _survey(work_list: Location) -> tuple[RelativeNames, dict[str, int], int]:
    """Return the documents' names, the page counts of those with several pages, and the number of documents.

    The work list holds the pages of a file in consecutive rows.
    """
    names, page_counts, total = RelativeNames(), dict[str, int](), 0
    last, pages = "", 0
    for info in work_list.files(".parquet"):
        with pq.ParquetFile(info.path, filesystem=work_list.filesystem) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=["uri", "kind"]):
                rows = batch.filter(pc.is_in(batch["kind"], pa.array(EXPORTED_KINDS)))
                for uri in rows["uri"].to_pylist():
                    if uri == last:
                        pages += 1
                        page_counts[uri] = pages
                    else:
                        last, pages, total = uri, 1, total + 1
                        names.add(uri)
    return names, page_counts, total


def _documents(data: Location, pages: dict[str, int]) -> Iterator[_Document]:
    """Yield every document when all its records are read; those of a book may be in several data files."""
    waiting: dict[str, _Document] = {}
    for info in data.files(".parquet"):
        with pq.ParquetFile(info.path, filesystem=data.filesystem) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=_COLUMNS):
                for row in batch.filter(pc.is_in(batch["source_kind"], pa.array(EXPORTED_KINDS))).to_pylist():
                    uri = row["source_uri"]
                    document = waiting.get(uri) or _Document(uri, row["source_kind"], pages.get(uri, 1))
                    _add(document, row)
                    if document.records < document.pages:
                        waiting[uri] = document
                    else:
                        waiting.pop(uri, None)
                        yield document
    yield from waiting.values()


def _add(document: _Document, row: dict[str, Any]) -> None:
    document.records += 1
    document.content_hash = document.content_hash or row["content_hash"]
    if row["failed_stage"] == "load":
        document.problem = (row["error_kind"], row["error"])
    if row["status"] == "corrected":
        document.edits[row["page"]] = edits_from_rows(row["edits"])
        parts = (row["corrector"], row["model"], (row["model_revision"] or "")[:12], row["adapter"])
        document.corrector = " ".join(filter(None, parts))


def _in_parallel(job: _Job, documents: Iterable[_Document], total: int) -> Iterator[list[dict[str, Any]]]:
    """Write the documents on all cores of this machine if there are enough of them; yield their rows of `export.parquet`."""
    tasks = iter(lambda: list(islice(documents, _DOCUMENTS_A_TASK)), [])
    workers = min(os.cpu_count() or 1, total // (2 * _DOCUMENTS_A_TASK))
    if workers < 2:
        yield from (_write_all(job, task) for task in tasks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        under_way: set[Future[list[dict[str, Any]]]] = set()
        for task in tasks:
            under_way.add(pool.submit(_write_all, job, task))
            if len(under_way) >= 2 * workers:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in under_way)


def _write_all(job: _Job, documents: Sequence[_Document]) -> list[dict[str, Any]]:
    return [_write_one(job, document) for document in documents]


def _write_one(job: _Job, document: _Document) -> dict[str, Any]:
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
    except Exception as error:
        kind, message = "internal_error", f"{type(error).__name__}: {error}; a bug in ocrray, please report it"
    return {**row, "error_kind": kind, "error": " ".join(message.split())}


def _write(job: _Job, document: _Document) -> tuple[str | None, int]:
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
