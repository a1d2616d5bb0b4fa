"""The stages as one Ray Data pipeline: work list -> load -> recognize -> correct -> guard -> score -> Parquet.

    read_parquet(_work_list) -> repartition -> Load ->  Recognize   ->  Correct      ->  Guard, Score -> write_parquet(data)
    (tasks)                     (tasks)        (tasks)  (actor pool)    (actor pool)     (tasks)         (tasks)

Where `route` is set there are two pools of Correct: taggers, then a language model for the rows that they send on. Where photo
metadata is extracted, Extract stands in the place of Correct.
`blocks` says what a block is, and how its rows are committed.
"""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import ray
from ray.data import Dataset

from ocrray.engines.base import CorrectorConfig, RecognizerConfig
from ocrray.engines.extract import ExtractConfig
from ocrray.engines.tagger import RouteConfig
from ocrray.folder import Folder
from ocrray.guard import GuardConfig
from ocrray.runtime import blocks
from ocrray.runtime.blocks import reporting_errors
from ocrray.runtime.resources import WorkersConfig
from ocrray.sources.input import InputConfig
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.sources.open_page import open_image
from ocrray.stages.correct import Correct, Route, TakeGiven
from ocrray.stages.extract import Extract
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load
from ocrray.stages.recognize import Recognize
from ocrray.stages.score import Score
from ocrray.stages.tables import to_corpus_schema


@dataclass(frozen=True)
class Pipeline:
    """Everything the workers need to know, picklable."""

    input: InputConfig
    recognize: RecognizerConfig | None
    route: RouteConfig | None
    correct: CorrectorConfig | None
    extract: ExtractConfig | None
    guard: GuardConfig | None
    workers: WorkersConfig
    rows_per_block: int
    on_cluster: bool


def run_pipeline(pipeline: Pipeline, output: Folder, monitor: ray.actor.ActorHandle) -> None:
    """Map every record of `output`'s work list that is not committed yet; returns when the last one is written."""
    with blocks.committed(output.child("_checkpoint")):
        rows = blocks.read_blocks(output.child("_work_list"), pipeline.rows_per_block)
        rows = blocks.map_in_tasks(rows, Load(pipeline.input))
        rows = _recognized(rows, pipeline, monitor)
        rows = _tagged(rows, pipeline, monitor)
        rows = _corrected(rows, pipeline, monitor)
        rows = blocks.map_in_tasks(rows, Finish(pipeline.guard, monitor))
        blocks.write_blocks(rows, output.child("data"), monitor)


def _recognized(rows: Dataset, pipeline: Pipeline, monitor: ray.actor.ActorHandle) -> Dataset:
    if not pipeline.recognize:
        return rows
    return blocks.map_in_pool(
        rows,
        RecognizePages,
        (pipeline.recognize, pipeline.input, monitor),
        workers=pipeline.workers.recognize,
        on_cluster=pipeline.on_cluster,
        num_cpus=1,
    )


def _tagged(rows: Dataset, pipeline: Pipeline, monitor: ray.actor.ActorHandle) -> Dataset:
    if not pipeline.route:
        return rows
    rows = blocks.map_in_pool(
        rows,
        CorrectTexts,
        (pipeline.route, monitor),
        workers=pipeline.workers.route,
        on_cluster=pipeline.on_cluster,
        num_cpus=1,
    )
    return blocks.map_in_tasks(rows, Route(pipeline.route.above))


def _corrected(rows: Dataset, pipeline: Pipeline, monitor: ray.actor.ActorHandle) -> Dataset:
    config = pipeline.extract or pipeline.correct
    if config is None:
        return rows
    if isinstance(config, CorrectorConfig):
        if config.given_column is not None:
            return blocks.map_in_tasks(rows, TakeGiven(config.given_column, config.check("correct")))
        if not config.needs_pool:
            return blocks.map_in_tasks(rows, CorrectTexts(config, monitor))
    return blocks.map_in_pool(
        rows,
        ExtractFields if pipeline.extract else CorrectTexts,
        (config, monitor),
        workers=pipeline.workers.correct,
        on_cluster=pipeline.on_cluster,
        num_cpus=pipeline.workers.correct_cpus,
        num_gpus=pipeline.workers.correct_gpus,
        rows_per_block=pipeline.rows_per_block,
        blocks_at_once=config.max_concurrent_batches,
    )


class RecognizePages:
    """One recognizer process: the engine is loaded once and reads page after page."""

    def __init__(self, config: RecognizerConfig, limits: InputConfig, monitor: ray.actor.ActorHandle) -> None:
        def open_within_limits(uri: str, page: int):
            return open_image(uri, page, max_pixels=limits.max_pixels, max_file_bytes=limits.max_file_bytes)

        def count_attempt(record_id: str) -> int:
            return ray.get(monitor.attempt.remote(record_id))

        self.monitor = monitor
        with reporting_errors(monitor):
            self.stage = Recognize(config.open(), open_within_limits, count_attempt)

    def __call__(self, table: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            return self.stage(table)


class CorrectTexts:
    """One corrector process: the model is loaded once and reads batch after batch."""

    def __init__(self, config: CorrectorConfig, monitor: ray.actor.ActorHandle) -> None:
        self.monitor = monitor
        with reporting_errors(monitor):
            self.stage = Correct(config.open())

    def __call__(self, table: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            return self.stage(table)


class ExtractFields:
    """One extractor process: the model is loaded once and reads batch after batch."""

    def __init__(self, config: ExtractConfig, monitor: ray.actor.ActorHandle) -> None:
        self.monitor = monitor
        with reporting_errors(monitor):
            self.stage = Extract(config.open(), config.columns.front)

    def __call__(self, table: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            return self.stage(table)


class Finish:
    """The last map: guard, score, the schema as promised, and a word to the monitor."""

    def __init__(self, guard: GuardConfig | None, monitor: ray.actor.ActorHandle) -> None:
        self.guard = Guard(guard)
        self.score = Score()
        self.monitor = monitor

    def __call__(self, table: pa.Table) -> pa.Table:
        table = to_corpus_schema(self.score(self.guard(table)))
        begun = table.filter(pa.compute.is_in(table["source_kind"], pa.array(IMAGE_KINDS)))["record_id"].to_pylist()
        self.monitor.finish.remote(Counter(table["status"].to_pylist()), begun)
        return table
