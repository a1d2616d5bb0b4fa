"""A batch of rows of a corpus, with the values that several statistics use as NumPy arrays."""

import zlib
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.corpus.provenance import Provenance

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

COLUMNS = (
    *("record_id", "gone", "status", "raw_text", "corrected_text", "ground_truth", "edits", "fields"),
    *("guard_reason", "failed_stage", "error_kind", "source_kind", "estimated_cer", "tagger_edits", "warnings"),
    *Provenance.model_fields,
    *("input_tokens", "output_tokens", "recognize_s", "correct_s"),
    *("ground_truth_chars", "raw_distance", "corrected_distance"),
)
"""Columns that the statistics read; a new one must be listed here."""


class Batch:
    """Rows `first_row`, ... of a data file; every array has one entry a row."""

    def __init__(self, file: str, first_row: int, rows: pa.RecordBatch) -> None:
        self.file, self.first_row, self.rows = file, first_row, rows

    def equals(self, column: str, value: str) -> Flags:
        """Return where a column of strings equals `value`; null counts as the empty string."""
        return np.asarray(pc.equal(self.rows[column].fill_null(""), value), dtype=np.bool_)

    def given(self, column: str) -> Flags:
        """Return where a column is not null."""
        return np.asarray(self.rows[column].is_valid(), dtype=np.bool_)

    def integers(self, column: str) -> Integers:
        """Return a column of integers, 0 for null."""
        return _integers(self.rows[column])

    def chars(self, column: str) -> Integers:
        """Return the lengths of a column of strings in code points, 0 for null."""
        return _integers(pc.utf8_length(self.rows[column]))

    def total(self, column: str) -> float:
        """Return the sum of a column of numbers, without nulls."""
        total: float = pc.sum(self.rows[column]).as_py() or 0
        return total

    def counts(self, column: str, chosen: Flags | None = None) -> Counter[str]:
        """Count each value of a column of strings, in the chosen rows if given; null counts as the empty string."""
        values = self.rows[column] if chosen is None else self.rows[column].filter(pa.array(chosen))
        counts = pc.value_counts(values.fill_null("")).to_pylist()
        return Counter({entry["values"]: entry["counts"] for entry in sorted(counts, key=lambda entry: str(entry["values"]))})

    def item_counts(self, column: str) -> Counter[str]:
        """Count the rows in which each item of a column of lists occurs; a list holds an item once."""
        return Counter({entry["values"]: entry["counts"] for entry in pc.value_counts(self.rows[column].flatten()).to_pylist()})

    def combinations(self, columns: Iterable[str], chosen: Flags) -> list[tuple[list[str], int]]:
        """Return each combination of values of columns of strings among the chosen rows, sorted, and its number of rows.

        Null becomes the empty string.
        """
        encoded = [self.rows[name].fill_null("").dictionary_encode() for name in columns]
        codes = np.zeros(self.rows.num_rows, dtype=np.int64)  # one a combination; renumbered after each column
        for column in encoded:
            if len(column.dictionary) > 1:
                _, codes = np.unique(codes * len(column.dictionary) + np.asarray(column.indices), return_inverse=True)
        _, first, counts = np.unique(codes[chosen], return_index=True, return_counts=True)
        places = np.flatnonzero(chosen)[first].tolist()
        values = [[str(column[place]) for column in encoded] for place in places]
        return sorted(zip(values, counts.tolist(), strict=True))

    @cached_property
    def failed(self) -> Flags:
        """True where the record failed."""
        return self.equals("status", "failed")

    @cached_property
    def raw_chars(self) -> Integers:
        """Characters of the raw text."""
        return self.chars("raw_text")

    @cached_property
    def corrected_chars(self) -> Integers:
        """Characters of the corrected text."""
        return self.chars("corrected_text")

    @cached_property
    def changed_chars(self) -> Integers:
        """Characters that the record's edits touch: the longer side of each edit."""
        edits = self.rows["edits"]
        flat, rows = edits.flatten(), np.asarray(pc.list_parent_indices(edits))
        replaced = _integers(pc.subtract(flat.field("end"), flat.field("start")))
        sizes = np.maximum(replaced, _integers(pc.utf8_length(flat.field("corrected"))))
        return np.bincount(rows, weights=sizes, minlength=len(edits)).astype(np.int64)

    @cached_property
    def changed_frac(self) -> Floats:
        """Share of the longer text that the edits touch, 0..1."""
        longer = np.maximum(np.maximum(self.raw_chars, self.corrected_chars), 1)
        return np.minimum(self.changed_chars / longer, 1.0)

    @cached_property
    def estimated_cer(self) -> Floats:
        """CER estimated by the tagger, 0 where no tagger read the text."""
        return np.nan_to_num(np.asarray(self.rows["estimated_cer"].fill_null(0), dtype=np.float64))

    @cached_property
    def scored(self) -> Flags:
        """True where both texts were compared with the ground truth."""
        columns = ("ground_truth_chars", "raw_distance", "corrected_distance")
        scored: Flags = np.logical_and.reduce([self.given(column) for column in columns])
        return scored

    @cached_property
    def has_cer(self) -> Flags:
        """True where the record is scored and its ground truth is not empty."""
        return self.scored & (self.integers("ground_truth_chars") > 0)

    @cached_property
    def corrected_cer(self) -> Floats:
        """Character error rate of the corrected text; meaningless unless `has_cer`."""
        chars = np.maximum(self.integers("ground_truth_chars"), 1).astype(np.float64)
        return self.integers("corrected_distance") / chars

    @cached_property
    def random(self) -> Floats:
        """Random numbers in 0..1 that depend on the record's id alone, not on the file or block in which it is."""
        ids = self.rows["record_id"].fill_null("").cast(pa.binary()).to_pylist()
        return _uniform(np.fromiter(map(zlib.crc32, ids), np.uint64, len(ids)))


def _uniform(numbers: npt.NDArray[np.uint64]) -> Floats:
    """Spread numbers over 0..1 by the finaliser of SplitMix64: checksums of similar ids are similar."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    numbers ^= numbers >> np.uint64(31)
    return (numbers >> np.uint64(11)).astype(np.float64) / 2**53


def _integers(values: pa.Array) -> Integers:
    return np.asarray(values.fill_null(0)).astype(np.int64)
