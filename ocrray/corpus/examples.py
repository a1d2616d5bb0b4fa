"""Choosing, in one pass over a corpus of any size, the few rows that a report shows, and reading those rows back."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ocrray.folder import Folder

BATCH_ROWS = 4_096


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a row lies: the data file's name, and the row's 0-based index in it."""

    file: str
    row: int


@dataclass(slots=True)
class TopRows:
    """The places of the `size` rows with the highest rank among all that were offered, highest first."""

    size: int
    _best: list[tuple[float, float, Place]] = field(default_factory=list)

    def offer(self, file: str, rows: np.ndarray, rank: np.ndarray, tie_break: np.ndarray) -> None:
        """Consider `rows` (indices in `file`), ranked by `rank` and, where equal, by `tie_break`."""
        order = np.lexsort((tie_break, rank))[-self.size :]
        offered = [(float(rank[i]), float(tie_break[i]), Place(file, int(rows[i]))) for i in order]
        self._best = sorted([*self._best, *offered], reverse=True)[: self.size]

    @property
    def places(self) -> list[Place]:
        return [place for _, _, place in self._best]


def read_rows(folder: Folder, places: Iterable[Place]) -> dict[Place, dict[str, Any]]:
    """The rows at `places` as dicts, with every column but `lines`; no more than a batch is held at a time."""
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
