"""`engine: http`: a language model behind any OpenAI-style server (vLLM, llama.cpp, transformers serve, ...) as a corrector."""

import math
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ocrray import prompts
from ocrray.engines.base import CorrectionResult, CorrectorConfig, EngineInfo
from ocrray.errors import ConfigError, EngineError
from ocrray.text.edits import written_probabilities
from ocrray.text.normalise import sanitise

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Completion
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

_AWAY_STATUSES = (429, 502, 503, 504)  # overloaded, starting, or a proxy whose server is down: not a fault of the text
_PROBE = "a"
_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 15.0


class HttpConfig(CorrectorConfig):
    """Ask a language model on a server."""

    rows_per_block: ClassVar[int] = 64

    engine: Literal["http"]
    base_url: str
    """Address of the API, up to and with `/v1`."""
    model: str
    """Name of the model on the server."""
    api: Literal["chat", "completions"] = "chat"
    """`chat` sends the prompt's instruction and the text as messages, `completions` the rendered prompt."""
    prompt: str = "chat_ocr"
    """Name of a prompt in `ocrray/prompts`, or a template that holds `{text}`."""
    api_key_env: str | None = None
    """Environment variable that holds the key; null: the server needs none. The key itself never stands in a config."""
    logprobs: bool = False
    """Ask for the probability of each token, which the guard weighs; not every server returns it."""
    concurrency: PositiveInt = 16
    """Requests in flight from one worker."""
    timeout_s: PositiveFloat = 120.0
    """Seconds to wait for one answer."""
    max_retries: NonNegativeInt = 4
    """Further attempts per text, with growing pauses, after a timeout or status 408, 409, 429 or 5xx."""
    max_wait_s: NonNegativeFloat = 300.0
    """Seconds to wait, after these attempts, for a server that cannot be reached, answers 429, 502, 503 or 504, or answers no
    text at all; then the run ends, and can be resumed."""
    max_chars: PositiveInt = 2_000
    """Longest text of one request, in characters; longer ones are split."""
    max_output_tokens_per_char: float = Field(default=1.0, gt=0)
    """Generation stops at this many tokens per character of the source, plus 16; some scripts need more than one."""

    def check(self, section: str) -> EngineInfo:
        problems = []
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.netloc:
            problems.append(f"{section}.base_url: {self.base_url} is no http(s) address")
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            problems.append(f"{section}.api_key_env: the environment variable {self.api_key_env} is not set")
        version = ""
        try:
            prompt = prompts.resolve(self.prompt)
            version = prompt.prompt_version
            if prompt.instruction and self.api == "completions":
                problems.append(f"{section}.prompt: {prompt.name} holds a system message; it is for api: chat")
        except ConfigError as err:
            problems.append(f"{section}.{err}")
        if problems:
            raise ConfigError("\n".join(problems))
        return EngineInfo(engine="http", model=self.model, prompt_version=version)

    def open(self) -> "HttpCorrector":
        return HttpCorrector(self)


class HttpCorrector:
    """Sends each text as a request of its own, `concurrency` at a time, decoded greedily (temperature 0) by the server."""

    def __init__(self, config: HttpConfig) -> None:
        from openai import OpenAI

        self.info = config.check("correct")
        self._config = config
        self._prompt = prompts.resolve(config.prompt)
        # A key is always given: without one the client would send whatever OPENAI_API_KEY holds to this server.
        key = os.environ[config.api_key_env] if config.api_key_env else "none"
        self._client = OpenAI(base_url=config.base_url, api_key=key, timeout=config.timeout_s, max_retries=config.max_retries)
        self._pool = ThreadPoolExecutor(config.concurrency, thread_name_prefix="http-corrector")
        self._closing = threading.Event()
        self._answered_s = -math.inf

    def fits(self, text: str) -> bool:
        """Return whether the text has at most `max_chars` characters and fits the width of the prompt."""
        return len(text) <= self._config.max_chars and self._prompt.fits(text)

    def correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        """Reasons: `http_<status>` or `timeout` where this text alone failed, `unfinished` where the output reached its limit.

        Raises:
            EngineError: when the server is away for longer than `max_wait_s`, rejects the key, or does not know the model.
        """
        futures = [self._pool.submit(self._correct, text) for text in texts]
        try:
            return [future.result() for future in futures]
        finally:  # after an error the other requests are not needed
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Wait for requests in flight and close the connections."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _correct(self, text: str) -> CorrectionResult:
        """Send one request; convert the client's errors."""
        import openai

        if not self.fits(text):
            return CorrectionResult(None, "too_long")
        try:
            answer = self._request_while_away(text)
        except openai.APITimeoutError:
            return CorrectionResult(None, "timeout")
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as err:
            reason = " ".join(err.message.split())[:300]
            raise EngineError(f"{self._config.base_url} refuses model {self._config.model}: {reason}") from None
        except openai.APIStatusError as err:
            return CorrectionResult(None, f"http_{err.status_code}")
        except (openai.APIError, ValueError) as err:
            raise EngineError(f"{self._config.base_url} does not answer like an OpenAI-style server: {err}") from None
        return self._read(text, answer)

    def _request_while_away(self, text: str) -> "ChatCompletion | Completion":
        """Repeat the request, pausing 1 to 15 s, while the server is away; raise EngineError after `max_wait_s`.

        A server that answers no text at all is away as well: only where it answers others is a time-out or a status of 500 the
        fault of this text.
        """
        import openai

        begun_s = time.monotonic()
        deadline_s = time.monotonic() + self._config.max_wait_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                answer = self._request(self._client, text)
                self._answered_s = time.monotonic()
                return answer
            except openai.APITimeoutError:  # a subclass of APIConnectionError
                if self._answers_others(begun_s):
                    raise
                problem = f"{self._config.base_url} does not answer within {self._config.timeout_s:g} s"
            except openai.APIConnectionError as err:
                problem = f"{self._config.base_url} cannot be reached: {err.__cause__ or err}"
            except openai.APIStatusError as err:
                if err.status_code not in _AWAY_STATUSES and (err.status_code < 500 or self._answers_others(begun_s)):
                    raise
                problem = f"{self._config.base_url} answers with status {err.status_code}"
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._closing.wait(min(pause_s, left_s)):
                raise EngineError(f"{problem} (waited {self._config.max_wait_s:g} s)")
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _answers_others(self, since_s: float) -> bool:
        """Return whether the server has answered another text since this time, or answers a short one now."""
        import openai

        if self._answered_s > since_s:
            return True
        try:
            self._request(self._client.with_options(max_retries=0), _PROBE)
        except openai.APIStatusError as err:
            return err.status_code < 500
        except openai.APIError:
            return False
        return True

    def _request(self, client: "OpenAI", text: str) -> "ChatCompletion | Completion":
        from openai import omit

        model, ask_logprobs = self._config.model, self._config.logprobs
        max_tokens = math.ceil(self._config.max_output_tokens_per_char * len(text)) + 16
        if self._config.api == "completions":
            return client.completions.create(
                prompt=self._prompt.render(text),
                model=model,
                temperature=0.0,
                max_tokens=max_tokens,
                logprobs=1 if ask_logprobs else omit,
            )
        return client.chat.completions.create(
            messages=cast("list[ChatCompletionMessageParam]", self._prompt.messages(text)),  # a union of TypedDicts
            model=model,
            temperature=0.0,
            max_tokens=max_tokens,
            logprobs=True if ask_logprobs else omit,
        )

    def _read(self, source: str, answer: Any) -> CorrectionResult:
        """Read the body of a 200; the client validates nothing, so anything may be missing."""
        try:
            choice = answer.choices[0]
            text = choice.message.content if self._config.api == "chat" else choice.text
            reason = choice.finish_reason
        except (AttributeError, IndexError, TypeError):
            raise EngineError(f"{self._config.base_url} does not answer like an OpenAI-style server") from None
        input_tokens = getattr(answer.usage, "prompt_tokens", None) or 0
        output_tokens = getattr(answer.usage, "completion_tokens", None) or 0
        if reason == "length":
            return CorrectionResult(None, "unfinished", input_tokens, output_tokens)
        if reason == "content_filter" or not isinstance(text, str):
            return CorrectionResult(None, "refused", input_tokens, output_tokens)
        corrected = sanitise(self._prompt.extract(text))
        pieces, shares = _token_probabilities(choice) if self._config.logprobs else ([], [])
        probabilities = written_probabilities(source, corrected, pieces, shares) if pieces else {}
        return CorrectionResult(corrected, "", input_tokens, output_tokens, probabilities=probabilities)


def _token_probabilities(choice: Any) -> tuple[list[str], list[float]]:
    """Return the tokens of an answer as text and the probability of each (0..1), in either API's form; empty where absent."""
    found = getattr(choice, "logprobs", None)
    try:
        if content := getattr(found, "content", None):
            pairs = [(one.token, one.logprob) for one in content]
        else:
            pairs = list(zip(getattr(found, "tokens"), getattr(found, "token_logprobs"), strict=True))  # noqa: B009
        return [token for token, _ in pairs], [min(1.0, math.exp(logprob)) for _, logprob in pairs]
    except (AttributeError, TypeError, ValueError):
        return [], []
