"""Search for repeated record ids among the parts of a work list, by sorted 64-bit hashes that each task leaves beside its parts.

A file of hashes (a run) holds the little-endian numbers in ascending order after a header: for each of 256 slices of the range
of hashes, and for the end, the position of its first hash. Every task can read one slice of all runs.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, repeat
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from pyarrow import fs

from ocrray.sources.worklist import write_part
from ocrray.storage import Location

A = TypeVar("A")
B = TypeVar("B")
RUN_PREFIX = "_ids-"
_SLICES = 256
_HEADER_BYTES = 8 * (_SLICES + 1)
_HASHES_PER_TASK = 1 << 22


class InOrder(Protocol):
    """Applies a function to arguments, in tasks or here, and yields the results in the order of the arguments; `map` is one."""

    def __call__(self, function: Callable[[A], B], arguments: Iterable[A], /) -> Iterable[B]: ...


@dataclass(frozen=True, slots=True)
class Run:
    """One file of hashes, of the ids in these parts."""

    name: str
    parts: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class _Slice:
    work_list: Location
    runs: Sequence[Run]
    first: int
    end: int
    wanted: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class _Renaming:
    work_list: Location
    part: str
    ids: Mapping[int, tuple[str, str]]
    """New and original id by the row's position in the part."""
    newly_failed: int


class _Row(NamedTuple):
    part: str
    position: int
    record_id: str
    is_usable: bool


def hash_ids(ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a 64-bit hash of each id, the same in every process."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, ids.cast(pa.binary()).to_pylist()), np.uint64, len(ids))


def write_run(work_list: Location, name: str, hashes: np.ndarray) -> None:
    """Write the hashes of one run."""
    hashes = np.sort(hashes)
    starts = np.searchsorted(hashes, np.arange(_SLICES, dtype=np.uint64) << np.uint64(56))
    header = np.append(starts, len(hashes)).astype("<u8")
    work_list.write_bytes(name, header.tobytes() + hashes.astype("<u8").tobytes())


def rename_repeated(work_list: Location, runs: Sequence[Run], in_order: InOrder) -> int:
    """Turn each row whose id is that of a row before it into a failed record (`duplicate_id`) named `<id>~2`, `<id>~3`, ...

    Returns the number of rows that were usable before.
    """
    if not runs:
        return 0
    suspects = np.concatenate(list(in_order(_repeated, _slices(work_list, runs))))
    if not len(suspects):
        return 0
    times = Counter(row.record_id for row in _rows(work_list, runs, suspects))
    missing = {record_id: count - 1 for record_id, count in times.items() if count > 1}
    free = _free_names(missing, work_list, runs, in_order)
    newly_failed: Iterable[int] = in_order(_rename, _renamings(work_list, _rows(work_list, runs, suspects), free))
    return sum(newly_failed)


def rename_rows(work_list: Location, rows: Mapping[str, Sequence[int]], runs: Sequence[Run], in_order: InOrder) -> int:
    """Rename rows whose ids other records have, as `rename_repeated` does; `rows` are positions by part.

    Returns the number of rows that were usable before.
    """
    repeated = [row for part, positions in rows.items() for row in _rows_at(work_list, part, positions)]
    times = Counter(row.record_id for row in repeated)
    free = _free_names(times, work_list, runs, in_order)
    newly_failed: Iterable[int] = in_order(_rename, _renamings(work_list, repeated, free, set(times)))
    return sum(newly_failed)


def hashes_present(work_list: Location, wanted: np.ndarray, runs: Sequence[Run], in_order: InOrder) -> np.ndarray:
    """Return those of the wanted hashes that occur in the runs."""
    if not runs or not len(wanted):
        return np.empty(0, np.uint64)
    return np.concatenate(list(in_order(_present, _slices(work_list, runs, np.unique(wanted)))))


def stored_runs(work_list: Location) -> list[Run]:
    """Return the runs of a work list, without the names of their parts."""
    found = work_list.filesystem.get_file_info(fs.FileSelector(work_list.path))
    sizes = {info.base_name: info.size for info in found if info.base_name.startswith(RUN_PREFIX)}
    return [Run(name, (), (size - _HEADER_BYTES) // 8) for name, size in sorted(sizes.items())]


def _slices(work_list: Location, runs: Sequence[Run], wanted: np.ndarray | None = None) -> list[_Slice]:
    tasks = min(_SLICES, max(1, sum(run.rows for run in runs) // _HASHES_PER_TASK))
    bounds = [_SLICES * i // tasks for i in range(tasks + 1)]
    return [_Slice(work_list, runs, first, end, wanted) for first, end in pairwise(bounds)]


def _repeated(part: _Slice) -> np.ndarray:
    """Return the hashes in this slice that occur more than once."""
    hashes = np.sort(_read(part), kind="stable")
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def _present(part: _Slice) -> np.ndarray:
    """Return the wanted hashes that occur in this slice."""
    assert part.wanted is not None
    return np.intersect1d(_read(part), part.wanted)


def _read(part: _Slice) -> np.ndarray:
    found = [np.empty(0, np.uint64)]
    for run in part.runs:
        with part.work_list.filesystem.open_input_file(part.work_list.child(run.name).path) as file:
            header = np.frombuffer(file.read_at(_HEADER_BYTES, 0), "<u8")
            first, end = int(header[part.first]), int(header[part.end])
            found.append(np.frombuffer(file.read_at(8 * (end - first), _HEADER_BYTES + 8 * first), "<u8"))
    return np.concatenate(found)


def _rows(work_list: Location, runs: Sequence[Run], suspects: np.ndarray) -> Iterator[_Row]:
    """Yield the rows whose ids have one of these hashes, in order."""
    for run in runs:
        for name in run.parts:
            ids = pq.read_table(work_list.child(name).path, filesystem=work_list.filesystem, columns=["record_id"])["record_id"]
            positions = np.flatnonzero(np.isin(hash_ids(ids), suspects))
            if len(positions):
                yield from _rows_at(work_list, name, positions.tolist())


def _rows_at(work_list: Location, name: str, positions: Sequence[int]) -> Iterator[_Row]:
    columns = ["record_id", "error_kind"]
    part = pq.read_table(work_list.child(name).path, filesystem=work_list.filesystem, columns=columns)
    rows = part.take(pa.array(positions, pa.int64()))
    usable = pc.is_null(rows["error_kind"]).to_pylist()
    return map(_Row, repeat(name), positions, rows["record_id"].to_pylist(), usable)


def _free_names(
    missing: Mapping[str, int], work_list: Location, runs: Sequence[Run], in_order: InOrder
) -> dict[str, Iterator[str]]:
    """Return for each id so many of `<id>~2`, `<id>~3`, ... as are missing, without those that another row has."""
    free: dict[str, list[str]] = {record_id: [] for record_id in missing}
    tried = dict.fromkeys(missing, 1)
    while short := {
        record_id: wanted - len(free[record_id]) for record_id, wanted in missing.items() if wanted > len(free[record_id])
    }:
        names = {
            record_id: [f"{record_id}~{tried[record_id] + i + 1}" for i in range(wanted)] for record_id, wanted in short.items()
        }
        hashes = hash_ids(pa.array([name for some in names.values() for name in some], pa.string()))
        taken = set(np.concatenate(list(in_order(_present, _slices(work_list, runs, np.unique(hashes))))).tolist())
        each = iter(hashes.tolist())
        for record_id, some in names.items():
            tried[record_id] += len(some)
            free[record_id] += [name for name in some if next(each) not in taken]
    return {record_id: iter(some) for record_id, some in free.items()}


def _renamings(
    work_list: Location, rows: Iterable[_Row], free: Mapping[str, Iterator[str]], known: Collection[str] = ()
) -> Iterator[_Renaming]:
    seen = set(known)
    for part, of_part in groupby(rows, key=lambda row: row.part):
        new_ids: dict[int, tuple[str, str]] = {}
        newly_failed = 0
        for row in of_part:
            if row.record_id in seen:
                new_ids[row.position] = (next(free[row.record_id]), row.record_id)
                newly_failed += int(row.is_usable)
            seen.add(row.record_id)
        if new_ids:
            yield _Renaming(work_list, part, new_ids, newly_failed)


def _rename(renaming: _Renaming) -> int:
    """Rewrite one part with new ids, atomically, because a task that is run again reads it."""
    location = renaming.work_list.child(renaming.part)
    table = pq.read_table(location.path, filesystem=location.filesystem)
    columns = {name: table[name].to_pylist() for name in ("record_id", "text", "ground_truth", "error_kind", "error")}
    for position, (new_id, original) in renaming.ids.items():
        message = f"{original}: another record before this one has the same id"
        for name, value in zip(columns, (new_id, None, None, "duplicate_id", message), strict=True):
            columns[name][position] = value
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))
    write_part(renaming.work_list, renaming.part, table)
    return renaming.newly_failed
