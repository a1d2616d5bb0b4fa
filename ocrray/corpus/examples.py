"""Choose the few rows of a corpus that a report shows, in bounded memory, and read them back."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ocrray.corpus.batch import Batch, Flags, Floats, Integers
from ocrray.storage import Location

BATCH_ROWS = 4_096

Rows = Mapping["Place", Mapping[str, Any]]
"""Rows of a corpus by their places."""

_CONCURRENT_FILES = 16  # an object store answers slowly, but many requests at a time


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Position of a row: name of the data file and 0-based index of the row in it."""

    file: str
    row: int


Candidate = tuple[float, int, Place]
"""Rank, characters of raw text, and place of a row."""


@dataclass(slots=True)
class TopRows:
    """The `size` rows with the highest rank among all offered, highest first; of equal ranks the longer text, then the later."""

    size: int
    best: list[Candidate] = field(default_factory=list)

    def offer(self, batch: Batch, chosen: Flags, rank: Floats | Integers) -> None:
        """Consider the rows where `chosen` is true."""
        rows = np.flatnonzero(chosen)
        if len(rows) > self.size:  # sort only what can be among the best
            ranks = rank[rows]
            rows = rows[ranks >= np.partition(ranks, -self.size)[-self.size]]
        order = rows[np.lexsort((batch.raw_chars[rows], rank[rows]))[-self.size :]]
        offered = [(float(rank[i]), int(batch.raw_chars[i]), Place(batch.file, batch.first_row + int(i))) for i in order]
        self.add(offered)

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Consider these candidates."""
        self.best = sorted([*self.best, *candidates], reverse=True)[: self.size]

    @property
    def places(self) -> list[Place]:
        """Places, highest rank first."""
        return [place for _, _, place in self.best]


@dataclass(slots=True)
class StratifiedRows:
    """Top rows of every stratum, in turn."""

    size: int
    size_per_stratum: int
    strata: dict[str, TopRows] = field(default_factory=dict)

    def stratum(self, name: str) -> TopRows:
        """Return the rows of this stratum, none yet for a new one."""
        return self.strata.setdefault(name, TopRows(self.size_per_stratum))

    @property
    def places(self) -> list[Place]:
        """At most `size` places: the first of every stratum in the order of their names, then the second, ..."""
        turns = zip_longest(*(self.strata[name].places for name in sorted(self.strata)))
        return [place for place in chain.from_iterable(turns) if place][: self.size]


def read_rows(folder: Location, places: Iterable[Place]) -> dict[Place, dict[str, Any]]:
    """Read the rows at `places` as dictionaries with all columns except `lines`.

    Files are read in parallel: only the row groups that hold the rows, and one batch of each in memory at a time.
    """
    wanted: dict[str, list[int]] = defaultdict(list)
    for place in sorted(set(places)):
        wanted[place.file].append(place.row)
    with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
        parts = pool.map(lambda name: _read_file(folder, name, wanted[name]), wanted)
        return {place: row for part in parts for place, row in part.items()}


def _read_file(folder: Location, name: str, rows: Sequence[int]) -> dict[Place, dict[str, Any]]:
    with pq.ParquetFile(f"{folder.path}/{name}", filesystem=folder.filesystem) as file:
        return {Place(name, row): values for row, values in _rows_of(file, rows)}


def _rows_of(file: pq.ParquetFile, rows: Sequence[int]) -> Iterable[tuple[int, dict[str, Any]]]:
    columns = [name for name in file.schema_arrow.names if name != "lines"]
    group_start = 0
    for group in range(file.num_row_groups):
        group_end = group_start + file.metadata.row_group(group).num_rows
        if any(group_start <= row < group_end for row in rows):
            start = group_start
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                inside = [row for row in rows if start <= row < start + batch.num_rows]
                yield from ((row, batch.slice(row - start, 1).to_pylist()[0]) for row in inside)
                start += batch.num_rows
        group_start = group_end
