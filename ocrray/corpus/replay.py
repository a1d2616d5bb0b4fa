"""Replay: rows of a corpus that are processed again, chosen by their outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.corpus.blocks import read_block
from ocrray.corpus.summary import Summary
from ocrray.records import AWAITING_ANSWER, STATUSES, TRANSIENT_ANSWER_KINDS, TRANSIENT_KINDS, TRANSIENT_REASONS
from ocrray.storage import Location

_COLUMNS = ("status", "error_kind", "failed_stage", "guard_reason", "warnings")


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows that have one of some values in one of the columns in which a replay looks."""

    terms: tuple[tuple[str, str], ...]
    name: str = ""
    """Text that stands for the terms in the manifest."""

    @classmethod
    def parse(cls, terms: Sequence[str]) -> Self:
        """Parse `COLUMN=VALUE`, the name of a status, or the name of a kind of error.

        Raises: ValueError: for an unknown column or an empty value.
        """
        return cls(tuple(map(_parsed, terms)))

    @classmethod
    def transient(cls) -> Self:
        """Return the selection of records that failed, or were left as they are, for a reason that may have passed."""
        failed = [("error_kind", kind) for kind in sorted(TRANSIENT_KINDS | TRANSIENT_ANSWER_KINDS)]
        waiting = ("warnings", AWAITING_ANSWER)
        refused = (("guard_reason", reason) for reason in sorted(TRANSIENT_REASONS))
        return cls((*failed, waiting, *refused), "no result yet, for a reason that may have passed")

    def __str__(self) -> str:
        return self.name or ", ".join(f"{column}={value}" for column, value in self.terms)

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return where a row is selected."""
        masks = (_has(rows[column], value) for column, value in self.terms)
        chosen = next(masks)
        for mask in masks:
            chosen = pc.or_(chosen, mask)
        return chosen

    def count(self, summary: Summary) -> int:
        """Return the number of selected rows, or a little more where terms overlap."""
        return min(summary.records, sum(_count(summary, column, value) for column, value in self.terms))


def _parsed(term: str) -> tuple[str, str]:
    column, equals, value = term.partition("=")
    if not equals:
        return ("status" if term in STATUSES else "error_kind", term)
    if column not in _COLUMNS or not value:
        raise ValueError(f"{term}: write a status, a kind of error, or COLUMN=VALUE with one of {', '.join(_COLUMNS)}")
    return column, value


def _has(column: pa.ChunkedArray, value: str) -> pa.ChunkedArray:
    """Return where a column of strings, or of lists of strings, has this value."""
    if pa.types.is_list(column.type):
        lists = column.combine_chunks()
        found = pc.list_parent_indices(lists).filter(pc.equal(pc.list_flatten(lists), value))
        return pa.chunked_array([pc.is_in(pa.array(range(len(lists)), pa.int64()), found.cast(pa.int64()))])
    return pc.fill_null(pc.equal(column, value), False)


def _count(summary: Summary, column: str, value: str) -> int:
    if column == "status":
        return summary.status[value]
    if column == "guard_reason":
        return summary.kept_raw[value]
    if column == "warnings":
        return summary.warnings[value]
    position = ("failed_stage", "error_kind").index(column)
    return sum(records for key, records in summary.failed.items() if key[position] == value)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Chooses the rows of a block's work list that are to be processed again, by what its data file says of them."""

    data: Location
    selection: Selection

    def __call__(self, number: int, work: pa.Table) -> pa.Table:
        """Return the rows of `work` whose records are selected."""
        rows = read_block(self.data, number, columns=["record_id", *_COLUMNS])
        return work.filter(pc.is_in(work["record_id"], rows["record_id"].filter(self.selection.mask(rows)).combine_chunks()))
