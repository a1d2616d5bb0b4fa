"""The verb `restore`: scans or old OCR in, a Parquet corpus out."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from ocrray.config import StrictModel, fingerprint
from ocrray.corpus.folder import Folder
from ocrray.engines import correctors, recognizers
from ocrray.engines.base import EngineInfo
from ocrray.errors import ConfigError
from ocrray.guard import GuardConfig
from ocrray.records import SCHEMA_VERSION
from ocrray.runtime import output as output_folder
from ocrray.runtime.output import OutputConfig, Run
from ocrray.runtime.resources import WorkersConfig
from ocrray.sources.worklist import InputConfig, Listing, count_records, write_work_list

IMAGE_KINDS = ("image", "pdf")


class RestoreConfig(StrictModel):
    """One complete run of `ocrray restore`."""

    input: InputConfig
    recognize: recognizers.RecognizeConfig | None = Field(default_factory=recognizers.RecognizeConfig)
    correct: correctors.CorrectConfig | None = Field(default_factory=correctors.TaggerConfig)
    guard: GuardConfig | None = GuardConfig()
    output: OutputConfig
    workers: WorkersConfig = WorkersConfig()
    max_failed_frac: float = Field(0.01, ge=0, le=1)


@dataclass(frozen=True)
class Plan:
    """A run that was found to be possible: what will be read, by which engines, under which fingerprint."""

    config: RestoreConfig
    listing: Listing
    recognizer: EngineInfo | None
    corrector: EngineInfo | None
    settings: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.settings)


def make_plan(config: RestoreConfig, limit: int | None, list_input: Callable[..., Listing] = count_records) -> Plan:
    """Check everything that can be checked before a process is started, and list the input.

    Raises ConfigError with a line for every problem found.
    """
    problems: list[str] = []

    def checked(check: Callable[[], Any]) -> Any:
        try:
            return check()
        except ConfigError as error:
            problems.extend(str(error).splitlines())
            return None

    config = _with_given_column(config)
    corrector = checked(lambda: correctors.check(config.correct)) if config.correct else None
    listing = checked(lambda: list_input(config.input, images=config.recognize is not None, limit=limit))
    reads_images = listing is not None and any(listing.counts.get(kind) for kind in IMAGE_KINDS)
    recognizer = checked(lambda: recognizers.check(config.recognize)) if config.recognize and reads_images else None
    if listing is not None and not listing.records:
        problems.append("input.paths: the input holds no records")
    if problems:
        raise ConfigError("\n".join(problems))
    settings = {
        **{name: _dumped(getattr(config, name)) for name in ("input", "recognize", "correct", "guard")},
        "recognizer": recognizer and asdict(recognizer),
        "corrector": corrector and asdict(corrector),
        "listing": listing.digest,
        "limit": limit,
        "schema_version": SCHEMA_VERSION,
    }
    return Plan(config, listing, recognizer, corrector, settings)


def restore(config: RestoreConfig, limit: int | None) -> int:
    """Run `config` to its end, or go on with it where an earlier run stopped; returns the exit code (0 or 1)."""
    folder = Folder.at(config.output.path)
    with output_folder.locked(folder):
        previous = output_folder.read_run(folder)
        if previous:
            plan = make_plan(config, limit)
            output_folder.require_same(folder, previous, plan.fingerprint, plan.settings)
        else:
            plan = make_plan(config, limit, _writing_to(folder))
        if not (previous and _is_complete(folder)):
            _run(plan, folder, previous)
        return _show_result(plan, folder)


def _run(plan: Plan, folder: Folder, previous: Run | None) -> None:
    from ocrray.runtime import cluster, monitor
    from ocrray.runtime.dataset import Pipeline, run_pipeline

    config = plan.config
    if previous:
        cluster.end_session(previous.session)
    pipeline = Pipeline(
        input=config.input,
        recognize=config.recognize if plan.recognizer else None,
        correct=config.correct,
        guard=config.guard,
        workers=config.workers,
        rows_per_block=config.workers.block_rows(plan.listing.records, (plan.recognizer or plan.corrector or EngineInfo("")).engine),
        on_cluster=cluster.is_remote(),
    )
    local_cpus = config.workers.local_cpus(recognizes=plan.recognizer is not None, corrects=config.correct is not None)
    name = hashlib.sha256(f"{folder.filesystem.type_name}:{folder.path}".encode()).hexdigest()
    started_at = previous.started_at if previous else datetime.now(UTC).isoformat(timespec="seconds")
    with cluster.connected(local_cpus) as session, monitor.monitored(name) as run_monitor:
        output_folder.write_run(folder, Run(plan.fingerprint, plan.settings, started_at, session))
        done = output_folder.committed_records(folder)
        if done < plan.listing.records:
            with monitor.ProgressDisplay(run_monitor, plan.listing.records, done, "page" if plan.recognizer else "record"):
                run_pipeline(pipeline, folder, run_monitor)


def _writing_to(folder: Folder) -> Callable[..., Listing]:
    def list_input(config: InputConfig, *, images: bool, limit: int | None) -> Listing:
        work_list = Folder(folder.filesystem, f"{folder.path}/_work_list")
        folder.filesystem.create_dir(work_list.path)
        folder.filesystem.delete_dir_contents(work_list.path)  # of a run killed while it listed
        return write_work_list(config, work_list.path, images=images, limit=limit, filesystem=folder.filesystem)

    return list_input


def _with_given_column(config: RestoreConfig) -> RestoreConfig:
    """The column of `correct: {engine: given}` travels with its record like any passthrough column."""
    if not isinstance(config.correct, correctors.GivenConfig) or config.correct.column in config.input.passthrough:
        return config
    passthrough = [*config.input.passthrough, config.correct.column]
    return config.model_copy(update={"input": config.input.model_copy(update={"passthrough": passthrough})})


def _dumped(model: StrictModel | None) -> dict[str, Any] | None:
    return model and model.model_dump(mode="json")
