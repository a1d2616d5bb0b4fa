"""Stages of `restore` in their order: load -> recognize -> route -> correct or extract -> guard, dehyphenate, score.

Without a section of the config its stage is left out. A new stage is one more entry of `stage_specs`.
"""

from collections.abc import Sequence

from PIL import Image

from ocrray.engines.base import CorrectorConfig, EngineConfig, RecognizerConfig
from ocrray.engines.extract import ExtractConfig
from ocrray.engines.tagger import RouteConfig
from ocrray.guard import GuardConfig
from ocrray.prompts.fields import FieldSchema
from ocrray.runtime.resources import WorkersConfig
from ocrray.sources.input import InputConfig
from ocrray.sources.open_page import open_image
from ocrray.stages.base import CountAttempt, Stage
from ocrray.stages.correct import Correct, Route, TakeGiven
from ocrray.stages.dehyphenate import Dehyphenate
from ocrray.stages.extract import Extract
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load
from ocrray.stages.recognize import Recognize
from ocrray.stages.score import Score
from ocrray.stages.spec import Pool, StageSpec
from ocrray.verbs.restore.plan import RestorePlan


def stage_specs(plan: RestorePlan) -> list[StageSpec]:
    """Return the stages that the records of this plan pass."""
    config = plan.config
    reads_english = bool(config.recognize and config.recognize.reads_english)
    specs = [_load(config.input, config.page_fields, reads_english)]
    if config.recognize and plan.recognizer:
        specs.append(_recognize(config.recognize, config.input, config.workers))
    if config.route:
        specs.append(_route(config.route, config.workers))
    if config.extract:
        specs.append(_extract(config.extract, config.workers))
    if config.correct:
        specs.append(_correct(config.correct, config.workers))
    return [*specs, _judge(config.guard, dehyphenate=config.dehyphenate)]


def _load(config: InputConfig, schema: FieldSchema | None, reads_english: bool) -> StageSpec:
    fields = schema.arrow_type() if schema else None
    return StageSpec(lambda _: [Load(config, fields, reads_english=reads_english)])


def _recognize(config: RecognizerConfig, limits: InputConfig, workers: WorkersConfig) -> StageSpec:
    def open_page(uri: str, page: int) -> tuple[Image.Image, str]:
        return open_image(uri, page, max_pixels=limits.max_pixels, max_file_bytes=limits.max_file_bytes)

    def open_stages(count_attempt: CountAttempt) -> Sequence[Stage]:
        return [Recognize(config.open(), open_page, count_attempt, pages_at_once=config.pages_at_once)]

    return StageSpec(
        open_stages, Pool(workers.recognize, workers.recognize_cpus, workers.recognize_gpus, config.max_concurrent_batches)
    )


def _route(config: RouteConfig, workers: WorkersConfig) -> StageSpec:
    return StageSpec(lambda _: [Correct(config.open()), Route(config.above)], Pool(workers.route))


def _extract(config: ExtractConfig, workers: WorkersConfig) -> StageSpec:
    pool = _corrector_pool(config, workers)
    return StageSpec(lambda _: [Extract(config.open(), config.columns.front, config.text_field)], pool)


def _correct(config: CorrectorConfig, workers: WorkersConfig) -> StageSpec:
    column = config.given_column
    if column is not None:
        return StageSpec(lambda _: [TakeGiven(column, config.check("correct"))])
    return StageSpec(lambda _: [Correct(config.open())], _corrector_pool(config, workers) if config.needs_pool else None)


def _corrector_pool(config: EngineConfig, workers: WorkersConfig) -> Pool:
    return Pool(workers.correct, workers.correct_cpus, workers.correct_gpus, config.max_concurrent_batches)


def _judge(config: GuardConfig | None, *, dehyphenate: bool) -> StageSpec:
    return StageSpec(lambda _: [Guard(config), *([Dehyphenate()] if dehyphenate else []), Score()])
