"""Running `restore`: the pipeline on Ray, then report, card, manifest and export."""

import io
import time
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING

from ocrray.corpus.card import write_card
from ocrray.corpus.commits import Exchange, NewFile, write_marks
from ocrray.corpus.export.corpus import NAME as EXPORT_NAME
from ocrray.corpus.manifest import missing_files, read_manifest, require_only, write_manifest
from ocrray.corpus.marks import Marks
from ocrray.corpus.replay import Chosen
from ocrray.corpus.report import write_report
from ocrray.corpus.summary import Summary, summarise
from ocrray.errors import RecordError, StoreError
from ocrray.runtime.resources import local_cpus
from ocrray.sources.input import InputConfig
from ocrray.sources.open_page import open_image
from ocrray.storage import Location
from ocrray.verbs import console
from ocrray.verbs.base import Result
from ocrray.verbs.output import read_run
from ocrray.verbs.restore.export import export
from ocrray.verbs.restore.plan import RestorePlan
from ocrray.verbs.restore.stages import stage_specs
from ocrray.verbs.restore.tables import Throughput, result_rows
from ocrray.verbs.restore.work import Work, find_work, is_outdated, listed_blocks, record_pass
from ocrray.verbs.session import ray_session
from ocrray.verbs.stopwatch import Stopwatch

if TYPE_CHECKING:
    from ocrray.runtime.monitor import MonitorHandle
    from ocrray.runtime.pipeline import Pipeline


def run(plan: RestorePlan, folder: Location) -> Result:
    """Process the records that are not in the corpus yet, or chosen for replay, then write report, card, manifest and export.

    The exit code is 1 where more records, or exported files, failed than `max_failed_frac` allows.
    """
    watch = Stopwatch({"plan": plan.planned_s})
    work, throughput = _process(plan, folder, watch)
    with console.working("Writing the report"):
        _write_companions(plan, folder, work, watch)
    return _result(plan, folder, work.summary, throughput)


def show(plan: RestorePlan, folder: Location) -> Result:
    """Return the results of a finished run, after exporting the corpus if that is still to be done.

    Records that are missing since, failed for a passing reason, or are chosen for replay are processed first.
    """
    manifest = read_manifest(folder)
    assert manifest is not None
    if plan.config.update and is_outdated(plan, folder):
        return run(plan, folder)
    summary = manifest.summary or _summarised(folder)
    if missing_files(folder, manifest) or (plan.selection and plan.selection.count(summary)):
        return run(plan, folder)
    return _result(plan, folder, summary, None)


def _summarised(folder: Location) -> Summary:
    with console.working("Reading the corpus"):
        return summarise(folder.child("data"))


def _result(plan: RestorePlan, folder: Location, summary: Summary, throughput: Throughput | None) -> Result:
    config = plan.config
    exported = export(config, folder, summary)
    to_do = config.correct.finish() if config.correct else ""
    rows = result_rows(summary, config.output.path, unit=plan.unit, throughput=throughput, exported=exported)
    if to_do:
        rows.append(("requests", to_do))
    too_many_failed = summary.status["failed"] > config.max_failed_frac * summary.records
    too_many_lost = exported is not None and exported.failed > config.max_failed_frac * exported.documents
    return Result([console.two_columns(rows)], exit_code=int(too_many_failed or too_many_lost))


def _process(plan: RestorePlan, folder: Location, watch: Stopwatch) -> tuple[Work, Throughput]:
    # Late, because Ray takes a second to import and a plan needs none of it.
    from ocrray.runtime import cluster, monitor
    from ocrray.runtime.pipeline import Pipeline, run_pipeline

    pipeline = Pipeline(stage_specs(plan), folder, on_cluster=cluster.is_remote())
    pools = [spec.pool for spec in pipeline.stages if spec.pool]
    with ray_session(plan, folder, local_cpus(pools)) as run_monitor:
        watch.lap("start")
        blocks = listed_blocks(plan, folder)
        watch.lap("listing")
        work = find_work(plan, folder, blocks)
        begun = time.monotonic()
        record_pass(plan, folder, work)
        display = monitor.ProgressDisplay(run_monitor, work.listed, work.listed - work.records, plan.unit)
        with display if work.records else nullcontext():
            if work.missing:
                commit_new = NewFile(folder, work.update.pass_number)
                work.add_all(run_pipeline(pipeline, work.missing, commit_new, run_monitor))
            _take_in_changes(pipeline, work, folder, run_monitor)
            if plan.selection and work.replayed:
                choose, commit = Chosen(folder.child("data"), plan.selection), Exchange(folder, work.pass_number)
                work.add_all(run_pipeline(pipeline, work.replayed, commit, run_monitor, choose))
        watch.lap("blocks")
        throughput = Throughput(work.processed, time.monotonic() - begun)
    watch.lap("stop")
    return work, throughput


def _take_in_changes(pipeline: "Pipeline", work: Work, folder: Location, run_monitor: "MonitorHandle") -> None:
    """Process again, or mark, the rows that the last update marked."""
    from ocrray.runtime.listing import in_tasks
    from ocrray.runtime.pipeline import run_pipeline

    marks = Marks(folder.child("_work_list"), work.update)
    commit = Exchange(folder, work.update.pass_number, marks)
    if work.updated:
        work.add_all(run_pipeline(pipeline, work.updated, commit, run_monitor, marks.rows_to_redo))
    work.add_all(in_tasks(write_marks, [(commit, block.number) for block in work.marked]))


def _write_companions(plan: RestorePlan, folder: Location, work: Work, watch: Stopwatch) -> None:
    """Write report, card and, last, the manifest: a folder that has one is complete."""
    config, resolved = plan.config, plan.resolved()
    require_only(folder.child("data"), work.files)
    write_report(
        folder,
        summary=work.summary,
        config_yaml=console.as_yaml(resolved),
        title=config.output.title,
        thumbnail=Thumbnails(config.input),
    )
    write_card(folder, summary=work.summary, about=config.output)
    run = read_run(folder)
    before = read_manifest(folder)
    assert run is not None
    watch.lap("report")
    if work.processed:
        folder.delete(EXPORT_NAME)  # of a corpus that has changed since
    write_manifest(
        folder,
        summary=work.summary,
        files=work.files,
        listed=work.listed,
        fingerprint=run.fingerprint,
        config=before.config if before and config.replay else resolved,  # what a replay changed stands in its pass
        started=datetime.fromisoformat(run.started_at),
        passes=run.passes,
        timings=watch.seconds,
    )


class Thumbnails:
    """Makes small images of scans; None where the scan is gone. The corpus is whole without them, so they never end a run."""

    def __init__(self, limits: InputConfig) -> None:
        self._limits = limits
        self._is_away = False

    def __call__(self, uri: str, page: int) -> bytes | None:
        """Return a JPEG file."""
        if self._is_away:
            return None
        limits = self._limits
        try:
            image, _ = open_image(uri, page, max_pixels=limits.max_pixels, max_file_bytes=limits.max_file_bytes)
        except RecordError:
            return None
        except StoreError:  # that was waited for once
            self._is_away = True
            return None
        image = image.convert("L")
        image.thumbnail((900, 900))
        data = io.BytesIO()
        image.save(data, "JPEG", quality=60, optimize=True)
        return data.getvalue()
