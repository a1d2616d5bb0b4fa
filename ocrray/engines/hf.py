"""`engine: hf`: any Hugging Face causal or sequence-to-sequence language model as a corrector, with or without a PEFT adapter."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from ocrray import prompts
from ocrray.config import StrictModel
from ocrray.engines.base import Correction, EngineInfo, engine_errors
from ocrray.errors import ConfigError
from ocrray.models.loading import Device, Dtype, adapter_problems, load_generator, model_problems, weights_revision
from ocrray.text.normalise import sanitise

if TYPE_CHECKING:
    from ocrray.engines.padded import Generation

DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "default_causal"
DEFAULT_PROMPT = "padded_144"


class HfConfig(StrictModel):
    """How to load a language model and what to show it. Decoding is greedy."""

    engine: Literal["hf"]
    model: str = "default"
    """The one that ships, a folder or a hub id; safetensors only."""
    revision: str | None = None
    adapter: str | None = None
    """A PEFT adapter: a folder or a hub id; safetensors only."""
    prompt: str | None = None
    """The name of a prompt in `ocrray/prompts.py`, or a template that holds `{text}`; null: what the default model learned."""
    dtype: Dtype = "auto"
    device: Device = "auto"
    batch_size_tokens: PositiveInt = 16_384
    """Prompt and output tokens of one batch, padding included; a batch that does not fit the GPU's memory is halved."""
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
    if config.adapter is not None:
        problems += [f"correct.adapter: {problem}" for problem in adapter_problems(config.adapter)]
    try:
        prompt = _prompt(config)
    except ConfigError as err:
        problems.append(f"correct.{err}")
    if problems:
        raise ConfigError("\n".join(problems))
    return EngineInfo(
        engine="hf",
        model=config.model,
        revision=weights_revision(location, config.revision),
        adapter=f"{config.adapter}@{weights_revision(config.adapter)}" if config.adapter else "",
        prompt_version=prompt.prompt_version,
    )


@dataclass(frozen=True, slots=True)
class _Request:
    prompt: list[int]
    bound: int  # new tokens at most
    fits: bool


class HfCorrector:
    """Corrects texts by greedy generation in padded batches of about the same length."""

    def __init__(self, config: HfConfig) -> None:
        self.info = check(config)
        self._config = config
        self._prompt = _prompt(config)
        with engine_errors(f"{config.model} cannot be loaded"):
            self._generator = load_generator(
                _location(config),
                revision=config.revision,
                adapter=config.adapter,
                dtype=config.dtype,
                device=config.device,
                trust_remote_code=config.trust_remote_code,
            )

    def fits(self, text: str) -> bool:
        """Whether the source is short enough, for the prompt too, and prompt and longest output fit the model's context."""
        with engine_errors("tokenizing failed"):
            return self._requests([text])[0].fits

    def correct(self, texts: Sequence[str]) -> list[Correction]:
        """`too_long` where a text does not fit, `unfinished` where the output reached its bound."""
        with engine_errors("generation failed"):
            requests = self._requests(texts)
            corrections = [Correction(None, "too_long", len(request.prompt)) for request in requests]
            lengths = {row: len(request.prompt) + request.bound for row, request in enumerate(requests) if request.fits}
            for rows in batches(lengths, self._config.batch_size_tokens):
                for row, generation in zip(rows, self._generate([requests[row] for row in rows]), strict=True):
                    corrections[row] = self._correction(requests[row], generation)
        return corrections

    def close(self) -> None:
        """Let the model's memory go."""
        del self._generator

    def _requests(self, texts: Sequence[str]) -> list[_Request]:
        rendered = self._generator.encode_prompts([self._prompt.render(text) for text in texts], self._prompt.template)
        source_tokens = self._generator.count_tokens(texts)
        return [self._request(*about) for about in zip(texts, rendered, source_tokens, strict=True)]

    def _request(self, text: str, prompt: list[int], source_tokens: int) -> _Request:
        bound = math.ceil(self._config.max_output_ratio * source_tokens) + 16
        # An encoder and its decoder have a context each; the decoder begins with a token of its own.
        needed = max(len(prompt), bound + 1) if self._generator.is_seq2seq else len(prompt) + bound
        short_enough = self._prompt.fits(text) and source_tokens <= self._config.max_source_tokens
        return _Request(prompt, bound, short_enough and needed <= (self._generator.context_tokens or needed))

    def _generate(self, requests: Sequence[_Request]) -> list["Generation"]:
        from ocrray.engines.padded import generate_padded, halved_to_fit

        def generate(some: Sequence[_Request]) -> list["Generation"]:
            return generate_padded(self._generator, [one.prompt for one in some], [one.bound for one in some])

        return halved_to_fit(generate, requests)

    def _correction(self, request: _Request, generation: "Generation") -> Correction:
        used = {"input_tokens": len(request.prompt), "output_tokens": len(generation.tokens) + generation.finished}
        if not generation.finished:
            return Correction(None, "unfinished", **used)
        return Correction(sanitise(self._prompt.extract(self._generator.decode(generation.tokens))), **used)


def _location(config: HfConfig) -> str:
    return str(DEFAULT_FOLDER) if config.model == "default" else config.model


def _prompt(config: HfConfig) -> prompts.Prompt:
    return prompts.resolve(DEFAULT_PROMPT if config.prompt is None else config.prompt)


def batches(lengths: dict[int, int], budget: int) -> Iterator[list[int]]:
    """The keys of `lengths`, longest first, in groups whose padded size (rows x longest) is at most `budget`, or of one key."""
    group: list[int] = []
    for key in sorted(lengths, key=lengths.__getitem__, reverse=True):
        if group and (len(group) + 1) * lengths[group[0]] > budget:
            yield group
            group = []
        group.append(key)
    if group:
        yield group
