"""Counts, quality and example rows of a corpus: gathered block by block where the rows are, then merged.

A summary is bounded, whatever the number of records: its JSON has a few kilobytes.
"""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.batch import COLUMNS, Batch, Flags, Floats, Integers
from ocrray.corpus.examples import BATCH_ROWS, Place, StratifiedRows, TopRows
from ocrray.corpus.fields import count_fields
from ocrray.corpus.groups import GROUPS
from ocrray.corpus.provenance import Provenance
from ocrray.errors import OcrrayError
from ocrray.records import SCHEMA
from ocrray.storage import Location
from ocrray.text.metrics import CerTotals, cer_totals

BIN_ENDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Upper ends of the histograms' bins, as fractions; the first bin is exactly 0, and a last one is everything above."""

MAX_FAILURE_KINDS = 20
"""Kinds of failure of which the report shows records: the most frequent."""

_ROWS_PER_GROUP, _ROWS_PER_STRATUM, _ROWS_PER_FAILURE = 12, 4, 3

_STATISTICS_VERSION = 1  # of the JSON; raise it when a count gets another meaning

KeyT = TypeVar("KeyT")


def _empty_histogram() -> Integers:
    return np.zeros(len(BIN_ENDS) + 1, dtype=np.int64)


def _empty_groups() -> dict[str, StratifiedRows]:
    return {
        group.name: StratifiedRows(_ROWS_PER_GROUP, _ROWS_PER_STRATUM if group.stratum else _ROWS_PER_GROUP) for group in GROUPS
    }


@dataclass(slots=True, eq=False)
class Summary:
    """Statistics of a corpus, for its manifest, card and report; characters are code points of the stored text.

    The order in which parts are merged changes nothing but the last digits of sums of fractions.
    """

    columns: dict[str, pa.DataType] = field(default_factory=dict)  # all columns of the data files
    records: int = 0
    gone: int = 0  # of the records, those that an update found to be no longer in the input
    status: Counter[str] = field(default_factory=Counter)
    source_kinds: Counter[str] = field(default_factory=Counter)
    provenance: Counter[Provenance] = field(default_factory=Counter)  # of the records that did not fail
    kept_raw: Counter[str] = field(default_factory=Counter)  # by guard_reason
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)  # by failed_stage and error_kind
    warnings: Counter[str] = field(default_factory=Counter)  # records by each of their warnings
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
    groups: dict[str, StratifiedRows] = field(default_factory=_empty_groups)  # by name of a group of GROUPS
    failed_rows: dict[tuple[str, str], TopRows] = field(default_factory=lambda: defaultdict(lambda: TopRows(_ROWS_PER_FAILURE)))

    @classmethod
    def of_block(cls, file_name: str, table: pa.Table) -> "Summary":
        """Return the statistics of the data file `file_name` (in the folder `data`) from its rows, in the file's order.

        Raises: OcrrayError: when the table lacks columns of a corpus.
        """
        summary = cls(columns=_columns(table.schema, file_name))
        first_row = 0
        for rows in table.select(list(COLUMNS)).combine_chunks().to_batches():
            _add_batch(summary, Batch(file_name, first_row, rows))
            first_row += rows.num_rows
        return summary

    def merge(self, other: "Summary") -> None:
        """Add the statistics of other records to these."""
        for name, data_type in other.columns.items():
            self.columns.setdefault(name, data_type)
        for name in _COUNTERS:
            setattr(self, name, _ordered(getattr(self, name) + getattr(other, name)))
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, group in other.groups.items():
            for stratum, rows in group.strata.items():
                self.groups[name].stratum(stratum).add(rows.best)
        for failure, rows in other.failed_rows.items():
            self.failed_rows[failure].add(rows.best)

    def to_json(self) -> str:
        """Return these statistics as JSON, for the footer of a data file and for the manifest."""
        return json.dumps(_encoded(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """Return the statistics that `to_json` wrote.

        Raises: OcrrayError: when they are damaged, or of another version of ocrray that counts differently.
        """
        try:
            return _decoded(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as err:
            raise OcrrayError(f"statistics of a corpus that cannot be read: {' '.join(str(err).split())}") from None

    @property
    def places(self) -> set[Place]:
        """Places of all rows that the report shows."""
        failed = [failure for failure, _ in self.failed.most_common(MAX_FAILURE_KINDS)]
        shown = [*(group.places for group in self.groups.values()), *(self.failed_rows[failure].places for failure in failed)]
        return set(chain.from_iterable(shown))

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


_COUNTERS = ("status", "source_kinds", "provenance", "kept_raw", "failed", "warnings", "fields")
_BY_NAME = ("status", "source_kinds", "kept_raw", "warnings", "fields")
_BINS = ("estimated_cer_bins", "raw_cer_bins", "corrected_cer_bins", "changed_bins")
_SUMS = tuple(entry.name for entry in fields(Summary) if entry.name not in {*_COUNTERS, "columns", "groups", "failed_rows"})
_NUMBERS = tuple(name for name in _SUMS if name not in {*_BINS, "quality"})


def _encoded(summary: Summary) -> dict[str, Any]:
    """Return the statistics as a JSON object; a candidate is its rank, characters, index of its file in `files`, and row."""
    files: dict[str, int] = {}

    def rows(top: TopRows) -> list[tuple[float, int, int, int]]:
        return [(rank, chars, files.setdefault(place.file, len(files)), place.row) for rank, chars, place in top.best]

    own = [
        pa.field(name, kind)
        for name, kind in summary.columns.items()
        if name not in SCHEMA.names or SCHEMA.field(name).type != kind
    ]
    return {
        "version": _STATISTICS_VERSION,
        "columns": base64.b64encode(pa.schema(own).serialize()).decode() if own else "",
        **{name: getattr(summary, name) for name in _NUMBERS},
        **{name: getattr(summary, name).tolist() for name in _BINS},
        **{name: dict(getattr(summary, name)) for name in _BY_NAME},
        "quality": asdict(summary.quality),
        "provenance": [[*dict(provenance).values(), records] for provenance, records in summary.provenance.items()],
        "failed": [[*failure, records] for failure, records in summary.failed.items()],
        "groups": {
            name: {stratum: rows(top) for stratum, top in sorted(group.strata.items())} for name, group in summary.groups.items()
        },
        "failed_rows": [[*failure, rows(top)] for failure, top in sorted(summary.failed_rows.items())],
        "files": list(files),
    }


def _decoded(tree: dict[str, Any]) -> Summary:
    if tree["version"] != _STATISTICS_VERSION:
        raise ValueError(f"their version is {tree['version']}, not {_STATISTICS_VERSION}")
    own = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(tree["columns"]))) if tree["columns"] else pa.schema([])
    simple: dict[str, Any] = {
        **{name: tree[name] for name in _NUMBERS},
        **{name: np.array(tree[name], dtype=np.int64) for name in _BINS},
        **{name: Counter(tree.get(name, {})) for name in _BY_NAME},  # `warnings` came with schema 7
    }
    summary = Summary(
        columns={column.name: column.type for column in (*SCHEMA, *own)} if tree["records"] or own else {},
        provenance=Counter({_provenance(values): records for *values, records in tree["provenance"]}),
        failed=Counter({(stage, kind): records for stage, kind, records in tree["failed"]}),
        quality=CerTotals(**tree["quality"]),
        **simple,
    )

    def add(top: TopRows, rows: Iterable[tuple[float, int, int, int]]) -> None:
        top.add((rank, chars, Place(tree["files"][file], row)) for rank, chars, file, row in rows)

    for name, strata in tree["groups"].items():
        for stratum, rows in strata.items():
            add(summary.groups[name].stratum(stratum), rows)
    for stage, kind, rows in tree["failed_rows"]:
        add(summary.failed_rows[stage, kind], rows)
    return summary


def _provenance(values: list[str]) -> Provenance:
    return Provenance(**dict(zip(Provenance.model_fields, values, strict=True)))


def summarise(data_folder: str | Path | Location) -> Summary:
    """Read all rows of the data files directly in `data_folder` (a path or URI); without the folder the corpus is empty.

    For corpora whose manifest holds no statistics: a run merges those of its blocks.

    Raises: OcrrayError: when a file cannot be read or lacks columns of a corpus.
    """
    folder = Location.at(data_folder)
    summary = Summary()
    for info in folder.files(".parquet"):
        try:
            _add_file(summary, folder, info.base_name)
        except (pa.ArrowException, OSError) as err:
            raise OcrrayError(f"{info.path}: cannot be read as Parquet: {' '.join(str(err).split())}") from None
    return summary


def _add_file(summary: Summary, folder: Location, name: str) -> None:
    path = f"{folder.path}/{name}"
    with pq.ParquetFile(path, filesystem=folder.filesystem) as file:
        part = Summary(columns=_columns(file.schema_arrow, path))
        first_row = 0
        for rows in file.iter_batches(4 * BATCH_ROWS, columns=list(COLUMNS)):
            _add_batch(part, Batch(name, first_row, rows))
            first_row += rows.num_rows
    summary.merge(part)


def _columns(schema: pa.Schema, path: str) -> dict[str, pa.DataType]:
    if missing := [column for column in SCHEMA.names if column not in schema.names]:
        raise OcrrayError(f"{path}: not a data file of ocrray: it lacks {', '.join(missing)}")
    return {column.name: column.type for column in schema}


def _add_batch(summary: Summary, batch: Batch) -> None:
    if not batch.rows.num_rows:
        return
    summary.records += batch.rows.num_rows
    for add in (_add_counts, _add_changes, _add_failures, _add_routing, _add_quality, _add_groups):
        add(summary, batch)


def _add_counts(summary: Summary, batch: Batch) -> None:
    summary.gone += int(batch.total("gone"))
    summary.status += batch.counts("status")
    summary.source_kinds += batch.counts("source_kind")
    summary.kept_raw += batch.counts("guard_reason", batch.equals("status", "kept_raw"))
    summary.warnings += batch.item_counts("warnings")
    for values, records in batch.combinations(Provenance.model_fields, ~batch.failed):
        summary.provenance[_provenance(values)] += records
    summary.fields += Counter(count_fields(batch.rows["fields"]))
    summary.input_tokens += int(batch.total("input_tokens"))
    summary.output_tokens += int(batch.total("output_tokens"))
    summary.recognize_s += batch.total("recognize_s")
    summary.correct_s += batch.total("correct_s")


def _add_changes(summary: Summary, batch: Batch) -> None:
    summary.raw_chars += int(batch.raw_chars.sum())
    summary.corrected_chars += int(batch.corrected_chars.sum())
    summary.changed_chars += int(batch.changed_chars.sum())
    summary.changed_bins += _histogram(batch.changed_frac[~batch.failed])


def _add_failures(summary: Summary, batch: Batch) -> None:
    if not batch.failed.any():
        return
    for (stage, kind), records in batch.combinations(("failed_stage", "error_kind"), batch.failed):
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
        if not chosen.any():
            continue
        strata = [""]
        if group.stratum:
            strata = pc.unique(batch.rows[group.stratum].filter(pa.array(chosen)).fill_null("")).to_pylist()
        for stratum in strata:
            inside: Flags = chosen & batch.equals(group.stratum, stratum) if group.stratum else chosen
            summary.groups[group.name].stratum(stratum).offer(batch, inside, rank)


def _ordered(counts: Counter[KeyT]) -> Counter[KeyT]:
    """Return the counts in the order of their keys: `most_common` lists equal counts in the order of insertion."""
    return Counter({name: counts[name] for name in sorted(counts, key=_sort_key)})


def _sort_key(name: Any) -> Any:
    return tuple(dict(name).values()) if isinstance(name, Provenance) else name


def _histogram(fractions: Floats) -> Integers:
    return np.bincount(np.searchsorted(BIN_ENDS, fractions, side="left"), minlength=len(BIN_ENDS) + 1)
