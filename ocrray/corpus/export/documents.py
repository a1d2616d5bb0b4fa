"""Documents of a corpus, gathered from its rows by tasks that each read a range of one data file.

The pages of a document are mostly consecutive rows. Where a document goes on in another range, the task of its first range reads
those rows too, and the other tasks leave them out: so nobody has to hold all documents.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.blocks import FOOTER_KEY
from ocrray.corpus.examples import BATCH_ROWS
from ocrray.corpus.export.names import RelativeNames
from ocrray.corpus.summary import Summary
from ocrray.errors import OcrrayError
from ocrray.records import Edit, edits_from_rows
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.storage import Location

A = TypeVar("A")
B = TypeVar("B")

_COLUMNS = [
    *("source_uri", "source_kind", "page", "status", "edits", "content_hash", "failed_stage", "error_kind", "error"),
    *("corrector", "model", "model_revision", "adapter", "gone", "recognizer"),
]
_TEXT_COLUMNS = ["raw_text", "lines"]
_TEXT_ROWS = 64  # at a time: lines with their words take up to 60 kB a page

Hashes = npt.NDArray[np.uint64]


class InOrder(Protocol):
    """Function that applies another, which can be pickled, to arguments and yields the results in their order, such as `map`."""

    def __call__(self, function: Callable[[A], B], arguments: Iterable[A], /) -> Iterator[B]: ...


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page of a scanned document."""

    recognizer: str | None
    """Null where its text is that of the file's own text layer."""
    corrector: str
    """Engine and model of its corrections; empty where it has none."""
    text: pa.RecordBatch
    """One row with `raw_text` and `lines`, which take a tenth of the memory of Python's objects."""
    has_text: bool
    """False for a page that failed."""

    def raw_text(self) -> str | None:
        """Return the text before correction."""
        return self.text["raw_text"][0].as_py()  # type: ignore[no-any-return]

    def lines(self) -> list[dict[str, Any]] | None:
        """Return the lines with their words as dictionaries."""
        return self.text["lines"][0].as_py()  # type: ignore[no-any-return]


@dataclass(slots=True)
class Document:
    """One input file, and the corrections of its pages."""

    uri: str
    kind: str
    records: int = 0
    content_hash: str | None = None
    edits: dict[int, list[Edit]] = field(default_factory=dict)
    corrector: str = ""
    problem: tuple[str, str] | None = None  # kind and message of a page that could not be loaded
    pages: dict[int, DocumentPage] = field(default_factory=dict)  # of a scan

    def add(self, row: dict[str, Any], text: pa.RecordBatch | None) -> None:
        """Add a record of this file; `text` are the columns of its text where it is a scan."""
        self.records += 1
        self.content_hash = self.content_hash or row["content_hash"]
        is_failed = row["status"] == "failed"
        if row["failed_stage"] == "load" or (text is not None and is_failed):
            self.problem = (row["error_kind"], row["error"])
        corrector = ""
        if row["status"] == "corrected":
            self.edits[row["page"]] = edits_from_rows(row["edits"])
            parts = (row["corrector"], row["model"], (row["model_revision"] or "")[:12], row["adapter"])
            self.corrector = corrector = " ".join(filter(None, parts))
        if text is not None:
            self.pages[row["page"]] = DocumentPage(row["recognizer"], corrector, text, not is_failed)

    @property
    def unread_pages(self) -> int:
        """Pages of a scan that failed, and have no text."""
        return sum(not page.has_text for page in self.pages.values())


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows `start` to `end` (exclusive) of a data file."""

    file: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DocumentRange:
    """Rows whose documents, of these kinds, one task writes; documents are meant by the hashes of their URIs."""

    kinds: Sequence[str]
    rows: RowRange
    left_out: frozenset[int] = frozenset()  # documents that another task writes
    spread: frozenset[int] = frozenset()  # documents that have further rows ...
    further: tuple[RowRange, ...] = ()  # ... in these ranges


@dataclass(frozen=True, slots=True)
class _Survey:
    names: RelativeNames
    ranges: Sequence[RowRange]
    hashes: Sequence[Hashes]  # of each range's documents


def plan_ranges(
    data: Location, kinds: Sequence[str], documents_per_range: int, in_order: InOrder
) -> tuple[RelativeNames, Iterator[DocumentRange]]:
    """Find all documents of these kinds; return their names and the ranges in which they are to be read.

    `in_order` surveys a data file at a time. What is kept has 8 bytes a document.
    """
    names = RelativeNames()
    ranges: list[RowRange] = []
    hashes: list[Hashes] = []
    for survey in in_order(
        partial(_survey, data, kinds, documents_per_range), [info.base_name for info in data.files(".parquet")]
    ):
        names.merge(survey.names)
        ranges += survey.ranges
        hashes += survey.hashes
    return names, _document_ranges(kinds, ranges, hashes)


def read_documents(data: Location, part: DocumentRange) -> Iterator[Document]:
    """Yield the documents of a range, with those of their rows that lie elsewhere.

    A document whose rows follow each other, as almost all do, is yielded behind its last one and not held any longer.
    """
    held: dict[str, Document] = {}
    current: Document | None = None
    for row, text in _read_rows(data, part.rows, part.kinds):
        uri = row["source_uri"]
        name = _hash(uri) if part.left_out or part.spread else 0
        if name in part.left_out:
            continue
        if name in part.spread:
            document = held.setdefault(uri, Document(uri, row["source_kind"]))
        else:
            if current is not None and current.uri != uri:
                yield current
                current = None
            document = current = current or Document(uri, row["source_kind"])
        document.add(row, text)
    if current is not None:
        yield current
    for rows in part.further:
        for row, text in _read_rows(data, rows, part.kinds):
            if _hash(uri := row["source_uri"]) in part.spread:
                held.setdefault(uri, Document(uri, row["source_kind"])).add(row, text)
    yield from held.values()


def _survey(data: Location, kinds: Sequence[str], documents_per_range: int, name: str) -> _Survey:
    """Cut the rows of a data file into ranges of so many documents."""
    survey = _Survey(RelativeNames(), [], [])
    with _opened(data, name) as file:
        if not _may_hold_documents(file.metadata, kinds):
            return survey
        table = file.read(_present(file, ["source_uri", "source_kind", "gone"])).combine_chunks()
    rows = np.flatnonzero(_is_of_document(table, kinds))
    uris = table["source_uri"].take(pa.array(rows))
    codes = np.asarray(uris.combine_chunks().dictionary_encode().indices)
    starts = np.flatnonzero(np.diff(codes, prepend=-1))  # each begins a document
    of_documents = uris.take(pa.array(starts)).to_pylist()
    for uri in of_documents:
        survey.names.add(uri)
    firsts = [*rows[starts[::documents_per_range]].tolist(), len(table)]
    ranges = [RowRange(name, start, end) for start, end in pairwise(firsts)]
    hashes = np.array([_hash(uri) for uri in of_documents], dtype=np.uint64)
    parts = [hashes[start : start + documents_per_range] for start in range(0, len(hashes), documents_per_range)]
    return _Survey(survey.names, ranges, parts)


def _may_hold_documents(metadata: pq.FileMetaData, kinds: Sequence[str]) -> bool:
    """Return False if the footer's statistics say that no record comes from a file of these kinds."""
    try:
        statistics = json.loads((metadata.metadata or {})[FOOTER_KEY])["statistics"]
        return not Summary.from_json(statistics).source_kinds.keys().isdisjoint(kinds)
    except (KeyError, ValueError, OcrrayError):
        return True  # a corpus of an earlier version


def _document_ranges(kinds: Sequence[str], ranges: Sequence[RowRange], hashes: Sequence[Hashes]) -> Iterator[DocumentRange]:
    in_all = np.sort(np.concatenate([*hashes, np.empty(0, np.uint64)]))
    repeated = np.unique(in_all[1:][in_all[1:] == in_all[:-1]])
    del in_all
    places: dict[int, list[int]] = defaultdict(list)
    if len(repeated):
        for index, of_range in enumerate(hashes):
            for document in np.unique(of_range[np.isin(of_range, repeated)]).tolist():
                places[document].append(index)
    of_ranges: dict[int, list[int]] = defaultdict(list)
    for document, indices in places.items():
        for index in indices:
            of_ranges[index].append(document)
    for index, rows in enumerate(ranges):
        spread = frozenset(document for document in of_ranges[index] if places[document][0] == index)
        further = sorted({other for document in spread for other in places[document][1:]})
        left_out = frozenset(of_ranges[index]) - spread
        yield DocumentRange(kinds, rows, left_out, spread, tuple(ranges[other] for other in further))


def _read_rows(data: Location, rows: RowRange, kinds: Sequence[str]) -> Iterator[tuple[dict[str, Any], pa.RecordBatch | None]]:
    """Yield the records of documents in a range of rows, those of scans with their text; at most one batch is in memory."""
    has_scans = not set(kinds).isdisjoint(IMAGE_KINDS)
    with _opened(data, rows.file) as file:
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            if start < rows.end and rows.start < end:
                for batch in _read_group(file, group, start, rows, has_scans=has_scans):
                    yield from _records(batch.filter(_is_of_document(batch, kinds)))
            start = end


def _read_group(file: pq.ParquetFile, group: int, start: int, rows: RowRange, *, has_scans: bool) -> Iterator[pa.RecordBatch]:
    columns = _present(file, [*_COLUMNS, *(_TEXT_COLUMNS if has_scans else ())])
    for batch in file.iter_batches(_TEXT_ROWS if has_scans else BATCH_ROWS, row_groups=[group], columns=columns):
        first, last = max(start, rows.start), min(start + batch.num_rows, rows.end)
        if first < last:
            yield batch.slice(first - start, last - first)
        start += batch.num_rows


def _records(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], pa.RecordBatch | None]]:
    texts = batch.select(_TEXT_COLUMNS) if "lines" in batch.schema.names else None
    names = [name for name in batch.schema.names if name not in _TEXT_COLUMNS]
    for index, row in enumerate(batch.select(names).to_pylist()):
        is_scan = texts is not None and row["source_kind"] in IMAGE_KINDS
        yield row, texts.take(pa.array([index])) if texts is not None and is_scan else None


def _present(file: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name in file.schema_arrow.names]


def _is_of_document(rows: pa.Table | pa.RecordBatch, kinds: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """Return which rows are pages of a document to be exported: not those that an update found to be gone from the input."""
    of_kind = pc.fill_null(pc.is_in(rows["source_kind"], pa.array(kinds, pa.string())), False)
    return pc.and_(of_kind, pc.invert(pc.fill_null(rows["gone"], False))) if "gone" in rows.schema.names else of_kind


@contextmanager
def _opened(data: Location, name: str) -> Iterator[pq.ParquetFile]:
    """Open a data file; errors of reading become OcrrayError here, because a task's own exceptions arrive wrapped."""
    path = data.child(name)
    try:
        with pq.ParquetFile(path.path, filesystem=path.filesystem) as file:
            yield file
    except (pa.ArrowException, OSError) as err:
        raise OcrrayError(f"{path.uri}: cannot be read as Parquet: {' '.join(str(err).split())}") from None


def _hash(uri: str) -> int:
    return int.from_bytes(hashlib.blake2b(uri.encode(), digest_size=8).digest(), "little")
