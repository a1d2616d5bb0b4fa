"""Work that a call of `restore` has left to do in its output folder, and the pass that it belongs to."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from ocrray.corpus.blocks import (
    Block,
    Footer,
    UpdateState,
    block_file_name,
    cut_blocks,
    read_footers,
    read_index,
    read_update,
    write_index,
)
from ocrray.corpus.manifest import DataFile, read_manifest
from ocrray.corpus.marks import REDO, Marks
from ocrray.corpus.summary import Summary
from ocrray.errors import ConfigError
from ocrray.sources.input_files import walk_input
from ocrray.sources.worklist import Listing
from ocrray.storage import Location
from ocrray.verbs import console
from ocrray.verbs.output import Run, differing, read_run, write_run
from ocrray.verbs.restore.plan import RestorePlan


@dataclass(slots=True)
class Work:
    """Blocks whose data files are to be made, and those of which some rows are to be processed again.

    `listed` is the number of records of the work list. `summary` and `files` are of the blocks that are as they are to be, and
    grow with each that is written; `records` is the number of records that will be processed, `processed` of those that were.
    """

    pass_number: int
    listed: int
    summary: Summary = field(default_factory=Summary)
    files: list[DataFile] = field(default_factory=list)
    missing: list[Block] = field(default_factory=list)
    replayed: list[Block] = field(default_factory=list)
    update: UpdateState = field(default_factory=UpdateState)
    updated: list[Block] = field(default_factory=list)
    marked: list[Block] = field(default_factory=list)
    """Blocks of which an update only marks rows."""
    records: int = 0
    processed: int = 0

    def add_all(self, footers: Iterable[Footer]) -> None:
        """Count data files as they are written."""
        for footer in footers:
            self.add(footer)
            self.processed += footer.processed

    def add(self, footer: Footer) -> None:
        """Count a data file that is as it is to be."""
        self.summary.merge(_summary_of(footer))
        self.files.append(DataFile(block_file_name(footer.number), footer.rows, footer.size_bytes))


def listed_blocks(plan: RestorePlan, folder: Location) -> list[Block]:
    """Return the blocks of the work list, which is made, in Ray tasks, and cut once: a resumed run keeps them."""
    from ocrray.runtime.listing import list_rows  # late, because Ray takes a second to import and a plan needs none of it

    work_list = folder.child("_work_list")
    if plan.config.update and plan.previous and read_index(work_list):
        _update(plan, plan.previous, folder)
    if (blocks := read_index(work_list)) is None:
        config, images = plan.config.input, plan.config.recognize is not None
        files = plan.files or walk_input(config, images=images, limit=plan.limit)
        listing, parts = list_rows(files, config, work_list, images=images, limit=plan.limit)
        plan.require_usable(listing)
        if listing.unclear or listing.table_lines != listing.table_rows:
            console.note(f"input: CSV and TSV: {listing.tables}")
        wanted = (engine.rows_per_block for engine in plan.engines)
        blocks = cut_blocks(parts, plan.config.workers.block_rows(listing.records, wanted))
        write_index(work_list, blocks)
    return blocks


def _update(plan: RestorePlan, previous: Run, folder: Location) -> None:
    """Take what has changed in the input into the work list, and record the pass and its settings."""
    from ocrray.runtime.listing import update_rows

    run = read_run(folder)
    assert run is not None
    assert plan.files is not None
    images, pass_number = plan.config.recognize is not None, len(run.passes) + 1
    redo_all = stages_differ(previous.settings, plan.settings)
    found = update_rows(plan.files, plan.config.input, folder, images=images, pass_number=pass_number, redo_all=redo_all)
    if found:
        counts = f"{found.new} new, {found.changed} changed, {found.gone} gone, {found.back} there again"
        passes = [*run.passes, _pass(f"update: {counts}", plan, run, pass_number)]
        write_run(folder, replace(run, fingerprint=plan.fingerprint, settings=plan.settings, passes=passes))


def is_outdated(plan: RestorePlan, folder: Location) -> bool:
    """Return whether an update would find changes in the input or the settings."""
    work_list = folder.child("_work_list")
    listing = Listing.load(work_list, read_update(work_list).version)
    is_same = listing and plan.files and listing.digest == plan.files.digest
    return not is_same or bool(plan.previous and plan.previous.fingerprint != plan.fingerprint)


def stages_differ(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether settings that a stage reads differ; the recognizer's do not count where there were, or are, no scans."""
    keys = {key.partition(".")[0] for key in differing(before, now)} - {"input"}
    return bool(keys - ({"recognize", "recognizer"} if not (before["recognizer"] and now["recognizer"]) else set()))


def find_work(plan: RestorePlan, folder: Location, blocks: Sequence[Block]) -> Work:
    """Compare the blocks with the data files, of which only the footers are read.

    Raises: ConfigError: when records are missing that a replay with other settings must not make.
    """
    selection = plan.selection
    work = Work(_pass_number(folder, _pass_key(plan)), listed=sum(block.rows for block in blocks))
    work.update = read_update(folder.child("_work_list"))
    to_redo = _rows_to_redo(folder, work.update, blocks)
    for block, footer in read_footers(folder.child("data"), blocks):
        if footer is None:
            work.missing.append(block)
            work.records += block.rows
        elif footer.pass_number < work.update.pass_number and block.number in to_redo:
            rows = to_redo[block.number]
            (work.updated if rows else work.marked).append(block)
            work.records += rows
        elif footer.pass_number != work.pass_number and selection and (count := selection.count(_summary_of(footer))):
            work.replayed.append(block)
            work.records += count
        else:
            work.add(footer)
    if work.missing and plan.config.replay and plan.previous and plan.fingerprint != plan.previous.fingerprint:
        rows = sum(block.rows for block in work.missing)
        raise ConfigError(f"replay: {rows:,} records are not in the corpus yet: finish the run with its own settings first")
    return work


def record_pass(plan: RestorePlan, folder: Location, work: Work) -> None:
    """Record the pass in the output folder, unless an earlier call began it."""
    run = read_run(folder)
    assert run is not None
    if not work.replayed or len(run.passes) >= work.pass_number:
        return
    begun = _pass(str(plan.selection), plan, run, work.pass_number)
    write_run(folder, replace(run, passes=[*run.passes, begun]))


def _pass(replayed: str, plan: RestorePlan, run: Run, number: int) -> dict[str, Any]:
    return {
        "replayed": replayed,
        "fingerprint": plan.fingerprint,
        "number": number,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "changed_settings": {key: now for key, (_, now) in differing(run.settings, plan.settings).items()},
    }


def _rows_to_redo(folder: Location, update: UpdateState, blocks: Sequence[Block]) -> dict[int, int]:
    """Return the number of rows that the last update processes again, by the number of each block that it touches."""
    if update.redo_all:
        return {block.number: block.rows for block in blocks}
    if not update.version:
        return {}
    marks = Marks(folder.child("_work_list"), update).table
    redone = marks["block"].filter(pc.equal(marks["mark"], REDO)).to_pylist()
    return dict.fromkeys(marks["block"].unique().to_pylist(), 0) | Counter(redone)


def _summary_of(footer: Footer) -> Summary:
    return Summary.from_json(footer.statistics)


def _pass_key(plan: RestorePlan) -> dict[str, Any]:
    return {"replayed": str(plan.selection), "fingerprint": plan.fingerprint}


def _pass_number(folder: Location, key: Mapping[str, Any]) -> int:
    """Return the number of the last pass if that is this one, and was interrupted, else of a new one."""
    run, manifest = read_run(folder), read_manifest(folder)
    passes = run.passes if run else ()
    finished = len(manifest.passes) if manifest else 0
    begun_before = len(passes) > finished and key.items() <= passes[-1].items()
    return len(passes) + (not begun_before)
