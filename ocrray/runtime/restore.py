"""The verb `restore`: scans or old OCR in, a Parquet corpus out."""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import yaml
from pydantic import Field, model_validator

from ocrray.config import StrictModel, fingerprint
from ocrray.corpus.card import write_card
from ocrray.corpus.export.corpus import ExportConfig, Exported, export_corpus, read_export
from ocrray.corpus.export.document import KINDS as EXPORT_KINDS
from ocrray.corpus.manifest import read_manifest, write_manifest
from ocrray.corpus.report import write_report
from ocrray.corpus.summary import Summary, summarise
from ocrray.engines import correctors, extract, recognizers, tagger
from ocrray.engines.base import EngineInfo
from ocrray.engines.extract import ExtractConfig
from ocrray.errors import Problems, RecordError
from ocrray.folder import Folder
from ocrray.guard import GuardConfig
from ocrray.guard import check as check_guard
from ocrray.records import IMAGE_KINDS, SCHEMA_VERSION
from ocrray.runtime import output as output_folder
from ocrray.runtime import terminal
from ocrray.runtime.output import OutputConfig, Run
from ocrray.runtime.resources import WorkersConfig, gpu_problems
from ocrray.sources.images import open_page
from ocrray.sources.input import InputConfig
from ocrray.sources.worklist import Listing, count_records, write_work_list


class RestoreConfig(StrictModel):
    """One complete run of `ocrray restore`."""

    input: InputConfig
    recognize: recognizers.RecognizeConfig | None = Field(default_factory=lambda: recognizers.RecognizeConfig(engine="tesseract"))
    route: correctors.RouteConfig | None = None
    """A tagger that reads everything first, so that only what it leaves doubtful goes on to the language model of `correct`."""
    correct: correctors.CorrectConfig | None = Field(default_factory=lambda: correctors.TaggerConfig(engine="tagger"))
    extract: ExtractConfig | None = None
    """Photo metadata instead of a correction; the guard, which compares a text with its correction, has no part in it."""
    guard: GuardConfig | None = GuardConfig()
    output: OutputConfig
    export: ExportConfig | None = None
    """Corrected copies of the ALTO, PAGE and hOCR files that the text came from; a finished run can be exported later."""
    workers: WorkersConfig = WorkersConfig()
    max_failed_frac: float = Field(0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _one_rewrites(self) -> Self:
        if self.extract and self.correct:
            raise ValueError("extract reads the OCR as it is: set correct: null beside it")
        return self

    @model_validator(mode="after")
    def _route_leads_somewhere(self) -> Self:
        if self.route and not self.correct:
            raise ValueError("route sends records on to the engine of correct: name one, or leave route out")
        if self.route and isinstance(self.correct, tagger.TaggerConfig) and self.correct.model == self.route.model:
            raise ValueError("route reads with the tagger that correct names: name a language model there")
        return self

    @model_validator(mode="after")
    def _export_is_of_corrections(self) -> Self:
        if self.extract and self.export:
            raise ValueError("export writes corrections back into files, and extract makes none: leave one of them out")
        return self

    @model_validator(mode="after")
    def _back_is_the_text(self) -> Self:
        back = self.extract and self.extract.columns.back
        if back and (self.input.image_column or self.input.text_column not in (None, back)):
            raise ValueError("extract.columns.back is the text of a record: leave out input.text_column and input.image_column")
        return self


@dataclass(frozen=True)
class Plan:
    """A run that was found to be possible: what will be read, by which engines, under which fingerprint."""

    config: RestoreConfig
    listing: Listing
    recognizer: EngineInfo | None
    router: EngineInfo | None
    corrector: EngineInfo | None
    settings: dict[str, Any]
    previous: Run | None
    """The run that already began to fill the output."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.settings)

    @property
    def engines(self) -> list[str]:
        """The engines that every record, or some, will meet."""
        return [info.engine for info in (self.recognizer, self.router, self.corrector) if info]

    @property
    def unit(self) -> str:
        """What one record is to a reader."""
        return "page" if self.recognizer else "record"


def make_plan(config: RestoreConfig, limit: int | None, *, write: bool = False, known_problems: Sequence[str] = ()) -> Plan:
    """Check everything that can be checked before a process is started, and list the input (into the output, if `write`).

    Raises ConfigError with a line for every problem found, `known_problems` first.
    """
    problems = Problems(known_problems)
    config = _with_columns_read(config)
    folder = Folder.at(config.output.path)
    problems.checked(lambda: output_folder.require_writable(folder))
    previous = problems.checked(lambda: output_folder.read_run(folder))
    router = problems.checked(lambda: tagger.check(config.route, "route")) if config.route else None
    corrector = problems.checked(lambda: _check_corrector(config))
    scorer = problems.checked(lambda: check_guard(config.guard)) if config.guard else None
    list_input = _writing_to(folder) if write and not previous and not problems else count_records
    listing = problems.checked(lambda: list_input(config.input, images=config.recognize is not None, limit=limit))
    reads_images = listing is not None and any(listing.counts.get(kind) for kind in IMAGE_KINDS)
    recognizer = problems.checked(lambda: recognizers.check(config.recognize)) if config.recognize and reads_images else None
    if listing is not None and not listing.records:
        problems.append("input.paths: the input holds no records")
    elif listing is not None and config.export and not any(listing.counts.get(kind) for kind in EXPORT_KINDS):
        problems.append("export: the input holds no ALTO, PAGE or hOCR to write corrections into")
    problems += gpu_problems("workers.correct_gpus", config.workers.correct or 1, config.workers.correct_gpus)
    problems.raise_if_any()
    settings = {
        **{name: _dumped(getattr(config, name)) for name in ("input", "recognize", "route", "correct", "extract", "guard")},
        "recognizer": recognizer and asdict(recognizer),
        "router": router and asdict(router),
        "corrector": corrector and asdict(corrector),
        "scorer": scorer,
        "listing": listing.digest,
        "limit": limit,
        "schema_version": SCHEMA_VERSION,
    }
    plan = Plan(config, listing, recognizer, router, corrector, settings, previous)
    if previous:
        output_folder.require_same(folder, previous, plan.fingerprint, settings)
    return plan


def restore(config: RestoreConfig, limit: int | None) -> int:
    """Run `config` to its end, or go on with it where an earlier run stopped; returns the exit code (0 or 1)."""
    folder = Folder.at(config.output.path)
    with output_folder.locked(folder, lambda problem: make_plan(config, limit, known_problems=[problem])):
        with terminal.working("Listing the input"):
            plan = make_plan(config, limit, write=True)
        finished = read_manifest(folder) if plan.previous else None
        pace = None if finished else _run(plan, folder)
        with terminal.working("Reading the corpus for its report"):
            summary = summarise(folder.child("data"))
            if not finished:
                _write_companions(plan, folder, summary)
        exported = _export(config, folder)
    terminal.print_result(summary, config.output.path, unit=plan.unit, pace=pace, exported=exported)
    too_many_failed = summary.status["failed"] > config.max_failed_frac * summary.records
    return int(too_many_failed or (exported is not None and exported.failed > config.max_failed_frac * exported.documents))


def _run(plan: Plan, folder: Folder) -> terminal.Pace:
    # Late, because Ray takes a second to import and a plan needs none of it.
    from ocrray.runtime import cluster, monitor
    from ocrray.runtime.dataset import Pipeline, run_pipeline

    config, previous = plan.config, plan.previous
    if previous:
        cluster.end_session(previous.session)
    pipeline = Pipeline(
        input=config.input,
        recognize=config.recognize if plan.recognizer else None,
        route=config.route,
        correct=config.correct,
        extract=config.extract,
        guard=config.guard,
        workers=config.workers,
        rows_per_block=config.workers.block_rows(plan.listing.records, plan.engines),
        on_cluster=cluster.is_remote(),
    )
    has_corrector = config.extract is not None or (config.correct is not None and correctors.has_model(config.correct))
    local_cpus = config.workers.local_cpus(
        recognizes=plan.recognizer is not None,
        routes=config.route is not None,
        corrects=has_corrector,
        resumes=previous is not None,
    )
    started_at = previous.started_at if previous else datetime.now(UTC).isoformat(timespec="seconds")
    with cluster.connected(local_cpus) as session, monitor.monitored(folder) as run_monitor:
        output_folder.write_run(folder, Run(plan.fingerprint, plan.settings, started_at, session))
        done = output_folder.committed_records(folder.child("_checkpoint"))
        begun = time.monotonic()
        if done < plan.listing.records:
            with monitor.ProgressDisplay(run_monitor, plan.listing.records, done, plan.unit):
                run_pipeline(pipeline, folder, run_monitor)
        return terminal.Pace(plan.listing.records - done, time.monotonic() - begun)


def _write_companions(plan: Plan, folder: Folder, summary: Summary) -> None:
    """Report, card and, last, the manifest: its presence means that all else is there."""
    config = plan.config
    run = output_folder.read_run(folder)
    resolved = config.model_dump(mode="json")
    write_report(
        folder,
        summary=summary,
        config_yaml=yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True),
        title=config.output.title,
        thumbnail=lambda uri, page: _thumbnail(uri, page, config.input),
    )
    write_card(
        folder,
        summary=summary,
        title=config.output.title,
        description=config.output.description,
        license_id=config.output.license,
        languages=config.output.languages,
    )
    write_manifest(
        folder,
        summary=summary,
        listed=plan.listing.records,
        fingerprint=plan.fingerprint,
        config=resolved,
        started=datetime.fromisoformat(run.started_at),
    )


def _export(config: RestoreConfig, folder: Folder) -> Exported | None:
    """After the manifest: the corpus is whole without the export, which a finished run may be asked for any time."""
    if config.export is None:
        return None
    if (exported := read_export(folder, config.export)) is not None:
        return exported
    with terminal.working("Writing the corrections back into the files"):
        finished = read_manifest(folder).finished
        return export_corpus(folder, config.export, finished=finished, max_file_bytes=config.input.max_file_bytes)


def _thumbnail(uri: str, page: int, limits: InputConfig) -> bytes | None:
    try:
        image, _ = open_page(uri, page, max_pixels=limits.max_pixels, max_file_bytes=limits.max_file_bytes)
    except RecordError:
        return None  # the scan may have gone since; the report shows the text alone
    image = image.convert("L")
    image.thumbnail((900, 900))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=60, optimize=True)
    return data.getvalue()


def _writing_to(folder: Folder) -> Callable[..., Listing]:
    def list_input(config: InputConfig, *, images: bool, limit: int | None) -> Listing:
        work_list = folder.child("_work_list")
        folder.filesystem.create_dir(work_list.path)
        folder.filesystem.delete_dir_contents(work_list.path)  # of a run killed while it listed
        return write_work_list(config, work_list, images=images, limit=limit)

    return list_input


def _check_corrector(config: RestoreConfig) -> EngineInfo | None:
    if config.extract:
        return extract.check(config.extract)
    return correctors.check(config.correct) if config.correct else None


def _with_columns_read(config: RestoreConfig) -> RestoreConfig:
    """The columns that a stage reads travel with their record like any passthrough column."""
    given = config.correct.column if isinstance(config.correct, correctors.GivenConfig) else None
    front = config.extract.columns.front if config.extract else None
    back = config.extract.columns.back if config.extract else None
    passthrough = dict.fromkeys([*config.input.passthrough, *filter(None, (given, front))])
    columns = {"passthrough": list(passthrough), "text_column": back or config.input.text_column}
    return config.model_copy(update={"input": config.input.model_copy(update=columns)})


def _dumped(model: StrictModel | None) -> dict[str, Any] | None:
    return model and model.model_dump(mode="json")
