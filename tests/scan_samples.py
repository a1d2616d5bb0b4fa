"""Corpora of scans whose text and boxes are made up, as a run leaves them."""

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

from ocrray.corpus.export.corpus import ExportConfig, Exported, export_corpus
from ocrray.records import SCHEMA, Line, Word, edits_to_rows, lines_to_rows
from ocrray.storage import Location
from ocrray.text.edits import edits_between

SCHEMAS = {"alto": "alto-4-2.xsd", "page": "page-2019-07-15.xsd"}
FINISHED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LINES = (
    Line("tbe cat", 50, 40, 190, 60, 0.9, [Word("tbe", 50, 40, 110, 60, 0.5), Word("cat", 130, 40, 190, 60, 0.91)]),
    Line("sat down", 50, 70, 210, 90, 0.8, [Word("sat", 50, 70, 110, 90, 0.8), Word("down", 130, 70, 210, 90, 0.7)]),
)
BOXLESS = (Line("tbe cat"), Line("sat & down"))


def scan_row(path: Path, lines: Sequence[Line] | None, corrected: str | None = None, **columns: Any) -> dict[str, Any]:
    """The row of a page of `path` that reads `lines`, with its correction where one is given."""
    raw = columns.pop("raw_text", None) or "\n".join(line.text for line in lines or ())
    row = {
        "record_id": f"{path.name}-{columns.get('page', 0)}",
        "status": "unchanged",
        "raw_text": raw,
        "corrected_text": corrected or raw,
        "lines": None if lines is None else lines_to_rows(lines),
        "source_uri": str(path),
        "source_kind": "pdf" if path.suffix == ".pdf" else "image",
        "page": 0,
        "content_hash": hashlib.sha256(path.read_bytes()).hexdigest(),
        "recognizer": "tesseract eng 5.5.4-abc",
    }
    if corrected is not None:
        row |= {"status": "corrected", "edits": edits_to_rows(edits_between(raw, corrected))}
        row |= {"corrector": "tagger", "model": "default", "model_revision": "0123456789abcdef"}
    return row | columns


def failed_row(path: Path, **columns: Any) -> dict[str, Any]:
    """The row of a page that could not be recognized."""
    failure = {"status": "failed", "failed_stage": "recognize", "error_kind": "timeout", "error": "120 s", "recognizer": None}
    return scan_row(path, None) | {"raw_text": None, "corrected_text": None, "content_hash": None} | failure | columns


def export_scans(folder: Path, rows: Sequence[dict[str, Any]], *scans: str, **config: Any) -> tuple[Exported, Path]:
    """Write the rows as a corpus, two a data file, export it in these formats as tasks of other processes do; return the counts
    and the folder of the export.
    """
    output = Location.at(folder / "out")
    Path(output.path, "data").mkdir(parents=True)
    for start in range(0, len(rows), 2):
        table = pa.Table.from_pylist(list(rows[start : start + 2]), SCHEMA)
        pq.write_table(table, f"{output.path}/data/{start:06d}.parquet")
    settings = ExportConfig(scans=list(scans), **config)  # type: ignore[arg-type]  # pydantic checks them
    limits = {"max_file_bytes": 1 << 24, "max_pixels": 10**8}
    exported = export_corpus(output, settings, finished=FINISHED, documents_per_task=1, in_order=pickled, **limits)
    return exported, Path(output.path, "export")


def pickled(function: Callable[[Any], Any], arguments: Iterable[Any], /) -> Iterator[Any]:
    """Apply a function as tasks of other processes do: a pickled copy of it, and pickled arguments and results."""
    for argument in arguments:
        call = pickle.loads(pickle.dumps((function, argument)))
        yield pickle.loads(pickle.dumps(call[0](call[1])))


def outcomes(export: Path) -> list[dict[str, Any]]:
    """The rows of `export.parquet`."""
    return pq.read_table(export.parent / "export.parquet").to_pylist()


@lru_cache
def schema(kind: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(Path(__file__).parent / "schemas" / SCHEMAS[kind]))


def schema_errors(kind: str, data: bytes) -> list[str]:
    """What the official schema says against a file; hOCR has none and must be well-formed."""
    root = etree.fromstring(data)
    if kind == "hocr":
        return []
    schema(kind).validate(root)
    return [str(entry) for entry in schema(kind).error_log]
