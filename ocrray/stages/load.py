"""Work list to rows of the corpus: reads text that came with the list or that is in an OCR file; images wait for `recognize`."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import RecordError
from ocrray.records import WORK_LIST_SCHEMA, lines_to_rows, merge_warnings, schema_for
from ocrray.sources.input import InputConfig
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.sources.open_page import open_document, open_text_layer
from ocrray.stages.base import RowStage, failed
from ocrray.stages.tables import add_run_columns, with_columns
from ocrray.stages.text_layer import doubt, is_unread


class Load(RowStage):
    """Turn rows of the work list into rows of the corpus with their passthrough columns, and read the documents among them.

    PDF pages are documents where `input.pdf` says so; with `auto`, one whose text layer is doubtful keeps no text, and is then
    recognized.
    """

    name = "load"
    reads = ("source_kind", "page", "image_uri")
    writes = ("raw_text", "lines", "image_uri", "content_hash", "warnings", "_divisions")

    def __init__(self, config: InputConfig, fields: pa.DataType | None = None, *, reads_english: bool = False) -> None:
        """Prepare to load; `fields` is the type of the fields that a later stage extracts.

        `reads_english` is True where the pages are known to be in English, by which a text layer is judged.
        """
        self.config = config
        self.reads_english = reads_english
        self.schema = schema_for(fields)

    def __call__(self, work: pa.Table) -> pa.Table:
        """Return one row of the corpus for each row of the work list."""
        return super().__call__(_corpus_rows(work, self.name, self.schema))

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Select documents: rows that carry no text and are no scans."""
        waits = pc.and_(super().select(table), pc.is_null(table["raw_text"]))
        scans = [kind for kind in IMAGE_KINDS if kind not in self.config.text_layer_kinds]
        return pc.and_(waits, pc.invert(pc.is_in(table["source_kind"], pa.array(scans, pa.string()))))

    def process_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Read one page of a document."""
        kind, uri, page_index = row["source_kind"], row["source_uri"], row["page"]
        if kind in self.config.text_layer_kinds:
            return self._read_text_layer(uri, page_index)
        encoding, max_file_bytes = self.config.encoding, self.config.max_file_bytes
        page = open_document(kind, uri, page_index, encoding=encoding, max_file_bytes=max_file_bytes)
        return {
            "raw_text": page.text,
            "lines": None if page.lines is None else lines_to_rows(page.lines),
            "image_uri": page.image_uri or row["image_uri"],
            "content_hash": page.content_hash,
            "warnings": merge_warnings(None, page.warnings),
            "_divisions": [division._asdict() for division in page.divisions] or None,
        }

    def _read_text_layer(self, uri: str, page: int) -> dict[str, Any]:
        config = self.config
        layer, content_hash = open_text_layer(uri, page, max_pixels=config.max_pixels, max_file_bytes=config.max_file_bytes)
        if not layer.lines:
            warnings = ["no_text"] if is_unread(layer) else []
        else:
            warnings = ["text_layer_doubtful"] if doubt(layer, reads_english=self.reads_english) else []
        if config.pdf == "auto" and (warnings or not layer.lines):
            return {}
        return {
            "raw_text": layer.text,
            "lines": lines_to_rows(layer.lines),
            "content_hash": content_hash,
            "warnings": merge_warnings(None, warnings),
        }


def _corpus_rows(work: pa.Table, stage: str, corpus: pa.Schema) -> pa.Table:
    """Rows of the corpus without results; those that the listing found unusable are failed."""
    known = {
        "record_id": work["record_id"],
        "raw_text": work["text"],
        "ground_truth": work["ground_truth"],
        "source_uri": work["uri"],
        "source_kind": work["kind"],
        "page": work["page"],
        "image_uri": pc.if_else(pc.is_in(work["kind"], pa.array(IMAGE_KINDS)), work["uri"], work["image_uri"]),
        "content_hash": _text_hashes(work["text"]),
        "gone": work["gone"],
    }
    columns = [known[field.name] if field.name in known else pa.nulls(len(work), field.type) for field in corpus]
    passthrough = [field for field in work.schema if field.name not in WORK_LIST_SCHEMA.names]
    schema = pa.schema([*corpus, *passthrough], metadata=corpus.metadata)
    table = pa.table([*columns, *(work[field.name] for field in passthrough)], schema=schema)
    return add_run_columns(_with_failures_of_listing(table, work, stage))


def _with_failures_of_listing(table: pa.Table, work: pa.Table, stage: str) -> pa.Table:
    if work["error_kind"].null_count == len(work):
        return table
    failures = [
        None if kind is None else failed(stage, RecordError(message or "", kind=kind))
        for kind, message in zip(work["error_kind"].to_pylist(), work["error"].to_pylist(), strict=True)
    ]
    names = failed(stage, RecordError(""))
    return with_columns(table, {name: [failure and failure[name] for failure in failures] for name in names})


def _text_hashes(texts: pa.ChunkedArray) -> pa.Array:
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), pa.string())
    return pa.array([None if text is None else hashlib.sha256(text.encode()).hexdigest() for text in texts.to_pylist()])
