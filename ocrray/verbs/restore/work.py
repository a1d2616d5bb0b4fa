"""Work that a call of `restore` has left to do in its output folder, and the pass that it belongs to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ocrray.corpus.blocks import Block, Footer, block_file_name, cut_blocks, read_footers, read_index, write_index
from ocrray.corpus.manifest import DataFile, read_manifest
from ocrray.corpus.summary import Summary
from ocrray.errors import ConfigError
from ocrray.sources.input_files import walk_input
from ocrray.storage import Location
from ocrray.verbs.output import differing, read_run, write_run
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
    if (blocks := read_index(work_list)) is None:
        config, images = plan.config.input, plan.config.recognize is not None
        files = plan.files or walk_input(config, images=images, limit=plan.limit)
        listing, parts = list_rows(files, config, work_list, images=images, limit=plan.limit)
        plan.require_usable(listing)
        wanted = (engine.rows_per_block for engine in plan.engines)
        blocks = cut_blocks(parts, plan.config.workers.block_rows(listing.records, wanted))
        write_index(work_list, blocks)
    return blocks


def find_work(plan: RestorePlan, folder: Location, blocks: Sequence[Block]) -> Work:
    """Compare the blocks with the data files, of which only the footers are read.

    Raises: ConfigError: when records are missing that a replay with other settings must not make.
    """
    selection = plan.selection
    work = Work(_pass_number(folder, _pass_key(plan)), listed=sum(block.rows for block in blocks))
    for block, footer in read_footers(folder.child("data"), blocks):
        if footer is None:
            work.missing.append(block)
            work.records += block.rows
        elif footer.pass_number != work.pass_number and selection and (count := selection.count(_summary_of(footer))):
            work.replayed.append(block)
            work.records += count
        else:
            work.add(footer)
    if work.missing and plan.previous and plan.fingerprint != plan.previous.fingerprint:
        rows = sum(block.rows for block in work.missing)
        raise ConfigError(f"replay: {rows:,} records are not in the corpus yet: finish the run with its own settings first")
    return work


def record_pass(plan: RestorePlan, folder: Location, work: Work) -> None:
    """Record the pass in the output folder, unless an earlier call began it."""
    run = read_run(folder)
    assert run is not None
    if not work.replayed or len(run.passes) >= work.pass_number:
        return
    begun = {
        **_pass_key(plan),
        "number": work.pass_number,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "changed_settings": {key: now for key, (_, now) in differing(run.settings, plan.settings).items()},
    }
    write_run(folder, replace(run, passes=[*run.passes, begun]))


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
