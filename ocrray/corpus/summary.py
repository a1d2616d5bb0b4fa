"""What a corpus amounts to: counts, quality and the rows worth showing, from one pass over its Parquet files.

Memory stays bounded whatever the corpus holds: one batch of rows, and 8 bytes a record for the check that ids are unique.
"""

import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.examples import BATCH_ROWS, TopRows
from ocrray.corpus.ids import duplicate_ids
from ocrray.errors import OcrrayError
from ocrray.folder import Folder
from ocrray.records import SCHEMA
from ocrray.text.metrics import CerTotals, cer_totals

# Upper ends of the histograms' bins, as fractions; the first bin is exactly 0 and the last is everything above.
BIN_ENDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)

_MAKER_COLUMNS = ["recognizer", "corrector", "model", "model_revision", "adapter", "prompt_version"]
_COLUMNS = [
    *("status", "raw_text", "corrected_text", "ground_truth", "edits"),
    *("guard_reason", "failed_stage", "error_kind", "source_kind", "estimated_cer", "tagger_edits"),
    *_MAKER_COLUMNS,
    *("input_tokens", "output_tokens", "recognize_s", "correct_s"),
    *("ground_truth_chars", "raw_distance", "corrected_distance"),
]
_ROWS_PER_GROUP, _ROWS_PER_REASON, _ROWS_PER_FAILURE = 12, 4, 3


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of the corpus, by its name in the data folder."""

    name: str
    rows: int
    size_bytes: int


class Maker(NamedTuple):
    """Which engines, models and prompt made a text; empty strings where there was none."""

    recognizer: str
    corrector: str
    model: str
    model_revision: str
    adapter: str
    prompt_version: str


def _bins() -> np.ndarray:
    return np.zeros(len(BIN_ENDS) + 1, dtype=np.int64)


@dataclass(slots=True)
class Summary:
    """Everything the manifest, the card and the report say of a corpus; characters are code points of the text as stored."""

    folder: Folder
    files: list[DataFile] = field(default_factory=list)
    passthrough: dict[str, str] = field(default_factory=dict)  # the user's own columns and their Arrow types
    records: int = 0
    status: Counter[str] = field(default_factory=Counter)
    source_kinds: Counter[str] = field(default_factory=Counter)
    makers: Counter[Maker] = field(default_factory=Counter)  # of the records that did not fail
    kept_raw: Counter[str] = field(default_factory=Counter)  # by guard_reason
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)  # by failed_stage and error_kind
    raw_chars: int = 0
    corrected_chars: int = 0
    changed_chars: int = 0  # of the edits, the longer side each
    input_tokens: int = 0
    output_tokens: int = 0
    recognize_s: float = 0.0  # summed over records: busy seconds of all workers together
    correct_s: float = 0.0
    quality: CerTotals = field(default_factory=CerTotals)
    failed_with_truth: int = 0  # records with ground truth that could not be scored
    sent_on_records: int = 0  # by the tagger, to the language model
    sent_on_chars: int = 0
    estimated_cer_bins: np.ndarray = field(default_factory=_bins)  # of the records that a tagger read
    raw_cer_bins: np.ndarray = field(default_factory=_bins)  # records per bin of BIN_ENDS
    corrected_cer_bins: np.ndarray = field(default_factory=_bins)
    changed_bins: np.ndarray = field(default_factory=_bins)
    duplicate_ids: list[str] = field(default_factory=list)  # a few of them; empty means that every id is unique
    groups: dict[str, TopRows] = field(default_factory=lambda: defaultdict(lambda: TopRows(_ROWS_PER_GROUP)))
    kept_raw_rows: dict[str, TopRows] = field(default_factory=lambda: defaultdict(lambda: TopRows(_ROWS_PER_REASON)))
    failed_rows: dict[tuple[str, str], TopRows] = field(default_factory=lambda: defaultdict(lambda: TopRows(_ROWS_PER_FAILURE)))

    @property
    def has_correction(self) -> bool:
        """Whether a corrector saw any of the records."""
        return any(maker.corrector for maker in self.makers)

    @property
    def sent_on_frac(self) -> float:
        """Share of the characters of raw text that were sent on to the language model."""
        return self.sent_on_chars / max(self.raw_chars, 1)

    @property
    def changed_frac(self) -> float:
        """Share of the corpus's characters that correction changed."""
        return self.changed_chars / max(self.raw_chars, self.corrected_chars, 1)


def summarise(data_folder: str | Path | Folder) -> Summary:
    """Read every Parquet file directly in `data_folder` (a path or URI) once; an absent folder is an empty corpus.

    Raises OcrrayError for a file that cannot be read or lacks columns of `SCHEMA`.
    """
    folder = Folder.at(data_folder)
    summary = Summary(folder)
    for info in folder.files(".parquet"):
        try:
            _add_file(summary, info.base_name, info.size)
        except (pa.ArrowException, OSError) as err:
            raise OcrrayError(f"{info.path}: cannot be read as Parquet: {' '.join(str(err).split())}") from None
    summary.duplicate_ids = duplicate_ids(folder, [file.name for file in summary.files])
    return summary


def _add_file(summary: Summary, name: str, size_bytes: int) -> None:
    with pq.ParquetFile(f"{summary.folder.path}/{name}", filesystem=summary.folder.filesystem) as file:
        schema = file.schema_arrow
        missing = [column for column in SCHEMA.names if column not in schema.names]
        if missing:
            raise OcrrayError(f"{summary.folder.path}/{name}: not a data file of ocrray: it lacks {', '.join(missing)}")
        summary.files.append(DataFile(name, file.metadata.num_rows, size_bytes))
        summary.passthrough |= {column.name: str(column.type) for column in schema if column.name not in SCHEMA.names}
        first_row = 0
        for rows in file.iter_batches(BATCH_ROWS, columns=_COLUMNS):
            batch = _Batch(name, first_row, rows)
            _add_counts(summary, pa.table(rows))
            _add_changes(summary, batch)
            _add_refusals(summary, batch)
            _add_routing(summary, batch)
            _add_quality(summary, batch)
            first_row += rows.num_rows
    summary.records += first_row


class _Batch:
    """A batch of rows, where it lies, and what several sums need of it as NumPy arrays."""

    def __init__(self, file: str, first_row: int, rows: pa.RecordBatch) -> None:
        self.file, self.first_row, self.rows = file, first_row, rows
        self.raw_chars = _integers(pc.utf8_length(rows["raw_text"]))
        self.failed = self.equals("status", "failed")
        self.random = np.random.default_rng([zlib.crc32(file.encode()), first_row]).random(rows.num_rows)

    def equals(self, column: str, value: str) -> np.ndarray:
        return pc.equal(self.rows[column].fill_null(""), value).to_numpy(zero_copy_only=False)

    def offer(self, top: TopRows, chosen: np.ndarray, rank: np.ndarray) -> None:
        """Offer the rows where `chosen` is true; of equal rank the longer text goes first."""
        top.offer(self.file, self.first_row + np.flatnonzero(chosen), rank[chosen], self.raw_chars[chosen])


def _add_counts(summary: Summary, rows: pa.Table) -> None:
    summary.status += _counts(rows, "status")
    summary.source_kinds += _counts(rows, "source_kind")
    failed = pc.field("status") == "failed"
    summary.kept_raw += _counts(rows.filter(pc.field("status") == "kept_raw"), "guard_reason")
    summary.failed += _counts(rows.filter(failed), "failed_stage", "error_kind")
    summary.makers += Counter({Maker(*key): n for key, n in _counts(rows.filter(~failed), *_MAKER_COLUMNS).items()})
    for column in ("input_tokens", "output_tokens", "recognize_s", "correct_s"):
        setattr(summary, column, getattr(summary, column) + (pc.sum(rows[column]).as_py() or 0))


def _add_changes(summary: Summary, batch: _Batch) -> None:
    corrected_chars = _integers(pc.utf8_length(batch.rows["corrected_text"]))
    changed_chars = _changed_chars(batch.rows["edits"])
    changed_frac = np.minimum(changed_chars / np.maximum(np.maximum(batch.raw_chars, corrected_chars), 1), 1.0)
    summary.raw_chars += int(batch.raw_chars.sum())
    summary.corrected_chars += int(corrected_chars.sum())
    summary.changed_chars += int(changed_chars.sum())
    summary.changed_bins += _histogram(changed_frac[~batch.failed])
    batch.offer(summary.groups["changed"], changed_frac > 0, changed_frac)
    batch.offer(summary.groups["sample"], ~batch.failed, batch.random)


def _add_refusals(summary: Summary, batch: _Batch) -> None:
    """Offer examples of each reason for which the guard kept the raw text, and of each kind of failure."""
    kept_raw = batch.equals("status", "kept_raw")
    for reason in pc.unique(batch.rows["guard_reason"].filter(kept_raw).fill_null("")).to_pylist():
        batch.offer(summary.kept_raw_rows[reason], kept_raw & batch.equals("guard_reason", reason), batch.random)
    failures = pa.table(batch.rows).filter(batch.failed)
    for stage, kind in _counts(failures, "failed_stage", "error_kind"):
        chosen = batch.failed & batch.equals("failed_stage", stage) & batch.equals("error_kind", kind)
        batch.offer(summary.failed_rows[stage, kind], chosen, batch.random)


def _add_routing(summary: Summary, batch: _Batch) -> None:
    sent_on, estimated = _given(batch.rows["tagger_edits"]), _given(batch.rows["estimated_cer"])
    estimated_cer = batch.rows["estimated_cer"].fill_null(0).to_numpy(zero_copy_only=False)
    summary.sent_on_records += int(sent_on.sum())
    summary.sent_on_chars += int(batch.raw_chars[sent_on].sum())
    summary.estimated_cer_bins += _histogram(estimated_cer[estimated])
    batch.offer(summary.groups["doubtful"], estimated & ~batch.failed, estimated_cer)


def _add_quality(summary: Summary, batch: _Batch) -> None:
    columns = [batch.rows[name] for name in ("ground_truth_chars", "raw_distance", "corrected_distance")]
    scored = np.logical_and.reduce([_given(column) for column in columns])
    chars, raw, corrected = (_integers(column) for column in columns)
    summary.quality += cer_totals(chars[scored], raw[scored], corrected[scored])
    summary.failed_with_truth += int((_given(batch.rows["ground_truth"]) & ~scored).sum())
    scored &= chars > 0
    corrected_cer = corrected / np.maximum(chars, 1)
    summary.raw_cer_bins += _histogram(raw[scored] / chars[scored])
    summary.corrected_cer_bins += _histogram(corrected_cer[scored])
    batch.offer(summary.groups["worst"], scored & (corrected > 0), corrected_cer)
    batch.offer(summary.groups["made_worse"], scored & (corrected > raw), corrected - raw)


def _counts(rows: pa.Table, *columns: str) -> Counter:
    """Rows per value of one column (a string), or per combination of several (a tuple); null counts as ''."""
    counts: Counter = Counter()
    for row in rows.group_by(list(columns)).aggregate([([], "count_all")]).to_pylist():
        key = tuple(row[column] or "" for column in columns)
        counts[key if len(columns) > 1 else key[0]] += row["count_all"]
    return counts


def _given(values: pa.Array) -> np.ndarray:
    return values.is_valid().to_numpy(zero_copy_only=False)


def _integers(values: pa.Array) -> np.ndarray:
    return values.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _changed_chars(edits: pa.ListArray) -> np.ndarray:
    """Characters that each row's edits touch: of every edit, its longer side."""
    flat, rows = edits.flatten(), pc.list_parent_indices(edits).to_numpy(zero_copy_only=False)
    replaced = _integers(pc.subtract(flat.field("end"), flat.field("start")))
    sizes = np.maximum(replaced, _integers(pc.utf8_length(flat.field("corrected"))))
    return np.bincount(rows, weights=sizes, minlength=len(edits)).astype(np.int64)


def _histogram(fractions: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(BIN_ENDS, fractions, side="left"), minlength=len(BIN_ENDS) + 1)
