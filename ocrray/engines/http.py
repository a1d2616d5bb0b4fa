"""`engine: http`: a language model behind any OpenAI-style server (vLLM, llama.cpp, transformers serve, ...) as a corrector."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ocrray import prompts
from ocrray.config import StrictModel
from ocrray.engines.base import Correction, EngineInfo
from ocrray.errors import ConfigError, EngineError
from ocrray.text.edits import written_probabilities
from ocrray.text.normalise import sanitise


class HttpConfig(StrictModel):
    """Where the server is and what to ask of it."""

    engine: Literal["http"]
    base_url: str
    """Up to and with `/v1`."""
    model: str
    """As the server calls it."""
    api: Literal["chat", "completions"] = "chat"
    """`chat` sends the prompt's instruction and the text as messages, `completions` the rendered prompt."""
    prompt: str = "chat_ocr"
    """The name of a prompt in `ocrray/prompts.py`, or a template that holds `{text}`."""
    api_key_env: str | None = None
    """The name of the environment variable that holds the key; the key itself never stands in a config."""
    logprobs: bool = False
    """Whether to ask how likely each token was, from which the guard learns how sure the model is; not every server says."""
    concurrency: PositiveInt = 16
    """Requests in flight from one actor."""
    timeout_s: PositiveFloat = 120.0
    max_retries: NonNegativeInt = 4
    """Further attempts, with growing pauses, after a timeout, a lost connection, or status 408, 409, 429 or 5xx."""
    max_chars: PositiveInt = 2_000
    """Longer texts are split."""
    max_output_tokens_per_char: float = Field(default=1.0, gt=0)
    """Generation stops at this many tokens per character of the source, plus 16; some scripts need more than one."""


def check(config: HttpConfig) -> EngineInfo:
    """Who would correct, without asking the server; raises ConfigError with one line a problem."""
    problems = []
    url = urlsplit(config.base_url)
    if url.scheme not in ("http", "https") or not url.netloc:
        problems.append(f"correct.base_url: {config.base_url} is no http(s) address")
    if config.api_key_env is not None and not os.environ.get(config.api_key_env):
        problems.append(f"correct.api_key_env: the environment variable {config.api_key_env} is not set")
    version = ""
    try:
        prompt = prompts.resolve(config.prompt)
        version = prompt.prompt_version
        if prompt.instruction and config.api == "completions":
            problems.append(f"correct.prompt: {prompt.name} holds a system message; it is for api: chat")
    except ConfigError as err:
        problems.append(f"correct.{err}")
    if problems:
        raise ConfigError("\n".join(problems))
    return EngineInfo(engine="http", model=config.model, prompt_version=version)


class HttpCorrector:
    """Sends each text as a request of its own, many at a time, decoded greedily (temperature 0) by the server."""

    def __init__(self, config: HttpConfig) -> None:
        from openai import OpenAI

        self.info = check(config)
        self._config = config
        self._prompt = prompts.resolve(config.prompt)
        # A key is always given: without one the client would send whatever OPENAI_API_KEY holds to this server.
        key = os.environ[config.api_key_env] if config.api_key_env else "none"
        self._client = OpenAI(base_url=config.base_url, api_key=key, timeout=config.timeout_s, max_retries=config.max_retries)
        self._pool = ThreadPoolExecutor(config.concurrency, thread_name_prefix="http-corrector")

    def fits(self, text: str) -> bool:
        """Whether the text has at most `max_chars` characters, and is no wider than the prompt."""
        return len(text) <= self._config.max_chars and self._prompt.fits(text)

    def correct(self, texts: Sequence[str]) -> list[Correction]:
        """`http_<status>` or `timeout` where a request failed for good, `unfinished` where the output reached its bound.

        Raises EngineError when the server cannot be reached, refuses the key, or does not know the model.
        """
        futures = [self._pool.submit(self._correct, text) for text in texts]
        try:
            return [future.result() for future in futures]
        finally:  # after an error the rest need not be asked
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Wait for what is in flight and close the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _correct(self, text: str) -> Correction:
        """One request; the one boundary where the client's errors become ours."""
        import openai

        if not self.fits(text):
            return Correction(None, "too_long")
        try:
            answer = self._ask(text)
        except openai.APITimeoutError:
            return Correction(None, "timeout")
        except openai.APIConnectionError as err:
            raise EngineError(f"{self._config.base_url} cannot be reached: {err.__cause__ or err}", retryable=True) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as err:
            reason = " ".join(err.message.split())[:300]
            raise EngineError(f"{self._config.base_url} refuses model {self._config.model}: {reason}") from None
        except openai.APIStatusError as err:
            return Correction(None, f"http_{err.status_code}")
        except (openai.APIError, ValueError) as err:
            raise EngineError(f"{self._config.base_url} does not answer like an OpenAI-style server: {err}") from None
        return self._read(text, answer)

    def _ask(self, text: str) -> Any:
        settings = {
            "model": self._config.model,
            "temperature": 0.0,
            "max_tokens": math.ceil(self._config.max_output_tokens_per_char * len(text)) + 16,
        }
        if self._config.api == "chat":
            asked = {"logprobs": True} if self._config.logprobs else {}
            return self._client.chat.completions.create(messages=self._prompt.messages(text), **settings, **asked)
        asked = {"logprobs": 1} if self._config.logprobs else {}
        return self._client.completions.create(prompt=self._prompt.render(text), **settings, **asked)

    def _read(self, source: str, answer: Any) -> Correction:
        """What a 200 says; the client checks nothing, so anything may be missing."""
        try:
            choice = answer.choices[0]
            text = choice.message.content if self._config.api == "chat" else choice.text
            reason = choice.finish_reason
        except (AttributeError, IndexError, TypeError):
            raise EngineError(f"{self._config.base_url} does not answer like an OpenAI-style server") from None
        used = {
            "input_tokens": getattr(answer.usage, "prompt_tokens", None) or 0,
            "output_tokens": getattr(answer.usage, "completion_tokens", None) or 0,
        }
        if reason == "length":
            return Correction(None, "unfinished", **used)
        if reason == "content_filter" or not isinstance(text, str):
            return Correction(None, "refused", **used)
        corrected = sanitise(self._prompt.extract(text))
        pieces, probabilities = _likelihoods(choice) if self._config.logprobs else ([], [])
        return Correction(
            corrected, **used, probabilities=written_probabilities(source, corrected, pieces, probabilities) if pieces else {}
        )


def _likelihoods(choice: Any) -> tuple[list[str], list[float]]:
    """The tokens of an answer as text and the probability of each, as either API tells them; nothing where it does not."""
    told = getattr(choice, "logprobs", None)
    try:
        if getattr(told, "content", None):
            pairs = [(one.token, one.logprob) for one in told.content]
        else:
            pairs = list(zip(told.tokens, told.token_logprobs, strict=True))
        return [token for token, _ in pairs], [min(1.0, math.exp(logprob)) for _, logprob in pairs]
    except (AttributeError, TypeError, ValueError):
        return [], []
