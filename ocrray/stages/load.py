"""The work list to rows: text that came with the list, or that waits in an OCR file, is read; images are left for `recognize`."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import RecordError
from ocrray.records import SCHEMA, WORK_LIST_SCHEMA, lines_to_rows
from ocrray.sources.input import InputConfig
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.sources.open_page import LoadedPage, open_document
from ocrray.stages.tables import attempt, under_way, with_columns, with_failures


class Load:
    """Turns rows of the work list into rows of the corpus schema, passthrough columns last."""

    name = "load"

    def __init__(self, config: InputConfig) -> None:
        self.config = config

    def __call__(self, work: pa.Table) -> pa.Table:
        table = _blank_rows(work)
        listed_as_unusable = {
            position: RecordError(work["error"][position].as_py(), kind=work["error_kind"][position].as_py())
            for position in pc.indices_nonzero(pc.is_valid(work["error_kind"])).to_pylist()
        }
        table = with_failures(table, self.name, listed_as_unusable)
        return self._read_documents(table)

    def _read_documents(self, table: pa.Table) -> pa.Table:
        kinds, texts = table["source_kind"].to_pylist(), table["raw_text"]
        waiting = [i for i in under_way(table) if kinds[i] not in IMAGE_KINDS and not texts[i].is_valid]
        if not waiting:
            return table
        columns = {name: table[name].to_pylist() for name in ("raw_text", "lines", "image_uri", "content_hash")}
        failures: dict[int, RecordError] = {}
        for position in waiting:
            uri, page = table["source_uri"][position].as_py(), table["page"][position].as_py()
            loaded = attempt(lambda kind=kinds[position], uri=uri, page=page: self._open(kind, uri, page), uri)
            if isinstance(loaded, RecordError):
                failures[position] = loaded
                continue
            columns["raw_text"][position] = loaded.text
            columns["lines"][position] = None if loaded.lines is None else lines_to_rows(loaded.lines)
            columns["image_uri"][position] = loaded.image_uri or columns["image_uri"][position]
            columns["content_hash"][position] = loaded.content_hash
        return with_failures(with_columns(table, columns), self.name, failures)

    def _open(self, kind: str, uri: str, page: int) -> LoadedPage:
        return open_document(kind, uri, page, encoding=self.config.encoding, max_file_bytes=self.config.max_file_bytes)


def _blank_rows(work: pa.Table) -> pa.Table:
    known = {
        "record_id": work["record_id"],
        "raw_text": work["text"],
        "ground_truth": work["ground_truth"],
        "source_uri": work["uri"],
        "source_kind": work["kind"],
        "page": work["page"],
        "image_uri": pc.if_else(pc.is_in(work["kind"], pa.array(IMAGE_KINDS)), work["uri"], work["image_uri"]),
        "content_hash": _text_hashes(work["text"]),
    }
    columns = [known[field.name] if field.name in known else pa.nulls(len(work), field.type) for field in SCHEMA]
    passthrough = [field for field in work.schema if field.name not in WORK_LIST_SCHEMA.names]
    schema = pa.schema([*SCHEMA, *passthrough], metadata=SCHEMA.metadata)
    return pa.table([*columns, *(work[field.name] for field in passthrough)], schema=schema)


def _text_hashes(texts: pa.ChunkedArray) -> pa.Array:
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), pa.string())
    return pa.array([None if text is None else hashlib.sha256(text.encode()).hexdigest() for text in texts.to_pylist()])
