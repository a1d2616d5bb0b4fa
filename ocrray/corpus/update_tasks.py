"""Tasks of an update: hash ids, compare listed rows with the present ones, and write the parts that differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.blocks import Block, read_block
from ocrray.errors import RecordError
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources.record_ids import hash_ids
from ocrray.sources.worklist import write_part
from ocrray.storage import Location, files

_COMPARED = ("kind", "text", "ground_truth", "image_uri", "error_kind", "error")
_COMPARED_OF_FILES = ("uri", "page")  # a row of a table may have moved


@dataclass(frozen=True, slots=True)
class PartRows:
    """Some rows of a part."""

    work_list: Location
    part: str
    positions: np.ndarray


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows of a part (`positions`), and where each of them is now: `sources` indexes `new_parts`, -1 for one that is gone."""

    old: PartRows
    name: str
    """Name of the new version of the part."""
    new_parts: Sequence[str]
    sources: np.ndarray
    source_positions: np.ndarray
    was_gone: np.ndarray
    """True where an earlier update found the row gone."""
    data: Location
    blocks: Sequence[Block]
    """Those of the part."""
    max_file_bytes: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Positions of the rows that changed, are gone now, or were gone and are there again."""

    part: str
    changed: np.ndarray
    gone: np.ndarray
    back: np.ndarray

    @property
    def differs(self) -> bool:
        """True where the part has a new version."""
        return bool(len(self.changed) or len(self.gone) or len(self.back))


def hash_rows(rows: PartRows) -> np.ndarray:
    """Return the hashes of the ids of some rows."""
    return hash_ids(_read(rows.work_list, rows.part, ["record_id"])["record_id"].take(pa.array(rows.positions)))


def keep_rows(task: tuple[PartRows, str]) -> None:
    """Write some rows of a part as a part of another name."""
    rows, name = task
    write_part(rows.work_list, name, _read(rows.work_list, rows.part).take(pa.array(rows.positions)))


def compare(task: Comparison) -> Compared:
    """Compare the rows of a part, and write its new version if any of them differs."""
    work_list, is_there = task.old.work_list, task.sources >= 0
    part = _read(work_list, task.old.part)
    new = _gathered(task, is_there)
    positions = task.old.positions[is_there]
    old = part.take(pa.array(positions))
    changed = _differ(old, new) | _contents_differ(old, new, positions, task)
    newly_gone, back = ~is_there & ~task.was_gone, is_there & task.was_gone
    result = Compared(task.old.part, positions[changed], task.old.positions[newly_gone], task.old.positions[back])
    if result.differs:
        rows = np.arange(len(part))
        rows[positions[changed]] = len(part) + np.flatnonzero(changed)
        gone = part["gone"].to_numpy().copy()
        gone[task.old.positions] = ~is_there
        merged = pa.concat_tables([part, new.cast(part.schema)]).take(pa.array(rows))
        index = merged.schema.get_field_index("gone")
        write_part(work_list, task.name, merged.set_column(index, merged.schema.field(index), pa.array(gone)))
    return result


def _gathered(task: Comparison, is_there: np.ndarray) -> pa.Table:
    """Return the rows that are there now, in the order of the positions."""
    sources, positions = task.sources[is_there], task.source_positions[is_there]
    tables, order = [], []
    for source in np.unique(sources):
        chosen = np.flatnonzero(sources == source)
        tables.append(_read(task.old.work_list, task.new_parts[source]).take(pa.array(positions[chosen])))
        order.append(chosen)
    if not tables:
        return _read(task.old.work_list, task.old.part).slice(0, 0)
    return pa.concat_tables(tables).take(pa.array(np.argsort(np.concatenate(order))))


def _differ(old: pa.Table, new: pa.Table) -> np.ndarray:
    """Return where rows differ in what the stages read, or the user passes through."""
    passthrough = [name for name in old.column_names if name not in WORK_LIST_SCHEMA.names]
    differs = np.zeros(len(old), dtype=bool)
    for name in (*_COMPARED, *passthrough):
        differs |= _differ_in(old[name], new[name])
    is_file = pc.is_null(old["text"]).to_numpy()
    for name in _COMPARED_OF_FILES:
        differs |= is_file & _differ_in(old[name], new[name])
    return differs


def _differ_in(old: pa.ChunkedArray, new: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_nested(old.type):
        return np.array([a != b for a, b in zip(old.to_pylist(), new.to_pylist(), strict=True)], dtype=bool)
    equal = pc.fill_null(pc.equal(old, new.cast(old.type)), False)
    same: np.ndarray = pc.or_(equal, pc.and_(pc.is_null(old), pc.is_null(new))).to_numpy()
    return ~same.astype(bool)


def _contents_differ(old: pa.Table, new: pa.Table, positions: np.ndarray, task: Comparison) -> np.ndarray:
    """Return where a row's file, opened by a stage, has other bytes than those that the corpus was made from."""
    opened = pc.and_(pc.is_null(new["text"]), pc.is_null(new["error_kind"])).to_numpy()
    differs = np.zeros(len(old), dtype=bool)
    if not opened.any():
        return differs
    known = _known_hashes(task, positions[opened], old["record_id"].filter(pa.array(opened)).to_pylist())
    now: dict[str, str | None] = {}
    for index, record_id in zip(np.flatnonzero(opened).tolist(), known, strict=True):
        uri = new["uri"][index].as_py()
        if uri not in now:
            now[uri] = _hash_of_file(uri, task.max_file_bytes)
        differs[index] = known[record_id] is None or known[record_id] != now[uri]
    return differs


def _known_hashes(task: Comparison, positions: np.ndarray, ids: Sequence[str]) -> Mapping[str, str | None]:
    """Return the content hash of each record in the corpus; None where it has none."""
    hashes: dict[str, str | None] = dict.fromkeys(ids)
    for block in task.blocks:
        if not ((positions >= block.start) & (positions < block.start + block.rows)).any():
            continue
        try:
            rows = read_block(task.data, block.number, ["record_id", "content_hash"])
        except (FileNotFoundError, pa.ArrowInvalid):  # the block is made anyway
            continue
        found = zip(rows["record_id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True)
        hashes |= {record_id: content_hash for record_id, content_hash in found if record_id in hashes}
    return hashes


def _hash_of_file(uri: str, max_file_bytes: int) -> str | None:
    try:
        return files.read_hashed(Location.at(uri), max_file_bytes)[1]
    except RecordError:
        return None


def _read(work_list: Location, part: str, columns: Sequence[str] | None = None) -> pa.Table:
    return pq.read_table(work_list.child(part).path, filesystem=work_list.filesystem, columns=columns)
