"""The stages as one Ray Data pipeline: work list -> load -> recognize -> correct -> guard -> score -> Parquet.

    read_parquet(_work_list) -> repartition -> Load ->  Recognize      ->  Correct         ->  Guard, Score -> write_parquet(data)
    (tasks)                     (tasks)        (tasks)  (actor pool)       (actor pool)        (tasks)         (tasks)

A block is the unit of work, of commit and of resume: Ray Data writes its rows and their ids in two phases, so that a row is in
the corpus once however often a process dies (`ray.data.checkpoint`, Ray 2.60).
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

from ocrray.corpus.folder import Folder
from ocrray.engines import correctors, recognizers
from ocrray.errors import EngineError, OcrrayError
from ocrray.guard import GuardConfig
from ocrray.records import IMAGE_KINDS, SCHEMA
from ocrray.runtime.resources import WorkersConfig
from ocrray.sources.images import open_page
from ocrray.sources.input import InputConfig
from ocrray.stages.correct import Correct, TakeGiven
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load
from ocrray.stages.recognize import Recognize
from ocrray.stages.score import Score

_MAX_BLOCK_BYTES = 16 << 20  # Ray's default of 128 MiB is more than a stage needs at hand
_MAX_ACTOR_INIT_DEATHS = 5  # a worker killed while it loads is not yet a reason to end the run, which is Ray's default
_NO_PROGRESS_TIMEOUT_S = 6 * 3600  # Ray's default of 30 minutes ends a run that waits for spot GPUs


@dataclass(frozen=True)
class Pipeline:
    """Everything the workers need to know, picklable."""

    input: InputConfig
    recognize: recognizers.RecognizeConfig | None
    correct: correctors.CorrectConfig | None
    guard: GuardConfig | None
    workers: WorkersConfig
    rows_per_block: int
    on_cluster: bool


def run_pipeline(pipeline: Pipeline, output: Folder, monitor: ray.actor.ActorHandle) -> None:
    """Map every record of `output`'s work list that is not committed yet; returns when the last one is written."""
    _set_context(output)
    work_list = output.child("_work_list")
    parts = sum(1 for _ in work_list.files(".parquet"))
    rows = ray.data.read_parquet(work_list.path, filesystem=work_list.filesystem, override_num_blocks=parts)
    rows = rows.repartition(target_num_rows_per_block=pipeline.rows_per_block)
    rows = _map(rows, Load(pipeline.input))
    if pipeline.recognize:
        rows = _map_in_pool(
            rows,
            RecognizePages,
            (pipeline.recognize, pipeline.input, monitor),
            compute=_pool(pipeline.workers.recognize, pipeline.on_cluster),
            num_cpus=1,
        )
    if isinstance(pipeline.correct, correctors.GivenConfig):
        rows = _map(rows, TakeGiven(pipeline.correct.column, correctors.check(pipeline.correct)))
    elif pipeline.correct and not correctors.has_model(pipeline.correct):
        rows = _map(rows, CorrectTexts(pipeline.correct, monitor))
    elif pipeline.correct:
        rows = _map_in_pool(
            rows,
            CorrectTexts,
            (pipeline.correct, monitor),
            compute=_pool(pipeline.workers.correct, pipeline.on_cluster),
            num_cpus=pipeline.workers.correct_cpus,
            num_gpus=pipeline.workers.correct_gpus or None,
        )
    rows = _map(rows, Finish(pipeline.guard, monitor))
    try:
        rows.write_parquet(f"{output.path}/data", filesystem=output.filesystem)
    except ray.exceptions.RayError as error:
        context = ray.get_runtime_context()
        logs = f"{context.get_temp_dir()}/{context.get_session_name()}/logs"
        reason = ray.get(monitor.reason.remote())
        raise EngineError(reason or f"Ray gave up: {_last_line(error)} (its logs are in {logs})") from None


class RecognizePages:
    """One recognizer process: the engine is loaded once and reads page after page."""

    def __init__(self, config: recognizers.RecognizeConfig, limits: InputConfig, monitor: ray.actor.ActorHandle) -> None:
        def open_within_limits(uri: str, page: int):
            return open_page(uri, page, max_pixels=limits.max_pixels, max_file_bytes=limits.max_file_bytes)

        def count_attempt(record_id: str) -> int:
            return ray.get(monitor.attempt.remote(record_id))

        self.monitor = monitor
        with _telling(monitor):
            self.stage = Recognize(recognizers.open_recognizer(config), open_within_limits, count_attempt)

    def __call__(self, table: pa.Table) -> pa.Table:
        with _telling(self.monitor):
            return self.stage(table)


class CorrectTexts:
    """One corrector process: the model is loaded once and reads batch after batch."""

    def __init__(self, config: correctors.CorrectConfig, monitor: ray.actor.ActorHandle) -> None:
        self.monitor = monitor
        with _telling(monitor):
            self.stage = Correct(correctors.open_corrector(config))

    def __call__(self, table: pa.Table) -> pa.Table:
        with _telling(self.monitor):
            return self.stage(table)


@contextmanager
def _telling(monitor: ray.actor.ActorHandle) -> Iterator[None]:
    """Leave the reason of an error that ends the run with the monitor: Ray Data passes on a traceback, not the exception."""
    try:
        yield
    except OcrrayError as error:
        ray.get(monitor.stop_because.remote(str(error)))
        raise


class Finish:
    """The last map: guard, score, the schema as promised, and a word to the monitor."""

    def __init__(self, guard: GuardConfig | None, monitor: ray.actor.ActorHandle) -> None:
        self.guard = Guard(guard)
        self.score = Score()
        self.monitor = monitor

    def __call__(self, table: pa.Table) -> pa.Table:
        table = self.score(self.guard(table))
        passthrough = [field for field in table.schema if field.name not in SCHEMA.names]
        table = table.cast(pa.schema([*SCHEMA, *passthrough], metadata=SCHEMA.metadata))
        begun = table.filter(pa.compute.is_in(table["source_kind"], pa.array(IMAGE_KINDS)))["record_id"].to_pylist()
        self.monitor.finish.remote(Counter(table["status"].to_pylist()), begun)
        return table


def _map(rows: ray.data.Dataset, stage) -> ray.data.Dataset:
    return rows.map_batches(stage, batch_format="pyarrow", batch_size=None, zero_copy_batch=True)


def _map_in_pool(rows: ray.data.Dataset, worker: type, arguments: tuple, **resources) -> ray.data.Dataset:
    return rows.map_batches(
        worker, fn_constructor_args=arguments, batch_format="pyarrow", batch_size=None, zero_copy_batch=True, **resources
    )


def _pool(workers: int | None, on_cluster: bool) -> ActorPoolStrategy:
    """A pool that grows with the cluster; on one machine, where all of it is ours at once, a fixed one."""
    if on_cluster:
        return ActorPoolStrategy(min_size=1, max_size=workers)
    return ActorPoolStrategy(size=workers or os.cpu_count() or 1)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _set_context(output: Folder) -> None:
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":
            handler.setLevel(logging.CRITICAL)  # we say in one line what went wrong; Ray's log file still has all of it
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.use_datasource_v2 = False  # the newer reader takes half of the parts at once: 830 MB a process instead of 200
    context.target_max_block_size = _MAX_BLOCK_BYTES
    context.max_consecutive_actor_init_deaths = _MAX_ACTOR_INIT_DEATHS
    context.execution_no_progress_timeout_s = _NO_PROGRESS_TIMEOUT_S
    context.checkpoint_config = CheckpointConfig(
        id_column="record_id",
        checkpoint_path=f"{output.path}/_checkpoint",
        override_filesystem=output.filesystem,
        delete_checkpoint_on_success=False,
    )
