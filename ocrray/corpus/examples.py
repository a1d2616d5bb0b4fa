"""Choose the few rows of a corpus that a report shows, in one pass of bounded memory, and read them back."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ocrray.corpus.batch import Batch, Flags, Floats, Integers
from ocrray.storage import Location

BATCH_ROWS = 4_096


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Position of a row: name of the data file and 0-based index of the row in it."""

    file: str
    row: int


@dataclass(slots=True)
class TopRows:
    """Places of the `size` rows with the highest rank among all offered, highest first; of equal ranks the longer text."""

    size: int
    _best: list[tuple[float, float, Place]] = field(default_factory=list)

    def offer(self, batch: Batch, chosen: Flags, rank: Floats | Integers) -> None:
        """Consider the rows where `chosen` is true."""
        rows = np.flatnonzero(chosen)
        order = rows[np.lexsort((batch.raw_chars[rows], rank[rows]))[-self.size :]]
        offered = [(float(rank[i]), float(batch.raw_chars[i]), Place(batch.file, batch.first_row + int(i))) for i in order]
        self._best = sorted([*self._best, *offered], reverse=True)[: self.size]

    @property
    def places(self) -> list[Place]:
        """Places, highest rank first."""
        return [place for _, _, place in self._best]


@dataclass(slots=True)
class StratifiedRows:
    """Top rows of every stratum, in turn."""

    size: int
    size_per_stratum: int
    strata: dict[str, TopRows] = field(default_factory=dict)

    def offer(self, stratum: str, batch: Batch, chosen: Flags, rank: Floats | Integers) -> None:
        """Consider the rows where `chosen` is true for this stratum."""
        self.strata.setdefault(stratum, TopRows(self.size_per_stratum)).offer(batch, chosen, rank)

    @property
    def places(self) -> list[Place]:
        """At most `size` places: the first of every stratum, then the second, ..."""
        turns = zip_longest(*(top.places for top in self.strata.values()))
        return [place for place in chain.from_iterable(turns) if place][: self.size]


def read_rows(folder: Location, places: Iterable[Place]) -> dict[Place, dict[str, Any]]:
    """Read the rows at `places` as dictionaries with all columns except `lines`, at most one batch in memory at a time."""
    wanted: dict[str, list[int]] = defaultdict(list)
    for place in sorted(set(places)):
        wanted[place.file].append(place.row)
    found: dict[Place, dict[str, Any]] = {}
    for name, rows in wanted.items():
        with pq.ParquetFile(f"{folder.path}/{name}", filesystem=folder.filesystem) as file:
            for row, values in _rows_of(file, rows):
                found[Place(name, row)] = values
    return found


def _rows_of(file: pq.ParquetFile, rows: list[int]) -> Iterable[tuple[int, dict[str, Any]]]:
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
