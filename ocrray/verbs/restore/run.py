"""Running `restore`: the pipeline on Ray, then report, card, manifest and export."""

import io
import time
from datetime import datetime

from ocrray.corpus.blocks import Block, cut_blocks, read_footers, read_index, write_index
from ocrray.corpus.card import write_card
from ocrray.corpus.export.corpus import Exported, export_corpus, read_export
from ocrray.corpus.manifest import data_files, read_manifest, write_manifest
from ocrray.corpus.report import write_report
from ocrray.corpus.summary import Summary, summarise
from ocrray.errors import RecordError
from ocrray.runtime.resources import local_cpus
from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import walk_input
from ocrray.sources.open_page import open_image
from ocrray.storage import Location
from ocrray.verbs import console
from ocrray.verbs.base import Result
from ocrray.verbs.restore.plan import RestoreConfig, RestorePlan
from ocrray.verbs.restore.stages import stage_specs
from ocrray.verbs.restore.tables import Throughput, result_rows
from ocrray.verbs.session import ray_session, started_at


def run(plan: RestorePlan, folder: Location) -> Result:
    """Process the records that are not committed yet, then write report, card, manifest and export.

    The exit code is 1 where more records, or exported files, failed than `max_failed_frac` allows.
    """
    listed, throughput = _process(plan, folder)
    summary = _summarised(folder)
    with console.working("Writing the report"):
        _write_companions(plan, folder, summary, listed)
    return _result(plan, folder, summary, throughput)


def show(plan: RestorePlan, folder: Location) -> Result:
    """Return the results of a finished run, after exporting the corpus if that is still to be done."""
    manifest = read_manifest(folder)
    return _result(plan, folder, (manifest and manifest.summary) or _summarised(folder), None)


def _summarised(folder: Location) -> Summary:
    with console.working("Reading the corpus"):
        return summarise(folder.child("data"))


def _result(plan: RestorePlan, folder: Location, summary: Summary, throughput: Throughput | None) -> Result:
    config = plan.config
    exported = _export(config, folder)
    rows = result_rows(summary, config.output.path, unit=plan.unit, throughput=throughput, exported=exported)
    too_many_failed = summary.status["failed"] > config.max_failed_frac * summary.records
    too_many_lost = exported is not None and exported.failed > config.max_failed_frac * exported.documents
    return Result([console.two_columns(rows)], exit_code=int(too_many_failed or too_many_lost))


def _process(plan: RestorePlan, folder: Location) -> tuple[int, Throughput]:
    # Late, because Ray takes a second to import and a plan needs none of it.
    from ocrray.runtime import cluster, monitor
    from ocrray.runtime.pipeline import Pipeline, run_pipeline

    pipeline = Pipeline(stage_specs(plan), lambda *_: "", on_cluster=cluster.is_remote())
    pools = [spec.pool for spec in pipeline.stages if spec.pool]
    with ray_session(plan, folder, local_cpus(pools)) as run_monitor:
        blocks = _blocks(plan, folder)
        written = read_footers(folder.child("data"), blocks)
        done = sum(footer.rows for footer in written.values())
        listed = sum(block.rows for block in blocks)
        begun = time.monotonic()
        if missing := [block for block in blocks if block.number not in written]:
            with monitor.ProgressDisplay(run_monitor, listed, done, plan.unit):
                for _ in run_pipeline(pipeline, folder, missing, run_monitor):
                    pass
        return listed, Throughput(listed - done, time.monotonic() - begun)


def _blocks(plan: RestorePlan, folder: Location) -> list[Block]:
    """Return the blocks of the work list, which is made and cut once: a resumed run keeps them."""
    from ocrray.runtime.listing import list_rows

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


def _write_companions(plan: RestorePlan, folder: Location, summary: Summary, listed: int) -> None:
    """Write report, card and, last, the manifest: a folder that has one is complete."""
    config, resolved = plan.config, plan.resolved()
    write_report(
        folder,
        summary=summary,
        config_yaml=console.as_yaml(resolved),
        title=config.output.title,
        thumbnail=lambda uri, page: _thumbnail(uri, page, config.input),
    )
    write_card(folder, summary=summary, about=config.output)
    write_manifest(
        folder,
        summary=summary,
        files=data_files(folder.child("data")),
        listed=listed,
        fingerprint=plan.fingerprint,
        config=resolved,
        started=started_at(folder),
    )


def _export(config: RestoreConfig, folder: Location) -> Exported | None:
    """Write the export, unless an earlier call did; after the manifest, because the corpus is whole without it."""
    if config.export is None:
        return None
    if (exported := read_export(folder, config.export)) is not None:
        return exported
    with console.working("Writing the corrections back into the files"):
        return export_corpus(folder, config.export, finished=_finished_at(folder), max_file_bytes=config.input.max_file_bytes)


def _thumbnail(uri: str, page: int, limits: InputConfig) -> bytes | None:
    try:
        image, _ = open_image(uri, page, max_pixels=limits.max_pixels, max_file_bytes=limits.max_file_bytes)
    except RecordError:
        return None  # the scan may have been deleted since; the report then shows the text only
    image = image.convert("L")
    image.thumbnail((900, 900))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=60, optimize=True)
    return data.getvalue()


def _finished_at(folder: Location) -> datetime:
    manifest = read_manifest(folder)
    assert manifest is not None
    return manifest.finished
