"""Update of a work list whose input has changed: new rows are appended, changed ones exchanged, and those that are gone marked.

All files are written under new names; the index of the blocks, written last, makes them the work list. What is to be done in the
corpus is recorded as marks, so that an update that was interrupted is completed by the next run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ocrray.corpus.blocks import Block, UpdateState, cut_blocks, read_index, read_update, write_index
from ocrray.corpus.export.corpus import NAME as EXPORT_NAME
from ocrray.corpus.manifest import MANIFEST_NAME
from ocrray.corpus.marks import BACK, GONE, REDO, SCHEMA, Marks
from ocrray.corpus.update_tasks import Compared, Comparison, PartRows, compare, hash_rows, keep_rows
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources.file_record import GONE_KIND, FilesRecord, Part, files_name
from ocrray.sources.input_changes import InputChanges
from ocrray.sources.input_files import InputFiles
from ocrray.sources.listing import Lister, ListingJob, list_files
from ocrray.sources.record_ids import InOrder, hashes_present, rename_repeated, rename_rows, stored_runs
from ocrray.sources.worklist import Listing
from ocrray.storage import Location

_GONE_SCHEMA = pa.schema([("part", pa.string()), ("position", pa.int64())])


@dataclass(frozen=True, slots=True)
class Updated:
    """Numbers of records that an update found to be new, changed, gone, and there again."""

    new: int
    changed: int
    gone: int
    back: int


def update_work_list(
    files: InputFiles, job: ListingJob, output: Location, pass_number: int, *, redo_all: bool = False
) -> Updated | None:
    """Take the changes of the input into the work list, and mark what is to be done; None if there is nothing.

    `pass_number` is that of the data files in which the marked rows, or with `redo_all` all rows, are exchanged.

    Raises: ConfigError: when a table lacks a column.
    """
    before = read_update(job.work_list).version
    if not redo_all and not InputChanges(files, job.work_list, before):
        return None
    state = UpdateState(before + 1, pass_number, redo_all)

    def lister_of(walked: InputFiles) -> Lister:
        typed = replace(walked, passthrough=_passthrough(job.work_list))
        return Lister(typed, InputChanges(walked, job.work_list, before).new_or_changed, job, f"u{state.version:03d}-")

    files, lister = list_files(files, job, lister_of)
    return _Update(files, InputChanges(files, job.work_list, before), lister, job, output, state).commit()


class _Update:
    """One update: incoming rows are those of new and changed files, outgoing those of changed and gone ones."""

    def __init__(
        self, files: InputFiles, changes: InputChanges, lister: Lister, job: ListingJob, output: Location, state: UpdateState
    ) -> None:
        self._files, self._changes, self._lister, self._job, self._state = files, changes, lister, job, state
        self._work_list, self._in_order = job.work_list, job.in_order
        self._output, self._data = output, output.child("data")
        self._blocks = read_index(job.work_list) or []
        self._gone_before = _read_gone(job.work_list, state.version - 1)

    def commit(self) -> Updated:
        """Write everything, the index last."""
        lister, work_list = self._lister, self._work_list
        lister.listing.failed += rename_repeated(work_list, lister.runs, self._in_order)
        incoming = _Rows.of({part: np.arange(rows) for part, rows in lister.parts}, work_list, self._in_order)
        outgoing = _Rows.of(self._outgoing(), work_list, self._in_order)
        partner = _partners(outgoing.hashes, incoming.hashes)
        is_new = np.ones(len(incoming.hashes), dtype=bool)
        is_new[partner[partner >= 0]] = False
        self._rename_known(incoming, is_new)
        compared = list(self._in_order(compare, self._comparisons(outgoing, incoming, partner)))
        kept = self._keep(incoming, is_new)
        renamed = {old.part: self._new_name(old.part) for old in compared if old.differs}
        self._write(compared, kept, renamed, incoming, is_new)
        sums = (sum(len(getattr(old, name)) for old in compared) for name in ("changed", "gone", "back"))
        return Updated(int(is_new.sum()), *sums)

    def _outgoing(self) -> dict[str, np.ndarray]:
        """Return the positions of the rows of changed and gone files, and of all rows gone before, by part."""
        positions = {part: [rows] for part, rows in self._gone_before.items()}
        touched = self._changes.has_changed | self._changes.is_gone
        for row in compress(self._changes.recorded(), touched.tolist()):
            for place in row["places"]:
                positions.setdefault(place["part"], []).append(np.arange(place["start"], place["start"] + place["rows"]))
        return {part: np.unique(np.concatenate(positions[part])) for part in sorted(positions)}

    def _rename_known(self, incoming: "_Rows", is_new: np.ndarray) -> None:
        """Make failed records of new rows whose ids records of other files have."""
        runs = [run for run in stored_runs(self._work_list) if run.name not in {run.name for run in self._lister.runs}]
        present = hashes_present(self._work_list, incoming.hashes[is_new], runs, self._in_order)
        repeated = np.flatnonzero(is_new & np.isin(incoming.hashes, present))
        if len(repeated):
            rows = {part: positions.tolist() for part, positions in incoming.by_part(repeated)}
            self._lister.listing.failed += rename_rows(self._work_list, rows, [*runs, *self._lister.runs], self._in_order)

    def _comparisons(self, outgoing: "_Rows", incoming: "_Rows", partner: np.ndarray) -> Iterator[Comparison]:
        blocks: dict[str, list[Block]] = {}
        for block in self._blocks:
            blocks.setdefault(block.part, []).append(block)
        for part, chosen in outgoing.chosen_by_part(np.arange(len(partner))):
            sources = partner[chosen]
            is_there = sources >= 0
            used, of_used = np.unique(incoming.part[sources[is_there]], return_inverse=True)
            places, positions = np.full(len(chosen), -1), np.zeros(len(chosen), dtype=np.int64)
            places[is_there], positions[is_there] = of_used, incoming.position[sources[is_there]]
            yield Comparison(
                old=PartRows(self._work_list, part, outgoing.position[chosen]),
                name=self._new_name(part),
                new_parts=[incoming.parts[i] for i in used.tolist()],
                sources=places,
                source_positions=positions,
                was_gone=np.isin(outgoing.position[chosen], self._gone_before.get(part, ())),
                data=self._data,
                blocks=blocks.get(part, []),
                max_file_bytes=self._job.config.max_file_bytes,
            )

    def _keep(self, incoming: "_Rows", is_new: np.ndarray) -> list[Part]:
        """Return the parts of the rows that are new, written again where a part has others as well."""
        kept: list[Part] = []
        tasks = []
        sizes = dict(self._lister.parts)
        for part, positions in incoming.by_part(np.flatnonzero(is_new)):
            name = part if len(positions) == sizes[part] else part.replace(".parquet", "-new.parquet")
            kept.append((name, len(positions)))
            if name != part:
                tasks.append((PartRows(self._work_list, part, positions), name))
        for _ in self._in_order(keep_rows, tasks):
            pass
        return kept

    def _new_name(self, part: str) -> str:
        """Return the name of the new version of a part, which sorts in its place."""
        return f"{part.partition('.')[0]}.u{self._state.version:03d}.parquet"

    def _write(
        self,
        compared: Sequence[Compared],
        kept: Sequence[Part],
        renamed: Mapping[str, str],
        incoming: "_Rows",
        is_new: np.ndarray,
    ) -> None:
        work_list, version = self._work_list, self._state.version
        Marks(work_list, self._state).save(_marks(compared, self._blocks))
        _write_table(work_list, _gone_name(version), _gone_table(self._gone_before, compared, renamed))
        work_list.write_bytes(files_name(version), self._record(kept, renamed, incoming, is_new))
        self._listing(int(is_new.sum())).save(work_list, version)
        blocks = [replace(block, part=renamed.get(block.part, block.part)) for block in self._blocks]
        rows_per_block = max(block.rows for block in blocks)
        added = cut_blocks(kept, rows_per_block)
        blocks += [replace(block, number=len(blocks) + block.number) for block in added]
        for name in (MANIFEST_NAME, EXPORT_NAME):  # from here on the corpus is not whole, and an export of it out of date
            self._output.delete(name)
        write_index(work_list, blocks, self._state)

    def _record(self, kept: Sequence[Part], renamed: Mapping[str, str], incoming: "_Rows", is_new: np.ndarray) -> pa.Buffer:
        """Return the record of all files, those that are gone included."""
        found = {
            (row["name"], row["uri"]): row for row in pq.read_table(pa.BufferReader(self._lister.record.finish())).to_pylist()
        }
        new_places = _NewPlaces(incoming, is_new, kept)
        record = FilesRecord()
        changes = self._changes
        for row, is_changed, is_gone in zip(
            changes.recorded(), changes.has_changed.tolist(), changes.is_gone.tolist(), strict=True
        ):
            row["places"] = [place | {"part": renamed.get(place["part"], place["part"])} for place in row["places"]]
            if is_gone:
                row |= {"kind": GONE_KIND, "size": -1, "tag": ""}
            elif is_changed:
                now = found.pop((row["name"], row["uri"]))
                row |= {key: now[key] for key in ("kind", "size", "tag")}
                row["places"] += new_places.of(now["places"])
            record.add(row)
        for row in found.values():
            record.add(row | {"places": new_places.of(row["places"])})
        return record.finish()

    def _listing(self, new_records: int) -> Listing:
        """Return the counts of all records; their kinds, and files, are those of the first listing."""
        before, found = Listing.load(self._work_list, self._state.version - 1) or Listing(), self._lister.listing
        records, failed = before.records + new_records, before.failed + found.failed
        mets = sorted(self._files.known_mets)
        return replace(before, records=records, failed=failed, digest=self._files.digest, known_mets=mets)


class _Rows:
    """Rows of several parts, with the hashes of their ids."""

    def __init__(self, positions: Mapping[str, np.ndarray], hashes: Sequence[np.ndarray]) -> None:
        self.parts = list(positions)
        self.part = np.repeat(np.arange(len(positions)), [len(rows) for rows in positions.values()])
        self.position = np.concatenate([np.empty(0, np.int64), *positions.values()]).astype(np.int64)
        self.hashes = np.concatenate([np.empty(0, np.uint64), *hashes])

    @classmethod
    def of(cls, positions: Mapping[str, np.ndarray], work_list: Location, in_order: InOrder) -> "_Rows":
        """Return the rows at these positions of each part."""
        tasks = (PartRows(work_list, part, rows) for part, rows in positions.items())
        return cls(positions, list(in_order(hash_rows, tasks)))

    def chosen_by_part(self, chosen: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yield those of the chosen rows that are in each part, where there is any."""
        bounds = np.searchsorted(self.part[chosen], np.arange(len(self.parts) + 1))
        for number, (start, end) in enumerate(pairwise(bounds.tolist())):
            if end > start:
                yield self.parts[number], chosen[start:end]

    def by_part(self, chosen: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the positions of the chosen rows in each part, where there is any."""
        for part, rows in self.chosen_by_part(chosen):
            yield part, self.position[rows]


class _NewPlaces:
    """Places of the new rows of incoming files, in the parts that are kept of them."""

    def __init__(self, incoming: _Rows, is_new: np.ndarray, kept: Sequence[Part]) -> None:
        names = iter(kept)
        self._kept = {part: (next(names)[0], rows) for part, rows in incoming.by_part(np.flatnonzero(is_new))}

    def of(self, places: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the places of the new ones among the rows in these places."""
        found = []
        for place in places:
            name, positions = self._kept.get(place["part"], ("", np.empty(0)))
            start, end = np.searchsorted(positions, (place["start"], place["start"] + place["rows"])).tolist()
            if end > start:
                found.append({"part": name, "start": start, "rows": end - start})
        return found


def _partners(outgoing: np.ndarray, incoming: np.ndarray) -> np.ndarray:
    """Return for each outgoing hash the index of the incoming one that is equal, -1 where there is none."""
    if not len(incoming):
        return np.full(len(outgoing), -1)
    order = np.argsort(incoming, kind="stable")
    places = np.minimum(np.searchsorted(incoming[order], outgoing), len(order) - 1)
    return np.where(incoming[order][places] == outgoing, order[places], -1)


def _marks(compared: Iterable[Compared], blocks: Sequence[Block]) -> pa.Table:
    of_part: dict[str, list[Block]] = {}
    for block in blocks:
        of_part.setdefault(block.part, []).append(block)
    found = [np.empty((0, 3), dtype=np.int64)]
    for old in compared:
        starts = np.array([block.start for block in of_part.get(old.part, [])])
        numbers = np.array([block.number for block in of_part.get(old.part, [])])
        for mark, positions in ((REDO, old.changed), (GONE, old.gone), (BACK, old.back)):
            places = np.searchsorted(starts, positions, side="right") - 1
            marked = np.full(len(positions), mark)
            found.append(np.stack([numbers[places], positions - starts[places], marked], axis=1) if len(positions) else found[0])
    rows = np.concatenate(found)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return pa.table([rows[:, 0], rows[:, 1], rows[:, 2]], names=SCHEMA.names)


def _gone_table(before: Mapping[str, np.ndarray], compared: Iterable[Compared], renamed: Mapping[str, str]) -> pa.Table:
    gone = dict(before)
    for old in compared:
        positions = np.union1d(gone.get(old.part, np.empty(0, np.int64)), old.gone)
        gone[old.part] = np.setdiff1d(positions, old.back).astype(np.int64)
    tables = [pa.table([pa.repeat(renamed.get(part, part), len(rows)), rows], schema=_GONE_SCHEMA) for part, rows in gone.items()]
    return pa.concat_tables([_GONE_SCHEMA.empty_table(), *tables])


def _read_gone(work_list: Location, version: int) -> dict[str, np.ndarray]:
    """Return the positions of the rows that are gone, by part."""
    if not version:
        return {}
    table = pq.read_table(work_list.child(_gone_name(version)).path, filesystem=work_list.filesystem)
    grouped = table.group_by("part").aggregate([("position", "list")])
    return {row["part"]: np.sort(np.array(row["position_list"])) for row in grouped.to_pylist()}


def _passthrough(work_list: Location) -> pa.Schema:
    """Return the passthrough columns of the rows that are there."""
    blocks = read_index(work_list) or []
    schema = pq.read_schema(work_list.child(blocks[0].part).path, filesystem=work_list.filesystem)
    return pa.schema([column for column in schema if column.name not in WORK_LIST_SCHEMA.names])


def _write_table(work_list: Location, name: str, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    work_list.write_bytes(name, sink.getvalue())


def _gone_name(version: int) -> str:
    return f"_gone-{version:03d}.parquet"
