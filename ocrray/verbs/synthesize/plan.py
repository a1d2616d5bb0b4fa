"""Planning `synthesize`: its config, and the checks before a run."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from ocrray.config import StrictModel
from ocrray.corpus.pairs import SCHEMA_VERSION
from ocrray.engines.base import EngineInfo
from ocrray.errors import Problems
from ocrray.runtime.resources import gpu_problems
from ocrray.storage import Location
from ocrray.synth.config import NoiseConfig, PagesConfig
from ocrray.synth.corrupt_config import CorruptConfig, CorruptHfConfig
from ocrray.synth.corrupt_prompt import TEMPLATE_VERSION
from ocrray.synth.noise import NoiseModel
from ocrray.synth.pages import typefaces
from ocrray.verbs import output
from ocrray.verbs.base import Plan
from ocrray.verbs.console import Rows
from ocrray.verbs.output import OutputConfig
from ocrray.verbs.synthesize.text import PHASES, CleanText, CleanTextConfig, fit_digest, write_work_lists


class PairsOutputConfig(OutputConfig):
    """Location of the pairs, and metadata for their card."""

    title: str = "Synthetic OCR pairs"
    """Title of the card."""


class SynthesizeConfig(StrictModel):
    """One complete run of `ocrray synthesize`."""

    input: CleanTextConfig
    """Clean text to make pairs from."""
    pages: PagesConfig | None = None
    """Pairs of rendered, degraded and recognized pages; null: none."""
    noise: NoiseConfig | None = None
    """Pairs by a noise model; null: none."""
    corrupt: CorruptConfig | None = None
    """Pairs by a language model that is asked to corrupt texts, behind a server (`engine: http`) or loaded (`hf`); null: none."""
    output: PairsOutputConfig
    """Location of the pairs."""
    seed: int = Field(1, ge=0)
    """Seed of every random choice: the same input, config and versions give the same pairs with any number of workers."""
    workers: int | None = Field(None, ge=1)
    """Maximum number of processes, one CPU each; null: one per core of this machine, or as many as a cluster has room for."""

    @model_validator(mode="after")
    def _something_to_make(self) -> Self:
        if not self.pages and not self.noise and not self.corrupt:
            raise ValueError("set pages, noise or corrupt, or several: there is nothing to make")
        if self.noise and not (self.pages or self.noise.fit or self.noise.model):
            raise ValueError("noise needs pages, noise.fit (your own pairs) or noise.model to get its error rates from")
        return self


Config = SynthesizeConfig


@dataclass(frozen=True, kw_only=True)
class SynthesizePlan(Plan):
    """Number of passages, and the engine and fonts that make pairs from them."""

    config: SynthesizeConfig
    text: CleanText
    passages: int
    counts: dict[str, int]
    """Number of pairs to make in each phase: `pages`, `noise`, `corrupt`."""
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
        rows = [("input: files", f"{self.text.files:,}"), ("input: passages", f"{self.passages:,}")]
        rows += [(f"input: unusable, {reason}", f"{records:,}") for reason, records in self.text.unusable.most_common()]
        rows += [(phase, f"{count:,}") for phase, count in self.counts.items()]
        if info := self.recognizer:
            rows += [("recognizer", f"{info.engine} {info.model} {info.revision}"), ("fonts", ", ".join(self.fonts))]
        if self.config.noise:
            rows.append(("noise model", self.noise_origin()))
        if info := self.corruptor:
            rows.append(("language model", " ".join(filter(None, (info.engine, info.model, info.revision)))))
        return rows


def make_plan(config: SynthesizeConfig, limit: int | None, problems: Problems, *, dry_run: bool) -> SynthesizePlan:
    """Check the config and count the passages; at most `limit` pairs of each phase are to be made.

    The work lists are written into the output folder, unless it is a dry run or the run goes on.

    Raises: ConfigError: with one line for each problem.
    """
    folder = Location.at(config.output.path)
    problems.checked(output.require_writable, folder)
    problems.checked(output.require_apart, folder, config.input.paths)
    previous = problems.checked(output.read_run, folder)
    font_names = problems.checked(_font_names, config.pages) if config.pages else []
    recognizer = problems.checked(_check_recognizer, config.pages) if config.pages else None
    noise_source = problems.checked(_noise_source, config.noise) if config.noise else None
    corruptor, examples = _check_corrupt(config, problems)
    text = CleanText(config.input, _passage_chars(config))
    found = problems.checked(lambda: sum(1 for _ in text))
    if found == 0:
        problems.append("input.paths: there is no text in the input")
    problems.raise_if_any()
    assert found
    assert font_names is not None
    made_with = {"recognizer": recognizer and asdict(recognizer), "fonts": font_names, "noise_source": noise_source}
    settings = {
        **config.model_dump(mode="json", include={"input", "pages", "noise", "seed"}),
        **made_with,
        **_corrupt_settings(config.corrupt, corruptor, examples),
        "text": text.digest,
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
        write_work_lists(folder, counts, config.seed, found, CleanText(config.input, _passage_chars(config)))
    return plan


def _corrupt_settings(config: CorruptConfig | None, model: EngineInfo | None, examples: str | None) -> dict[str, Any]:
    """Return nothing without `corrupt`, so that runs of versions that did not know it can be resumed."""
    return {"corrupt": config.settings(), "corruptor": model and asdict(model), "examples": examples} if config else {}


def _font_names(config: PagesConfig) -> list[str]:
    return [path.name for path in typefaces(config)]


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
    return max(chars[1] for chars in ranges if chars)


def _limited(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)
