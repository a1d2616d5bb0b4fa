"""A batch of rows of a corpus, with the values that several statistics use as NumPy arrays."""

import zlib
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
    *("status", "raw_text", "corrected_text", "ground_truth", "edits", "fields"),
    *("guard_reason", "failed_stage", "error_kind", "source_kind", "estimated_cer", "tagger_edits"),
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
        return np.asarray(self.rows["estimated_cer"].fill_null(0), dtype=np.float64)

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
        """Random numbers in 0..1, the same whenever the same file is read."""
        numbers: Floats = np.random.default_rng([zlib.crc32(self.file.encode()), self.first_row]).random(self.rows.num_rows)
        return numbers


def _integers(values: pa.Array) -> Integers:
    return np.asarray(values.fill_null(0)).astype(np.int64)
