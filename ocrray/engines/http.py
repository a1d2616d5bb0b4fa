"""`engine: http`: a language model behind any OpenAI-style server (vLLM, llama.cpp, transformers serve, ...) as a corrector."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from ocrray import prompts
from ocrray.engines.base import CorrectionResult, CorrectorConfig, EngineInfo
from ocrray.engines.server.answers import Answer
from ocrray.engines.server.client import Client, Request
from ocrray.engines.server.config import PATIENCE_KEYS, RequestConfig, ServerConfig
from ocrray.errors import ConfigError
from ocrray.prompts import Prompt
from ocrray.text.edits import written_probabilities
from ocrray.text.normalise import sanitise

_PROBE = "a"


class PromptedConfig(RequestConfig):
    """Content of each request for a correction."""

    prompt: str = "chat_ocr"
    """Name of a prompt in `ocrray/prompts`, or a template that holds `{text}`."""
    max_chars: PositiveInt = 2_000
    """Longest text of one request, in characters; longer ones are split."""
    max_output_tokens_per_char: float = Field(default=1.0, gt=0)
    """Generation stops at this many tokens per character of the source, plus 16; some scripts need more than one, and models that
    think before they answer many more."""

    def prompt_problems(self, section: str) -> list[str]:
        """Return a line for each problem of the prompt."""
        try:
            prompt = prompts.resolve(self.prompt)
        except ConfigError as err:
            return [f"{section}.{err}"]
        if prompt.instruction and self.api == "completions":
            return [f"{section}.prompt: {prompt.name} holds a system message; it is for api: chat"]
        return []

    def request(self, prompt: Prompt, text: str) -> Request:
        """Return the request for the correction of one text."""
        content = prompt.render(text) if self.api == "completions" else prompt.messages(text)
        return Request(content, math.ceil(self.max_output_tokens_per_char * len(text)) + 16)

    def fits(self, prompt: Prompt, text: str) -> bool:
        """Return whether the text has at most `max_chars` characters and fits the width of the prompt."""
        return len(text) <= self.max_chars and prompt.fits(text)


class HttpConfig(PromptedConfig, ServerConfig, CorrectorConfig):
    """Ask a language model on a server."""

    rows_per_block: ClassVar[int] = 64
    without_effect: ClassVar[frozenset[str]] = PATIENCE_KEYS

    engine: Literal["http"]

    def check(self, section: str) -> EngineInfo:
        if problems := [*self.problems(section), *self.prompt_problems(section)]:
            raise ConfigError("\n".join(problems))
        return EngineInfo(engine="http", model=self.model, prompt_version=prompts.resolve(self.prompt).prompt_version)

    def open(self) -> "HttpCorrector":
        return HttpCorrector(self)


class HttpCorrector:
    """Sends each text as a request of its own, `concurrency` at a time."""

    def __init__(self, config: HttpConfig) -> None:
        self.info = config.check("correct")
        self._config = config
        self._prompt = prompts.resolve(config.prompt)
        self._client = Client(config, config.request(self._prompt, _PROBE))

    def fits(self, text: str) -> bool:
        """Return whether the text has at most `max_chars` characters and fits the width of the prompt."""
        return self._config.fits(self._prompt, text)

    def correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        """Reasons: those of `Client.answer`, and `too_long` also where a text does not fit.

        Raises:
            EngineError: as `Client.answer` does.
        """
        fits = [self.fits(text) for text in texts]
        requests = (self._config.request(self._prompt, text) for text, fit in zip(texts, fits, strict=True) if fit)
        answers = iter(self._client.answers(requests))
        return [
            correction_of(text, next(answers), self._prompt) if fit else CorrectionResult(None, "too_long")
            for text, fit in zip(texts, fits, strict=True)
        ]

    def close(self) -> None:
        """Wait for requests in flight and close the connections."""
        self._client.close()


def correction_of(source: str, answer: Answer, prompt: Prompt) -> CorrectionResult:
    """Return the correction that an answer holds."""
    tokens = (answer.input_tokens, answer.output_tokens)
    if answer.text is None:
        return CorrectionResult(None, answer.reason, *tokens, message=answer.sentence)
    corrected = sanitise(prompt.extract(answer.text))
    probabilities = written_probabilities(source, corrected, answer.pieces, answer.probabilities) if answer.pieces else {}
    return CorrectionResult(corrected, "", *tokens, probabilities=probabilities)
