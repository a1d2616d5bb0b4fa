"""Client of an OpenAI-style server: retries, waiting, pace, and faults of one text told apart from those of the whole run."""

import json
import math
import random
import threading
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from ocrray.engines.server.answers import EMPTY, Answer
from ocrray.engines.server.config import ServerConfig
from ocrray.engines.server.faults import MAX_SENTENCE_CHARS, Fault, Scope
from ocrray.engines.server.throttle import Throttle
from ocrray.engines.server.transport import Transport
from ocrray.errors import ConfigError, EngineError
from ocrray.redaction import hide
from ocrray.storage import faults as stores

_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 15.0
_SILENT_S, _REPORT_EVERY_S = 10.0, 60.0
_CHARS_PER_TOKEN = 3.0
_CHARS_PER_IMAGE = 4_000
_MAX_RETRIES_OF_EMPTY = 2  # the server is well, and writes nothing


@dataclass(frozen=True, slots=True)
class Request:
    """One request: a prompt, or the messages of a chat, and the most tokens to be written (None: the server's own limit)."""

    content: str | list[dict[str, Any]]
    max_tokens: int | None = None

    @property
    def characters(self) -> int:
        """Number of characters that the model reads; an image counts as many as are about its tokens."""
        return _characters(self.content)


class Client:
    """Asks a model, `concurrency` requests at a time; several threads may use it at once.

    `probe` is a request that any server answers which answers at all, sent to tell a fault of one text from one of all; `section`
    is the config section that messages name, `limit_key` its key for the longest answer.
    """

    def __init__(
        self,
        config: ServerConfig,
        probe: Request,
        section: str = "correct",
        limit_key: str = "max_output_tokens_per_char",
    ) -> None:
        if problems := config.problems(section):
            raise ConfigError("\n".join(problems))
        self._config, self._probe, self._section, self._limit_key = config, probe, section, limit_key
        self._secrets = config.secrets()
        self._transport = Transport(config)
        self._pool = ThreadPoolExecutor(config.concurrency, thread_name_prefix="model-client")
        self._throttle = Throttle(config.requests_per_minute, config.tokens_per_minute)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._answered_s = -math.inf
        self._has_written = False
        self._refusals = 0

    def answers(self, requests: Iterable[Request]) -> list[Answer]:
        """Return one answer per request, in order; raises what `answer` raises first, and then drops the other requests."""
        futures = [self._pool.submit(self.answer, request) for request in requests]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            errors = [error for future in done if (error := future.exception())]
            # What somebody must act on is told rather than what waiting may cure.
            for error in sorted(errors, key=lambda error: isinstance(error, EngineError) and error.transient):
                raise error
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def answer(self, request: Request) -> Answer:
        """Return the answer to one request.

        Its `text` is None where this request alone gets none, with the reason: `too_long`, `refused` (flagged, or declined),
        `unfinished` (its limit of tokens was reached), `http_<status>`, and after `max_retries` further attempts `empty_answer`,
        `error_in_answer`, `malformed_answer`, `connection_lost` or `timeout`.

        Raises:
            EngineError: when no request can be answered: refused credit, key, model or parameters, or too many refusals in a row;
                transient: when the server is away for longer than `max_wait_s`.
        """
        begun_s, pause_s, report_at_s = time.monotonic(), _FIRST_PAUSE_S, _SILENT_S
        for attempt in count(1):
            fault = self._attempt(request)
            if isinstance(fault, Answer):
                return self._counted(fault)
            if self._is_of_this_request(fault, attempt, begun_s):
                return self._without_text(fault)
            limit_s, waited_s = self._max_wait_s(), time.monotonic() - begun_s
            left_s = limit_s - waited_s if attempt > self._config.max_retries else math.inf
            asked_s = fault.retry_after_s or 0.0
            if left_s <= 0 or asked_s > limit_s:
                return self._give_up(fault, begun_s, asked_s)
            if waited_s >= report_at_s:
                stores.report_waiting(f"{self._told(fault)} ({waited_s:.0f} s of {limit_s:.0f} s)")
                report_at_s = waited_s + _REPORT_EVERY_S
            if fault.scope is Scope.OVERLOADED and asked_s:
                self._throttle.pause(asked_s)
            if self._closing.wait(min(max(asked_s, pause_s * random.uniform(0.75, 1.0)), left_s)):
                raise EngineError(f"{self._told(fault)} (closed)", transient=True)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Wait for requests in flight and close the connections."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        self._transport.close()

    def _attempt(self, request: Request) -> Answer | Fault:
        """Send a request once, in its turn."""
        tokens = math.ceil(2 * request.characters / _CHARS_PER_TOKEN)  # read and written
        self._throttle.wait(tokens, self._closing)
        outcome = self._transport.send(json.dumps(self._config.body(request.content, request.max_tokens)).encode())
        if isinstance(outcome, Fault):
            return replace(outcome, sentence=self._shown(outcome.sentence))
        if outcome.input_tokens or outcome.output_tokens:
            self._throttle.correct(outcome.input_tokens + outcome.output_tokens - tokens)
        return replace(outcome, sentence=self._shown(outcome.sentence))

    def _is_of_this_request(self, fault: Fault, attempt: int, begun_s: float) -> bool:
        """Return whether this request is at fault and others are not; False where another attempt may succeed.

        Raises:
            EngineError: when no request would be answered.
        """
        scope = fault.scope
        if scope is Scope.SETTINGS:
            scope = Scope.UNCLEAR if self._has_answered else Scope.RUN
        if scope is Scope.TEXT:
            return True
        if scope is Scope.RUN or (scope is Scope.DENIED and (not self._has_answered or attempt > self._config.max_retries)):
            raise self._of_run(fault)
        if scope is Scope.UNCLEAR:
            return self._answers_others(begun_s)
        retries = min(self._config.max_retries, _MAX_RETRIES_OF_EMPTY) if fault.reason == EMPTY else self._config.max_retries
        if scope is not Scope.PASSING or attempt <= retries:
            return False
        if self._answers_others(begun_s):
            return True
        if fault.reason == "malformed_answer" and not self._has_answered:
            raise self._of_run(fault)
        return False

    def _answers_others(self, since_s: float) -> bool:
        """Return whether the server has answered another request since this time, or answers a short one now.

        Raises:
            EngineError: when it refuses the short one as well.
        """
        if self._answered_s > since_s:
            return True
        outcome = self._attempt(self._probe)
        if isinstance(outcome, Answer) or outcome.scope is Scope.TEXT or outcome.reason == EMPTY:
            return True
        if outcome.scope in (Scope.PASSING, Scope.OVERLOADED):
            return False
        raise self._of_run(outcome)

    def _give_up(self, fault: Fault, begun_s: float, asked_s: float) -> Answer:
        """Return an answer without text if the server answers others.

        Raises:
            EngineError: if it answers none.
        """
        limit_s = self._max_wait_s()
        if asked_s > limit_s:
            raise EngineError(f"{self._told(fault)} (asks to wait {asked_s:.0f} s, longer than {limit_s:g} s)", transient=True)
        if fault.scope is not Scope.DENIED and limit_s and self._answers_others(begun_s):
            return self._without_text(fault)
        raise EngineError(f"{self._told(fault)} (waited {limit_s:g} s)", transient=True)

    def _without_text(self, fault: Fault) -> Answer:
        """Return an answer without text; too many of them in a row are no fault of their texts."""
        # Texts that are too long or flagged come in rows, but not from the first on.
        if fault.scope is not Scope.TEXT or not self._has_written:
            self._count_refusal(fault.sentence)
        return Answer(None, fault.reason, fault.sentence)

    def _counted(self, answer: Answer) -> Answer:
        """Return the answer; one without text (declined, or not finished) counts as a refusal until there was another."""
        with self._lock:
            self._answered_s = time.monotonic()
            if answer.text is not None:
                self._has_written, self._refusals = True, 0
        if answer.text is None and not self._has_written:
            unfinished = f"does not end within {self._section}.{self._limit_key}"
            self._count_refusal(unfinished if answer.reason == "unfinished" else answer.sentence or answer.reason)
        return answer

    def _count_refusal(self, sentence: str) -> None:
        """Count a text without an answer; too many of them in a row are no fault of the texts.

        Raises:
            EngineError: with the `stop_after_refusals`th in a row.
        """
        with self._lock:
            self._refusals += 1
            is_enough = self._refusals == self._config.stop_after_refusals
            self._refusals = 0 if is_enough else self._refusals
        if is_enough:
            raise EngineError(
                f"{self._config.address} with model {self._config.model}: {sentence.removesuffix('.')}; "
                f"{self._config.stop_after_refusals} texts in a row got no answer. "
                f"If the fault is theirs, set {self._section}.stop_after_refusals: null"
            )

    @property
    def _has_answered(self) -> bool:
        return self._answered_s > -math.inf

    def _max_wait_s(self) -> float:
        return stores.max_wait_s() if self._config.max_wait_s is None else self._config.max_wait_s

    def _of_run(self, fault: Fault) -> EngineError:
        return EngineError(
            f"{self._told(fault).removesuffix('.')}{_advice(fault.sentence, self._section, self._config.max_tokens_key)}"
        )

    def _told(self, fault: Fault) -> str:
        return f"{self._config.address} with model {self._config.model}: {fault.sentence}"

    def _shown(self, sentence: str) -> str:
        text = hide(" ".join(sentence.split()), self._secrets)
        return text if len(text) <= MAX_SENTENCE_CHARS else f"{text[: MAX_SENTENCE_CHARS - 3]}..."


def _characters(content: Any) -> int:
    """Return the number of characters in a prompt, in messages, or in the parts of one."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(map(_characters, content))
    if "image_url" in content:
        return _CHARS_PER_IMAGE
    return _characters(content.get("content") or content.get("text") or "")


def _advice(sentence: str, section: str, sent_key: str | None) -> str:
    """Return the key to change where a server's sentence names a parameter."""
    other_key = "max_tokens" if sent_key == "max_completion_tokens" else "max_completion_tokens"
    keys = {
        "max_completion_tokens": f"max_tokens_key: {other_key}",
        "max_tokens": "max_tokens_key: null",
        "temperature": "temperature: null",
        "logprobs": "logprobs: false",
    }
    return next((f"; set {section}.{key}" for word, key in keys.items() if word in sentence), "")
