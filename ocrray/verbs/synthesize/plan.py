"""Planning `synthesize`: its config, and the checks before a run."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from ocrray.config import StrictModel
from ocrray.corpus.image_sets import SCHEMA_VERSION as IMAGE_SCHEMA_VERSION
from ocrray.corpus.pairs import SCHEMA_VERSION
from ocrray.engines.base import EngineInfo
from ocrray.errors import ConfigError, Problems
from ocrray.runtime.resources import gpu_problems
from ocrray.storage import Location
from ocrray.synth.config import NoiseConfig, PagesConfig
from ocrray.synth.corrupt_config import CorruptConfig, CorruptHfConfig
from ocrray.synth.corrupt_prompt import TEMPLATE_VERSION
from ocrray.synth.documents.config import DocumentsConfig
from ocrray.synth.image_set import ImageSetConfig
from ocrray.synth.lines import LinesConfig
from ocrray.synth.noise import NoiseModel
from ocrray.synth.pages import typefaces
from ocrray.verbs import output
from ocrray.verbs.base import Plan
from ocrray.verbs.console import Rows
from ocrray.verbs.output import OutputConfig
from ocrray.verbs.synthesize.text import (
    IMAGE_PHASES,
    PAIR_PHASES,
    PHASES,
    CleanText,
    CleanTextConfig,
    fit_digest,
    write_image_work_list,
    write_work_lists,
)


class PairsOutputConfig(OutputConfig):
    """Location of the pairs or images, and metadata for their card."""

    title: str = "Synthetic OCR data"
    """Title of the card."""


class SynthesizeConfig(StrictModel):
    """One complete run of `ocrray synthesize`."""

    input: CleanTextConfig | None = None
    """Clean text to make pairs or lines from; null: none is needed, for documents and for lines that are all made up."""
    pages: PagesConfig | None = None
    """Pairs of rendered, degraded and recognized pages; null: none."""
    noise: NoiseConfig | None = None
    """Pairs by a noise model; null: none."""
    corrupt: CorruptConfig | None = None
    """Pairs by a language model that is asked to corrupt texts, behind a server (`engine: http`) or loaded (`hf`); null: none."""
    lines: LinesConfig | None = None
    """A set of images of single lines, to train a reader on; null: none. A run makes either pairs or one set of images."""
    documents: DocumentsConfig | None = None
    """A set of images of made-up documents and their fields as JSON, to train a reader on; null: none."""
    output: PairsOutputConfig
    """Location of the pairs."""
    seed: int = Field(1, ge=0)
    """Seed of every random choice: the same input, config and versions give the same pairs with any number of workers."""
    workers: int | None = Field(None, ge=1)
    """Maximum number of processes, one CPU each; null: one per core of this machine, or as many as a cluster has room for."""

    @property
    def image_set(self) -> tuple[str, ImageSetConfig] | None:
        """Name and config of the set of images to make; None for pairs."""
        return next(((name, part) for name in IMAGE_PHASES if (part := getattr(self, name))), None)

    @model_validator(mode="after")
    def _something_to_make(self) -> Self:
        pairs, sets = ([name for name in names if getattr(self, name)] for names in (PAIR_PHASES, IMAGE_PHASES))
        if not pairs and not sets:
            raise ValueError("set pages, noise or corrupt, or several, or one of lines and documents: there is nothing to make")
        if len(sets) > 1 or (pairs and sets):
            raise ValueError(f"{' and '.join(pairs + sets)} are made by separate runs, each with an output of its own")
        if pairs and not self.input:
            raise ValueError(f"input: {pairs[0]} needs clean text to make pairs from")
        if self.noise and not (self.pages or self.noise.fit or self.noise.model):
            raise ValueError("noise needs pages, noise.fit (your own pairs) or noise.model to get its error rates from")
        return self


Config = SynthesizeConfig


@dataclass(frozen=True, kw_only=True)
class SynthesizePlan(Plan):
    """Number of passages, and the engine and fonts that make pairs or images from them."""

    config: SynthesizeConfig
    text: CleanText | None
    """Clean text; None where none is needed."""
    passages: int
    counts: dict[str, int]
    """Number of pairs or images to make in each phase: `pages`, `noise`, `corrupt`, or that of the set of images."""
    recognizer: EngineInfo | None
    corruptor: EngineInfo | None
    fonts: list[str]

    def noise_origin(self) -> str:
        """Describe the origin of the noise model for users; empty without one."""
        config = self.config.noise
        if not config:
            return ""
        if config.fit:
            return f"fitted on pairs of {', '.join(config.fit.paths)}"
        return f"loaded from {config.model}" if config.model else "fitted on the pages above"

    def rows(self) -> Rows:
        rows: Rows = []
        if self.text:
            rows += [("input: files", f"{self.text.files:,}"), ("input: passages", f"{self.passages:,}")]
            rows += [(f"input: unusable, {reason}", f"{records:,}") for reason, records in self.text.unusable.most_common()]
        rows += [(phase, f"{count:,}") for phase, count in self.counts.items()]
        if info := self.recognizer:
            rows.append(("recognizer", f"{info.engine} {info.model} {info.revision}"))
        if self.fonts:
            rows.append(("fonts", ", ".join(self.fonts)))
        if self.config.noise:
            rows.append(("noise model", self.noise_origin()))
        if info := self.corruptor:
            rows.append(("language model", " ".join(filter(None, (info.engine, info.model, info.revision)))))
        return rows


def make_plan(config: SynthesizeConfig, limit: int | None, problems: Problems, *, dry_run: bool) -> SynthesizePlan:
    """Check the config and count the passages; at most `limit` pairs of each phase, or images, are to be made.

    The work lists are written into the output folder, unless it is a dry run or the run goes on.

    Raises: ConfigError: with one line for each problem.
    """
    folder = Location.at(config.output.path)
    problems.checked(output.require_writable, folder)
    if config.input:
        problems.checked(output.require_apart, folder, config.input.paths)
    previous = problems.checked(output.read_run, folder)
    font_names = problems.checked(_font_names, config)
    recognizer = problems.checked(_check_recognizer, config.pages) if config.pages else None
    noise_source = problems.checked(_noise_source, config.noise) if config.noise else None
    corruptor, examples = _check_corrupt(config, problems)
    text = _clean_text(config)
    found = problems.checked(lambda: sum(1 for _ in text)) if text else 0
    if text and found == 0:
        problems.append("input.paths: there is no text in the input")
    problems.raise_if_any()
    assert found is not None
    assert font_names is not None
    made_with = {"recognizer": recognizer and asdict(recognizer), "fonts": font_names, "noise_source": noise_source}
    settings = {
        **config.model_dump(mode="json", include={"input", "pages", "noise", "seed"}),
        **made_with,
        **_corrupt_settings(config.corrupt, corruptor, examples),
        **_image_settings(config),
        "text": text and text.digest,
        "limit": limit,
        "schema_version": SCHEMA_VERSION,
    }
    counts = {name: _limited(part.count, limit) for name in PHASES if (part := getattr(config, name))}
    plan = SynthesizePlan(
        config=config,
        text=text,
        passages=found,
        counts=counts,
        recognizer=recognizer,
        corruptor=corruptor,
        fonts=font_names,
        settings=settings,
        previous=previous,
    )
    if not dry_run and not previous:
        _write_work_lists(plan, folder)
    return plan


def _write_work_lists(plan: SynthesizePlan, folder: Location) -> None:
    config, text = plan.config, _clean_text(plan.config)
    if config.image_set:
        name, part = config.image_set
        write_image_work_list(folder, name, plan.counts[name], part.validation_frac, config.seed, plan.passages, text)
    elif text:
        write_work_lists(folder, plan.counts, config.seed, plan.passages, text)


def _clean_text(config: SynthesizeConfig) -> CleanText | None:
    """Return the text of the input, not read yet; None without input, and for sets of images that need none."""
    chars = _passage_chars(config)
    return CleanText(config.input, chars) if config.input and chars else None


def _image_settings(config: SynthesizeConfig) -> dict[str, Any]:
    """Return nothing for pairs, so that runs of versions that did not know sets of images can be resumed.

    How the images are delivered is part of it: a finished set is not written in another form.
    """
    if not config.image_set:
        return {}
    name, part = config.image_set
    return {name: part.model_dump(mode="json"), "image_set_schema_version": IMAGE_SCHEMA_VERSION}


def _corrupt_settings(config: CorruptConfig | None, model: EngineInfo | None, examples: str | None) -> dict[str, Any]:
    """Return nothing without `corrupt`, so that runs of versions that did not know it can be resumed."""
    return {"corrupt": config.settings(), "corruptor": model and asdict(model), "examples": examples} if config else {}


def _font_names(config: SynthesizeConfig) -> list[str]:
    if config.image_set:
        name, part = config.image_set
        try:
            return [path.name for path in part.font_files()]
        except ConfigError as error:
            raise ConfigError(f"{name}.{error}") from None
    return [path.name for path in typefaces(config.pages)] if config.pages else []


def _check_recognizer(config: PagesConfig) -> EngineInfo:
    section, recognizer = config.recognizer
    return recognizer.check(section)


def _noise_source(config: NoiseConfig) -> str:
    """Return what identifies the origin of the noise model in the fingerprint."""
    if config.fit:
        return fit_digest(config.fit, "noise.fit")
    if config.model:
        NoiseModel.load(config.model)
        return hashlib.sha256(config.model.read_bytes()).hexdigest()
    return "pages"


def _check_corrupt(config: SynthesizeConfig, problems: Problems) -> tuple[EngineInfo | None, str | None]:
    """Return the language model's identity, and what identifies the examples in the fingerprint."""
    if not (corrupt := config.corrupt):
        return None, None
    if isinstance(corrupt, CorruptHfConfig):
        problems += gpu_problems("corrupt.gpus", config.workers or 1, corrupt.gpus)
    return problems.checked(corrupt.check), problems.checked(_examples_source, corrupt)


def _examples_source(config: CorruptConfig) -> str:
    return fit_digest(config.examples, "corrupt.examples") if config.examples else TEMPLATE_VERSION


def _passage_chars(config: SynthesizeConfig) -> int:
    ranges = [
        config.pages and config.pages.char_range,
        config.noise and config.noise.chars,
        config.corrupt and config.corrupt.chars,
    ]
    image_set = config.image_set[1].passage_chars if config.image_set else 0
    return max([image_set, *(chars[1] for chars in ranges if chars)])


def _limited(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)
