"""`engine: hf`: any Hugging Face causal language model as a corrector, with or without a PEFT adapter.

`engine: padded` does the same with transformers' own `generate`: slower, the reference, and for sequence-to-sequence models too.
"""

import math
from collections.abc import Sequence
from itertools import compress, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from ocrray import prompts
from ocrray.config import FolderOrName
from ocrray.decoding import Generation, Request
from ocrray.engines.base import CorrectionResult, CorrectorConfig, EngineInfo, engine_errors
from ocrray.errors import ConfigError
from ocrray.models.chat import ADVICE
from ocrray.models.folders import (
    adapter_problems,
    has_encoder,
    lacks_chat_template,
    model_problems,
    warn_of_another_base,
    weights_revision,
)
from ocrray.models.generator import Generator
from ocrray.models.loading import Device, Dtype, load_generator
from ocrray.text.edits import written_probabilities
from ocrray.text.normalise import sanitise

if TYPE_CHECKING:
    from ocrray.decoding.padded import PaddedDecoder
    from ocrray.decoding.scheduler import Scheduler

DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "default_causal"
DEFAULT_PROMPT = "padded_144"


class HfConfig(CorrectorConfig):
    """Load a language model and decode greedily."""

    rows_per_block: ClassVar[int] = 64
    uses_gpu: ClassVar[bool] = True

    engine: Literal["hf", "padded"]
    """`hf` drafts each output from its source, many at once; `padded` uses transformers' `generate`: the same text, slower."""
    model: FolderOrName = "default"
    """`default` (ships with ocrray), a folder or a hub id; safetensors only."""
    revision: str | None = None
    """Git revision on the hub; null: main."""
    adapter: FolderOrName | None = None
    """PEFT adapter: a folder or a hub id; safetensors only. `hf` merges it into the model when it loads. Null: none."""
    prompt: str | None = None
    """Name of a prompt in `ocrray/prompts`, or a template that holds `{text}`; null: the default model's own."""
    chat: bool | None = None
    """Show the prompt as messages in the tokenizer's own chat template; null: where there is a system message (`chat_ocr`)."""
    system: str | None = None
    """System message of the chat; null: the prompt's own, empty: none."""
    dtype: Dtype = "auto"
    """Number format of the weights; auto: float32 on a CPU, the checkpoint's own on a GPU."""
    device: Device = "auto"
    """Where to compute; auto: the worker's GPU if it has one."""
    batch_size_tokens: PositiveInt | None = None
    """Prompt and output tokens held at once. Null: as many as fit in memory (`hf`), or 16,384 (`padded`)."""
    max_source_tokens: PositiveInt = 1_024
    """Longest text of one prompt, in tokens; longer ones are split, however many the model could take."""
    max_output_ratio: float = Field(default=1.5, gt=0)
    """Generation stops at this many tokens per token of the source, plus 16."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""

    @model_validator(mode="after")
    def _require_prompt(self) -> Self:
        if self.prompt is None and self.model != "default":
            raise ValueError("prompt: which one the model was trained with must be said for any model but the default one")
        if self.system and self.chat is False:
            raise ValueError("system: a system message is part of a chat; leave out chat: false")
        return self

    @property
    def max_concurrent_batches(self) -> int:
        # With several batches, a text that ends makes room for one of another batch: no batch's tail is decoded alone.
        return 4 if self.engine == "hf" else 1

    @property
    def uses_chat(self) -> bool:
        """True when the prompt is shown in the model's chat template."""
        return bool(_prompt(self).instruction) if self.chat is None else self.chat

    @property
    def location(self) -> str:
        """Folder or hub id to load from."""
        return str(DEFAULT_FOLDER) if self.model == "default" else self.model

    def check(self, section: str) -> EngineInfo:
        problems = [f"{section}.model: {problem}" for problem in model_problems(self.location)]
        if self.engine == "hf" and has_encoder(self.location):
            problems.append(f"{section}.model: {self.location}: has an encoder of its own; set {section}.engine to padded")
        if self.adapter is not None:
            problems += [f"{section}.adapter: {problem}" for problem in adapter_problems(self.adapter)]
            warn_of_another_base(self.adapter, self.location)
        version = ""
        try:
            version = _prompt(self).prompt_version
            if self.uses_chat:
                version += "+chat"
                problems += self._chat_problems(section)
        except ConfigError as err:
            problems.append(f"{section}.{err}")
        if problems:
            raise ConfigError("\n".join(problems))
        return EngineInfo(
            engine=self.engine,
            model=self.model,
            revision=weights_revision(self.location, self.revision),
            adapter=f"{self.adapter}@{weights_revision(self.adapter)}" if self.adapter else "",
            prompt_version=version,
        )

    def _chat_problems(self, section: str) -> list[str]:
        if lacks_chat_template(self.location, self.adapter):
            return [f"{section}.chat: the tokenizer of {self.model} has no chat template: {ADVICE}"]
        return []

    def open(self) -> "HfCorrector":
        return HfCorrector(self)


class HfCorrector:
    """Corrects texts by greedy generation; several threads may call `correct` at once, and are decoded together."""

    def __init__(self, config: HfConfig) -> None:
        self.info = config.check("correct")
        self._config = config
        self._prompt = _prompt(config)
        with engine_errors(f"{config.model} cannot be loaded"):
            self._generator = load_generator(
                config.location,
                revision=config.revision,
                adapter=config.adapter,
                merge_adapter=config.engine == "hf",
                dtype=config.dtype,
                device=config.device,
                trust_remote_code=config.trust_remote_code,
                chat=config.uses_chat,
            )
            self._decoder = _open_decoder(config, self._generator, self._shared_prefix())

    def fits(self, text: str) -> bool:
        """Return whether the source is short enough, and prompt and longest output fit the model's context."""
        with engine_errors("tokenizing failed"):
            return self._fits(text, self.requests([text])[0])

    def correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        """Reasons: `too_long` where a text does not fit, `unfinished` where the output reached its limit."""
        with engine_errors("generation failed"):
            requests = self.requests(texts)
            fits = [self._fits(text, request) for text, request in zip(texts, requests, strict=True)]
            written = iter(self._decoder.generate(list(compress(requests, fits))))
            return [
                self._result(text, request, next(written) if fit else None)
                for text, request, fit in zip(texts, requests, fits, strict=True)
            ]

    def close(self) -> None:
        """Release the model's memory."""
        self._decoder.close()
        del self._generator, self._decoder

    def requests(self, texts: Sequence[str]) -> list[Request]:
        """Return the decoding request of each text, whether it fits or not."""
        prompts_ids = self._encoded(texts)
        sources = self._generator.encode_texts(texts)
        return [
            Request(prompt, math.ceil(self._config.max_output_ratio * len(source)) + 16, source)
            for prompt, source in zip(prompts_ids, sources, strict=True)
        ]

    def _fits(self, text: str, request: Request) -> bool:
        short_enough = self._prompt.fits(text) and len(request.source) <= self._config.max_source_tokens
        return short_enough and self._decoder.fits(request)

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        if self._generator.chat:
            return self._generator.encode_chats([self._prompt.messages(text) for text in texts])
        return self._generator.encode_prompts([self._prompt.render(text) for text in texts], self._prompt.template)

    def _shared_prefix(self) -> list[int]:
        """Return the tokens that every prompt begins with."""
        one, other = self._encoded(["A", "é 1"])
        return [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]

    def _result(self, source: str, request: Request, generation: Generation | None) -> CorrectionResult:
        input_tokens = len(request.prompt)
        if generation is None or generation.refused:
            return CorrectionResult(None, "too_long", input_tokens)
        output_tokens = len(generation.tokens) + generation.finished
        if not generation.finished:
            return CorrectionResult(None, "unfinished", input_tokens, output_tokens)
        corrected = sanitise(self._prompt.extract(self._generator.decode(generation.tokens)))
        if corrected == source:
            return CorrectionResult(corrected, "", input_tokens, output_tokens)
        pieces = self._generator.decode_each(generation.tokens)
        probabilities = written_probabilities(source, corrected, pieces, generation.probabilities)
        return CorrectionResult(corrected, "", input_tokens, output_tokens, probabilities=probabilities)


def _open_decoder(config: HfConfig, generator: Generator, shared_prefix: Sequence[int]) -> "Scheduler | PaddedDecoder":
    from ocrray.decoding.padded import PaddedDecoder
    from ocrray.decoding.scheduler import open_scheduler

    if config.engine == "padded":
        return PaddedDecoder(generator, batch_size_tokens=config.batch_size_tokens)
    return open_scheduler(generator, batch_size_tokens=config.batch_size_tokens, shared_prefix=shared_prefix)


def _prompt(config: HfConfig) -> prompts.Prompt:
    return prompts.resolve(DEFAULT_PROMPT if config.prompt is None else config.prompt, config.system)
