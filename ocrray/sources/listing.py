"""Listing of an input into the parts of a work list: the driver walks files and hands out groups, tasks read the rows.

`rows-<group>-<number>.parquet` hold the rows, and sort in the order of the input. `_files-000.parquet` has a row for each input
file; the counts are written last.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from pyarrow import fs

from ocrray.sources.file_record import FilesRecord, Part, Places, file_row, files_name
from ocrray.sources.groups import Group, cut_groups, weight
from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import InputFile, InputFiles, walk_input
from ocrray.sources.parts import GroupTask, Written, write_group
from ocrray.sources.record_ids import InOrder, Run, rename_repeated
from ocrray.sources.text_files import WHOLE
from ocrray.sources.texts import count_rows
from ocrray.sources.worklist import Listing
from ocrray.storage import Location

_PARQUET = ".parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingJob:
    """Where and how an input is listed; `images` is True if scans can be recognized, `limit`: only the first so many records.

    `in_order` runs the tasks; `on_group` is called with the weight of each group that is done, and its number of records.
    """

    config: InputConfig
    work_list: Location
    images: bool
    limit: int | None = None
    in_order: InOrder = map
    on_group: Callable[[int, int], object] = lambda *_: None


def list_input(files: InputFiles, job: ListingJob) -> tuple[Listing, list[Part]]:
    """List the files into the emptied work list; return the counts and the parts in their order.

    Raises: ConfigError: when a table lacks a column.
    """
    work_list = job.work_list
    work_list.filesystem.create_dir(work_list.path)
    work_list.filesystem.delete_dir_contents(work_list.path)  # left by a run that was killed while listing
    files, lister = list_files(files, job, lambda current: Lister(current, current, job))
    listing = lister.listing
    _delete_others(work_list, {name for name, _ in lister.parts} | {run.name for run in lister.runs})
    listing.failed += rename_repeated(work_list, lister.runs, job.in_order)
    work_list.write_bytes(files_name(0), lister.record.finish())
    listing.digest, listing.known_mets = files.digest, sorted(files.known_mets)
    listing.save(work_list)
    return listing, lister.parts


def list_files(files: InputFiles, job: ListingJob, lister_of: "Callable[[InputFiles], Lister]") -> "tuple[InputFiles, Lister]":
    """Run a lister, again where it meets a METS that neither its name nor the walk showed; return the last walk and lister."""
    while True:
        lister = lister_of(files)
        lister.run()
        if lister.unforeseen_mets <= files.known_mets:
            return files, lister
        # What these METS name must not be listed on its own. They are rare: their names do not say what they are.
        known_mets = files.known_mets | lister.unforeseen_mets
        files = walk_input(job.config, images=job.images, limit=job.limit, known_mets=known_mets)


class Lister:
    """One pass over `files`, some or all of those of an input; an update gives a `prefix` and the ids' hashes are wanted."""

    def __init__(self, walked: InputFiles, files: Iterable[InputFile], job: ListingJob, prefix: str = "") -> None:
        self.listing = Listing(skipped_by_reason=walked.skipped_by_reason.copy())
        self.parts: list[Part] = []
        self.runs: list[Run] = []
        self.record = FilesRecord()
        self.unforeseen_mets: set[str] = set()
        self._files, self._job = files, job
        hashes = bool(job.config.id_column) or walked.names_collide or bool(prefix)  # other ids are unique by construction
        nothing = Group(0, ())
        self._task = GroupTask(nothing, job.config, job.images, walked.passthrough, job.work_list, hashes, job.limit, prefix)
        self._running = deque[GroupTask]()

    def run(self) -> None:
        """Read the files in tasks, and keep their parts and counts in the order of the input."""
        limit = self._job.limit
        for written in self._job.in_order(write_group, self._tasks()):
            task = self._running.popleft()
            if limit is not None and self.listing.records + written.listing.records > limit:
                written = write_group(replace(task, max_rows=limit - self.listing.records))
            self._add(task.group, written)
            if self.listing.records == limit:
                return

    def _tasks(self) -> Iterator[GroupTask]:
        for group in self._numbered(cut_groups(self._files, self._cut_endings())):
            self._running.append(replace(self._task, group=group))
            yield self._running[-1]

    def _cut_endings(self) -> tuple[str, ...]:
        """Return the endings of files that are read in pieces; a paragraph, or a CSV row, may go on where a piece ends."""
        return (_PARQUET, ".jsonl", ".ndjson", *([".txt"] if self._job.config.text_unit == "line" else []))

    def _numbered(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Yield the groups; pieces of text with the numbers of their first rows, for which tasks count the lines."""
        for _, pieces in groupby(groups, key=lambda group: group.number - group.piece.index):
            first, *others = pieces
            if not others or first.files[0].found.location.name.lower().endswith(_PARQUET):
                yield from (first, *others)
                continue
            tasks = [(group.files[0].found, self._job.config.text_encoding, group.piece) for group in (first, *others)]
            counts = list(self._job.in_order(count_rows, tasks))
            if min(counts) < 0:  # whatever is wrong becomes one failed record
                yield replace(first, piece=WHOLE)
                continue
            numbers = accumulate(counts[:-1], initial=0)
            yield from (replace(g, piece=replace(g.piece, first=n)) for g, n in zip((first, *others), numbers, strict=True))

    def _add(self, group: Group, written: Written) -> None:
        self.listing.add(written.listing)
        self.parts += written.parts
        self.runs += written.runs
        places = Places(written.parts)
        if group.piece.index:
            self.record.add_places(places.take(written.listing.records))
        else:
            for file, result in zip(group.files, written.files, strict=False):
                self.listing.add_file(file, result)
                self.record.add(file_row(file, result.kind, places.take(result.records)))
                if result.is_unforeseen_mets:
                    self.unforeseen_mets.add(file.found.location.uri)
        self._job.on_group(weight(group), written.listing.records)


def _delete_others(work_list: Location, keep: set[str]) -> None:
    """Delete what tasks wrote beyond a limit, or in an earlier pass."""
    for info in work_list.filesystem.get_file_info(fs.FileSelector(work_list.path)):
        if info.is_file and info.base_name not in keep:
            work_list.filesystem.delete_file(info.path)
