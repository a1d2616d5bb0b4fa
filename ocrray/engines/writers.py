"""Language models that write a text for a prompt, sampled: behind a server, or loaded here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pydantic import Field, PositiveFloat, PositiveInt

from ocrray.config import FolderOrName, StrictModel
from ocrray.decoding import Generation, Request, Sampling
from ocrray.engines.base import EngineInfo, engine_errors
from ocrray.engines.server.answers import Answer
from ocrray.engines.server.client import Client
from ocrray.engines.server.client import Request as ServerRequest
from ocrray.engines.server.config import ServerConfig
from ocrray.errors import ConfigError
from ocrray.models.folders import adapter_problems, has_encoder, model_problems, weights_revision
from ocrray.models.loading import Device, Dtype, load_generator
from ocrray.text.normalise import sanitise

_EXTRA_TOKENS = 16
_PROBE = ServerRequest("Answer with one word: yes.", 16)


@dataclass(frozen=True, slots=True)
class WritingTask:
    """A prompt, the text in it that the answer resembles, and the seed of the sampling (not sent to a server)."""

    prompt: str
    source: str
    seed: int


class Writer(Protocol):
    """Writes one answer a task; several threads may call `write` at once."""

    def write(self, tasks: Sequence[WritingTask]) -> list[Answer]:
        """Return one answer a task, in order; without a text it holds the reason, as `Client.answer` gives it.

        Raises:
            EngineError: when the engine itself is broken or out of reach.
        """

    def close(self) -> None:
        """Release memory and connections."""


class LoadedModelConfig(StrictModel):
    """A causal language model that is loaded, and how it is sampled."""

    model: FolderOrName
    """A folder or a hub id; safetensors only."""
    revision: str | None = None
    """Git revision on the hub; null: main."""
    adapter: FolderOrName | None = None
    """PEFT adapter: a folder or a hub id, merged into the model when it loads. Null: none."""
    chat: bool | None = None
    """Show the prompt as a user's message in the model's chat template; null: if the model has one."""
    temperature: PositiveFloat = 1.0
    """Temperature of sampling."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Probability mass of the tokens to sample from."""
    dtype: Dtype = "auto"
    """Number format of the weights; auto: float32 on a CPU, the checkpoint's own on a GPU."""
    device: Device = "auto"
    """Where to compute; auto: the worker's GPU if it has one."""
    batch_size_tokens: PositiveInt | None = None
    """Prompt and output tokens held at once; null: as many as fit in memory."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""

    def check_model(self, section: str) -> EngineInfo:
        """Return the model's identity.

        Raises:
            ConfigError: with one line for each problem of its files.
        """
        problems = [f"{section}.model: {problem}" for problem in model_problems(self.model)]
        if has_encoder(self.model):
            problems.append(f"{section}.model: {self.model}: has an encoder of its own; a causal model is needed")
        if self.adapter is not None:
            problems += [f"{section}.adapter: {problem}" for problem in adapter_problems(self.adapter)]
        if problems:
            raise ConfigError("\n".join(problems))
        adapter = f"{self.adapter}@{weights_revision(self.adapter)}" if self.adapter else ""
        return EngineInfo("hf", self.model, weights_revision(self.model, self.revision), adapter)


class ServerWriter:
    """Asks a server, `concurrency` requests at a time; its limits a minute hold for this writer as a whole."""

    def __init__(self, config: ServerConfig, tokens_per_char: float, section: str) -> None:
        self._tokens_per_char = tokens_per_char
        self._client = Client(config, _PROBE, section)

    def write(self, tasks: Sequence[WritingTask]) -> list[Answer]:
        """Return the server's answers; seeds are not sent."""
        return self._client.answers(ServerRequest(task.prompt, self._max_tokens(task)) for task in tasks)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _max_tokens(self, task: WritingTask) -> int:
        return math.ceil(self._tokens_per_char * len(task.source)) + _EXTRA_TOKENS


class LoadedWriter:
    """Samples a model that is loaded; an answer depends on its task alone, not on its batch.

    In half precision the shape of a batch changes how a GPU rounds, and so, now and then, which of two near tokens is drawn.
    """

    def __init__(self, config: LoadedModelConfig, tokens_per_char: float, section: str) -> None:
        from ocrray.decoding.scheduler import open_scheduler

        config.check_model(section)
        self._config, self._tokens_per_char = config, tokens_per_char
        with engine_errors(f"{config.model} cannot be loaded"):
            self._generator = load_generator(
                config.model,
                revision=config.revision,
                adapter=config.adapter,
                merge_adapter=True,
                dtype=config.dtype,
                device=config.device,
                trust_remote_code=config.trust_remote_code,
            )
            self._scheduler = open_scheduler(self._generator, batch_size_tokens=config.batch_size_tokens)
        has_template = bool(getattr(self._generator.tokenizer, "chat_template", None))
        self._chat = has_template if config.chat is None else config.chat
        if self._chat and not has_template:
            raise ConfigError(f"{section}.chat: {config.model} has no chat template; set {section}.chat: false")

    def write(self, tasks: Sequence[WritingTask]) -> list[Answer]:
        """Return sampled answers; reasons are `too_long` and `unfinished`."""
        with engine_errors("generation failed"):
            prompts = self._encoded([task.prompt for task in tasks])
            requests = [self._request(task, prompt) for task, prompt in zip(tasks, prompts, strict=True)]
            generations = self._scheduler.generate(requests)
        return [self._answer(prompt, written) for prompt, written in zip(prompts, generations, strict=True)]

    def close(self) -> None:
        """Release the model's memory."""
        self._scheduler.close()
        del self._generator, self._scheduler

    def _encoded(self, prompts: Sequence[str]) -> list[list[int]]:
        if not self._chat:
            return self._generator.encode_prompts(prompts, template="")
        tokenizer: Any = self._generator.tokenizer
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        ids = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=False, sanitize_control_tokens=True
        )
        return cast("list[list[int]]", ids)

    def _request(self, task: WritingTask, prompt: list[int]) -> Request:
        config = self._config
        max_new_tokens = math.ceil(self._tokens_per_char * len(task.source)) + _EXTRA_TOKENS
        return Request(prompt, max_new_tokens, sampling=Sampling(config.temperature, config.top_p, task.seed))

    def _answer(self, prompt: list[int], written: Generation) -> Answer:
        if written.refused:
            return Answer(None, "too_long", input_tokens=len(prompt))
        tokens = (len(prompt), len(written.tokens) + written.finished)
        if not written.finished:
            return Answer(None, "unfinished", "", *tokens)
        return Answer(sanitise(self._generator.decode(written.tokens)), "", "", *tokens)
