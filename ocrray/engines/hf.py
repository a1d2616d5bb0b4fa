"""`engine: hf`: any Hugging Face causal language model as a corrector, with or without a PEFT adapter.

`engine: padded` is the same with transformers' own `generate`: slower, the reference, and for sequence-to-sequence models too.
"""

import math
from collections.abc import Sequence
from itertools import compress, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from ocrray import prompts
from ocrray.config import StrictModel
from ocrray.decoding import Generation, Request
from ocrray.engines.base import Correction, EngineInfo, engine_errors
from ocrray.errors import ConfigError
from ocrray.models.folders import adapter_problems, has_encoder, model_problems, weights_revision
from ocrray.models.generator import Generator
from ocrray.models.loading import Device, Dtype, load_generator
from ocrray.text.edits import written_probabilities
from ocrray.text.normalise import sanitise

if TYPE_CHECKING:
    from ocrray.decoding.feed import Feed
    from ocrray.decoding.padded import PaddedDecoder

DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "default_causal"
DEFAULT_PROMPT = "padded_144"


class HfConfig(StrictModel):
    """How to load a language model and what to show it. Decoding is greedy."""

    engine: Literal["hf", "padded"]
    """`hf` drafts each output from its source, many at once; `padded` is the plain way: the same text, slower."""
    model: str = "default"
    """The one that ships, a folder or a hub id; safetensors only."""
    revision: str | None = None
    adapter: str | None = None
    """A PEFT adapter: a folder or a hub id; safetensors only. `hf` merges it into the model when it loads."""
    prompt: str | None = None
    """The name of a prompt in `ocrray/prompts.py`, or a template that holds `{text}`; null: what the default model learned."""
    dtype: Dtype = "auto"
    device: Device = "auto"
    batch_size_tokens: PositiveInt | None = None
    """Prompt and output tokens held at once. Null: what the memory takes (`hf`), or 16,384 (`padded`)."""
    max_source_tokens: PositiveInt = 1_024
    """Longer texts are split, however much the model could take."""
    max_output_ratio: float = Field(default=1.5, gt=0)
    """Generation stops at this many tokens per token of the source, plus 16."""
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _prompt_known(self) -> Self:
        if self.prompt is None and self.model != "default":
            raise ValueError("prompt: which one the model was trained with must be said for any model but the default one")
        return self


def check(config: HfConfig) -> EngineInfo:
    """Who would correct; raises ConfigError with one line for everything that its files already show to be wrong."""
    location = _location(config)
    problems = [f"correct.model: {problem}" for problem in model_problems(location)]
    if config.engine == "hf" and has_encoder(location):
        problems.append(f"correct.model: {location}: has an encoder of its own; set correct.engine to padded")
    if config.adapter is not None:
        problems += [f"correct.adapter: {problem}" for problem in adapter_problems(config.adapter)]
    try:
        prompt = _prompt(config)
    except ConfigError as err:
        problems.append(f"correct.{err}")
    if problems:
        raise ConfigError("\n".join(problems))
    return EngineInfo(
        engine=config.engine,
        model=config.model,
        revision=weights_revision(location, config.revision),
        adapter=f"{config.adapter}@{weights_revision(config.adapter)}" if config.adapter else "",
        prompt_version=prompt.prompt_version,
    )


class HfCorrector:
    """Corrects texts by greedy generation; several threads may call `correct` at once, and are decoded together."""

    def __init__(self, config: HfConfig) -> None:
        self.info = check(config)
        self._config = config
        self._prompt = _prompt(config)
        with engine_errors(f"{config.model} cannot be loaded"):
            self._generator = load_generator(
                _location(config),
                revision=config.revision,
                adapter=config.adapter,
                merge_adapter=config.engine == "hf",
                dtype=config.dtype,
                device=config.device,
                trust_remote_code=config.trust_remote_code,
            )
            self._writer = _open_writer(config, self._generator, self._constant())

    def fits(self, text: str) -> bool:
        """Whether the source is short enough, for the prompt too, and prompt and longest output fit the model's context."""
        with engine_errors("tokenizing failed"):
            return self._fits(text, self.requests([text])[0])

    def correct(self, texts: Sequence[str]) -> list[Correction]:
        """`too_long` where a text does not fit, `unfinished` where the output reached its bound."""
        with engine_errors("generation failed"):
            requests = self.requests(texts)
            fits = [self._fits(text, request) for text, request in zip(texts, requests, strict=True)]
            written = iter(self._writer.generate(list(compress(requests, fits))))
            return [
                self._correction(text, request, next(written) if fit else None)
                for text, request, fit in zip(texts, requests, fits, strict=True)
            ]

    def close(self) -> None:
        """Let the model's memory go."""
        self._writer.close()
        del self._generator, self._writer

    def requests(self, texts: Sequence[str]) -> list[Request]:
        """What the model is asked for each text, whether it fits or not."""
        prompts_ids = self._generator.encode_prompts([self._prompt.render(text) for text in texts], self._prompt.template)
        sources = self._generator.encode_texts(texts)
        return [
            Request(prompt, math.ceil(self._config.max_output_ratio * len(source)) + 16, source)
            for prompt, source in zip(prompts_ids, sources, strict=True)
        ]

    def _fits(self, text: str, request: Request) -> bool:
        short_enough = self._prompt.fits(text) and len(request.source) <= self._config.max_source_tokens
        return short_enough and self._writer.fits(request)

    def _constant(self) -> list[int]:
        """The tokens that every prompt begins with."""
        one, other = self._generator.encode_prompts([self._prompt.render(text) for text in ("A", "é 1")], self._prompt.template)
        return [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]

    def _correction(self, source: str, request: Request, generation: Generation | None) -> Correction:
        if generation is None or generation.refused:
            return Correction(None, "too_long", len(request.prompt))
        used = {"input_tokens": len(request.prompt), "output_tokens": len(generation.tokens) + generation.finished}
        if not generation.finished:
            return Correction(None, "unfinished", **used)
        corrected = sanitise(self._prompt.extract(self._generator.decode(generation.tokens)))
        if corrected == source:
            return Correction(corrected, **used)
        pieces = self._generator.decode_each(generation.tokens)
        probabilities = written_probabilities(source, corrected, pieces, generation.probabilities)
        return Correction(corrected, **used, probabilities=probabilities)


def _open_writer(config: HfConfig, generator: Generator, constant: Sequence[int]) -> "Feed | PaddedDecoder":
    from ocrray.decoding.feed import open_feed
    from ocrray.decoding.padded import PaddedDecoder

    if config.engine == "padded":
        return PaddedDecoder(generator, batch_size_tokens=config.batch_size_tokens)
    return open_feed(generator, batch_size_tokens=config.batch_size_tokens, constant=constant)


def _location(config: HfConfig) -> str:
    return str(DEFAULT_FOLDER) if config.model == "default" else config.model


def _prompt(config: HfConfig) -> prompts.Prompt:
    return prompts.resolve(DEFAULT_PROMPT if config.prompt is None else config.prompt)
