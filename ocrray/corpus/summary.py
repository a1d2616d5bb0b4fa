"""Counts, quality and example rows of a corpus, from one pass over its Parquet files.

Memory is bounded for any corpus: one batch of rows, and 8 bytes a record for the check that ids are unique.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.batch import COLUMNS, Batch, Flags, Floats, Integers
from ocrray.corpus.examples import BATCH_ROWS, StratifiedRows, TopRows
from ocrray.corpus.fields import count_fields
from ocrray.corpus.groups import GROUPS
from ocrray.corpus.ids import duplicate_ids
from ocrray.corpus.provenance import Provenance
from ocrray.errors import OcrrayError
from ocrray.records import SCHEMA
from ocrray.storage import Location
from ocrray.text.metrics import CerTotals, cer_totals

BIN_ENDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Upper ends of the histograms' bins, as fractions; the first bin is exactly 0, and a last one is everything above."""

_ROWS_PER_GROUP, _ROWS_PER_STRATUM, _ROWS_PER_FAILURE = 12, 4, 3


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of the corpus, by its name in the data folder."""

    name: str
    rows: int
    size_bytes: int


def _empty_histogram() -> Integers:
    return np.zeros(len(BIN_ENDS) + 1, dtype=np.int64)


def _empty_groups() -> dict[str, StratifiedRows]:
    return {
        group.name: StratifiedRows(_ROWS_PER_GROUP, _ROWS_PER_STRATUM if group.stratum else _ROWS_PER_GROUP) for group in GROUPS
    }


@dataclass(slots=True)
class Summary:
    """Statistics of a corpus, for its manifest, card and report; characters are code points of the stored text."""

    folder: Location
    files: list[DataFile] = field(default_factory=list)
    columns: dict[str, pa.DataType] = field(default_factory=dict)  # all columns of the data files
    records: int = 0
    status: Counter[str] = field(default_factory=Counter)
    source_kinds: Counter[str] = field(default_factory=Counter)
    provenance: Counter[Provenance] = field(default_factory=Counter)  # of the records that did not fail
    kept_raw: Counter[str] = field(default_factory=Counter)  # by guard_reason
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)  # by failed_stage and error_kind
    fields: Counter[str] = field(default_factory=Counter)  # records with a value, by path of the extracted field
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
    estimated_cer_bins: Integers = field(default_factory=_empty_histogram)  # records that a tagger read
    raw_cer_bins: Integers = field(default_factory=_empty_histogram)  # records per bin of BIN_ENDS
    corrected_cer_bins: Integers = field(default_factory=_empty_histogram)
    changed_bins: Integers = field(default_factory=_empty_histogram)
    duplicate_ids: list[str] = field(default_factory=list)  # a few of them; empty if every id is unique
    groups: dict[str, StratifiedRows] = field(default_factory=_empty_groups)  # by name of a group of GROUPS
    failed_rows: dict[tuple[str, str], TopRows] = field(default_factory=lambda: defaultdict(lambda: TopRows(_ROWS_PER_FAILURE)))

    @property
    def passthrough(self) -> list[str]:
        """Columns copied from the input."""
        return [name for name in self.columns if name not in SCHEMA.names]

    @property
    def has_correction(self) -> bool:
        """True if a corrector read any of the records."""
        return any(provenance.corrector for provenance in self.provenance)

    @property
    def sent_on_frac(self) -> float:
        """Share of the characters of raw text that were sent on to the language model."""
        return self.sent_on_chars / max(self.raw_chars, 1)

    @property
    def changed_frac(self) -> float:
        """Share of the corpus's characters that correction changed."""
        return self.changed_chars / max(self.raw_chars, self.corrected_chars, 1)


def summarise(data_folder: str | Path | Location) -> Summary:
    """Read every Parquet file directly in `data_folder` (a path or URI) once; a folder that does not exist is an empty corpus.

    Raises: OcrrayError: when a file cannot be read or lacks columns of a corpus.
    """
    folder = Location.at(data_folder)
    summary = Summary(folder)
    for info in folder.files(".parquet"):
        try:
            _add_file(summary, info.base_name, info.size)
        except (pa.ArrowException, OSError) as err:
            raise OcrrayError(f"{info.path}: cannot be read as Parquet: {' '.join(str(err).split())}") from None
    summary.duplicate_ids = duplicate_ids(folder, [file.name for file in summary.files])
    return summary


def _add_file(summary: Summary, name: str, size_bytes: int) -> None:
    path = f"{summary.folder.path}/{name}"
    with pq.ParquetFile(path, filesystem=summary.folder.filesystem) as file:
        schema = file.schema_arrow
        if missing := [column for column in SCHEMA.names if column not in schema.names]:
            raise OcrrayError(f"{path}: not a data file of ocrray: it lacks {', '.join(missing)}")
        summary.files.append(DataFile(name, file.metadata.num_rows, size_bytes))
        for column in schema:
            summary.columns.setdefault(column.name, column.type)
        first_row = 0
        for rows in file.iter_batches(BATCH_ROWS, columns=list(COLUMNS)):
            batch = Batch(name, first_row, rows)
            for add in (_add_counts, _add_changes, _add_failures, _add_routing, _add_quality, _add_groups):
                add(summary, batch)
            first_row += rows.num_rows
    summary.records += first_row


def _add_counts(summary: Summary, batch: Batch) -> None:
    rows, failed = pa.table(batch.rows), pc.field("status") == "failed"
    summary.status += _counts(rows, "status")
    summary.source_kinds += _counts(rows, "source_kind")
    summary.kept_raw += _counts(rows.filter(pc.field("status") == "kept_raw"), "guard_reason")
    for values, records in _combinations(rows.filter(~failed), Provenance.model_fields):
        summary.provenance[Provenance(**values)] += records
    summary.fields.update(count_fields(batch.rows["fields"]))
    summary.input_tokens += int(_sum(rows["input_tokens"]))
    summary.output_tokens += int(_sum(rows["output_tokens"]))
    summary.recognize_s += _sum(rows["recognize_s"])
    summary.correct_s += _sum(rows["correct_s"])


def _add_changes(summary: Summary, batch: Batch) -> None:
    summary.raw_chars += int(batch.raw_chars.sum())
    summary.corrected_chars += int(batch.corrected_chars.sum())
    summary.changed_chars += int(batch.changed_chars.sum())
    summary.changed_bins += _histogram(batch.changed_frac[~batch.failed])


def _add_failures(summary: Summary, batch: Batch) -> None:
    for values, records in _combinations(pa.table(batch.rows).filter(batch.failed), ("failed_stage", "error_kind")):
        stage, kind = values["failed_stage"], values["error_kind"]
        summary.failed[stage, kind] += records
        chosen = batch.failed & batch.equals("failed_stage", stage) & batch.equals("error_kind", kind)
        summary.failed_rows[stage, kind].offer(batch, chosen, batch.random)


def _add_routing(summary: Summary, batch: Batch) -> None:
    sent_on = batch.given("tagger_edits")
    summary.sent_on_records += int(sent_on.sum())
    summary.sent_on_chars += int(batch.raw_chars[sent_on].sum())
    summary.estimated_cer_bins += _histogram(batch.estimated_cer[batch.given("estimated_cer")])


def _add_quality(summary: Summary, batch: Batch) -> None:
    columns = [batch.integers(name) for name in ("ground_truth_chars", "raw_distance", "corrected_distance")]
    chars, raw, corrected = columns
    summary.quality += cer_totals(chars[batch.scored], raw[batch.scored], corrected[batch.scored])
    summary.failed_with_truth += int((batch.given("ground_truth") & ~batch.scored).sum())
    summary.raw_cer_bins += _histogram(raw[batch.has_cer] / chars[batch.has_cer])
    summary.corrected_cer_bins += _histogram(batch.corrected_cer[batch.has_cer])


def _add_groups(summary: Summary, batch: Batch) -> None:
    for group in GROUPS:
        chosen, rank = group.rank(batch)
        strata = [""]
        if group.stratum:
            strata = pc.unique(batch.rows[group.stratum].filter(pa.array(chosen)).fill_null("")).to_pylist()
        for stratum in strata:
            inside: Flags = chosen & batch.equals(group.stratum, stratum) if group.stratum else chosen
            summary.groups[group.name].offer(stratum, batch, inside, rank)


def _counts(rows: pa.Table, column: str) -> Counter[str]:
    """Count the rows per value of a column of strings; null counts as the empty string."""
    return Counter({values[column]: records for values, records in _combinations(rows, (column,))})


def _combinations(rows: pa.Table, columns: Iterable[str]) -> list[tuple[dict[str, str], int]]:
    """Return each combination of values of these columns of strings and its number of rows; null becomes the empty string."""
    names = list(columns)
    filled = pa.table({name: rows[name].fill_null("") for name in names})
    groups = filled.group_by(names, use_threads=False).aggregate([([], "count_all")]).to_pylist()
    return [({name: group[name] for name in names}, group["count_all"]) for group in groups]


def _sum(values: pa.ChunkedArray) -> float:
    total: float = pc.sum(values).as_py() or 0
    return total


def _histogram(fractions: Floats) -> Integers:
    return np.bincount(np.searchsorted(BIN_ENDS, fractions, side="left"), minlength=len(BIN_ENDS) + 1)
