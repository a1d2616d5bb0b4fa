"""Settings of an OpenAI-style server: what its requests hold, where it is, and how patiently it is asked."""

import os
import re
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit
from urllib.request import getproxies

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_serializer, field_validator

from ocrray.config import StrictModel
from ocrray.redaction import HIDDEN, hide, hide_values, spellings

_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_FROM_ENVIRONMENT = re.compile(r"\$\{(\w+)\}")
_PACE = (
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "timeout_s",
    "max_retries",
    "max_wait_s",
    "stop_after_refusals",
)
PATIENCE_KEYS = frozenset(("api_key_env", "headers", *_PACE))
"""Keys of `ServerConfig` that change no answer."""

_OWN_KEYS = ("messages", "prompt", "model", "stream")


class RequestConfig(StrictModel):
    """Content of each request to a language model."""

    model: str
    """Name of the model on the server."""
    api: Literal["chat", "completions"] = "chat"
    """`chat` sends the prompt's instruction and the text as messages, `completions` the rendered prompt."""
    temperature: NonNegativeFloat | None = 0.0
    """Temperature of sampling; 0 decodes greedily. null: not sent, for servers that refuse any but their own."""
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = "max_tokens"
    """Name under which the limit of the output is sent; newer OpenAI models want `max_completion_tokens`. null: not sent."""
    logprobs: bool = False
    """Ask for the probability of each token, which the guard weighs; not every server returns it."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further keys of each request, for instance `{chat_template_kwargs: {enable_thinking: false}}` or `{reasoning_effort: low}`;
    they take the place of those that ocrray sends."""

    @field_validator("extra_body")
    @classmethod
    def _no_own_keys(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if own := [key for key in _OWN_KEYS if key in extra]:
            raise ValueError(f"{', '.join(own)}: ocrray sets it itself")
        return extra

    @field_serializer("extra_body")
    def _record_extra_body(self, extra: dict[str, Any]) -> Any:
        return hide_values(extra)

    def body(self, content: str | list[dict[str, Any]], max_tokens: int | None) -> dict[str, Any]:
        """Return the JSON of a request: `content` is a prompt for `completions`, messages (or one user message) for `chat`."""
        body: dict[str, Any] = {"model": self.model}
        if self.api == "completions":
            body["prompt"] = content
        else:
            body["messages"] = [{"role": "user", "content": content}] if isinstance(content, str) else content
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens_key is not None and max_tokens is not None:
            body[self.max_tokens_key] = max_tokens
        if self.logprobs:
            body["logprobs"] = 1 if self.api == "completions" else True
        return {**body, **self.extra_body}

    @property
    def endpoint(self) -> str:
        """Path of the API below `/v1`."""
        return "completions" if self.api == "completions" else "chat/completions"


class ServerConfig(RequestConfig):
    """A server, and the patience with it."""

    base_url: str
    """Address of the API, up to and with `/v1`. A user and password in it, and parameters (`?api-version=...`), are sent with
    each request, and recorded nowhere."""
    api_key_env: str | None = None
    """Environment variable that holds the key; null: the server needs none. The key itself never stands in a config."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Further headers of each request; `${NAME}` in a value stands for an environment variable. Values are recorded nowhere."""
    concurrency: PositiveInt = 16
    """Requests in flight from one worker."""
    requests_per_minute: PositiveFloat | None = None
    """Most requests a minute from one worker; null: no limit but the server's own, which is kept to by waiting."""
    tokens_per_minute: PositiveFloat | None = None
    """Most tokens a minute, read and written, from one worker; null as above."""
    timeout_s: PositiveFloat = 120.0
    """Seconds to wait for one answer, to its last byte."""
    max_retries: NonNegativeInt = 4
    """Further attempts per text, with growing pauses, where an answer is lost, late, empty or an error that may pass."""
    max_wait_s: NonNegativeFloat | None = None
    """Seconds to wait, after these attempts, for a server that cannot be reached, is overloaded (429, 503) or answers no text at
    all; then the run ends, and can be resumed. null: as long as `workers.max_wait_s`."""
    stop_after_refusals: PositiveInt | None = 10
    """Texts in a row without an answer after which the run ends, because the fault then is hardly theirs. null: never."""

    @field_serializer("base_url")
    def _record_base_url(self, url: str) -> str:
        return hide(url)

    @field_serializer("headers")
    def _record_headers(self, headers: dict[str, str]) -> dict[str, str]:
        return dict.fromkeys(headers, HIDDEN)

    def problems(self, section: str) -> list[str]:
        """Return a line for each problem of the address, the key and the headers, none of which shows a secret."""
        problems = []
        try:
            url = urlsplit(self.base_url)
            is_address = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
        except ValueError:
            is_address = False
        if not is_address:
            problems.append(f"{section}.base_url: {hide(self.base_url)} is no http(s) address")
        if self.api_key_env is not None and (problem := _key_problem(self.api_key_env)):
            problems.append(f"{section}.api_key_env: {problem}")
        for name, value in self.headers.items():
            if missing := [variable for variable in _FROM_ENVIRONMENT.findall(value) if not os.environ.get(variable)]:
                problems.append(f"{section}.headers.{name}: the environment variable {_shown(missing[0])} is not set")
            elif not re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", name, re.ASCII) or not _is_sendable(_expanded(value)):
                problems.append(f"{section}.headers.{name}: holds characters that no header can hold")
        return problems

    @property
    def address(self) -> str:
        """Address without user, password, parameters and final slash."""
        url = urlsplit(self.base_url)
        return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path.rstrip("/"), "", ""))

    @property
    def parameters(self) -> str:
        """Parameters of the address, to be sent with each request."""
        return urlsplit(self.base_url).query

    def all_headers(self) -> dict[str, str]:
        """Return the headers with the key in them, for which the environment is read."""
        headers = {name: _expanded(value) for name, value in self.headers.items()}
        named = {name.lower() for name in headers}
        if self.api_key_env is not None and "authorization" not in named:
            headers["Authorization"] = f"Bearer {_key(self.api_key_env)}"
        return headers

    def user_info(self) -> tuple[str, str] | None:
        """Return user and password of the address; None without, or where `api_key_env` names a key."""
        url = urlsplit(self.base_url)
        if self.api_key_env is not None or not (url.username or url.password):
            return None
        return unquote(url.username or ""), unquote(url.password or "")

    def secrets(self) -> set[str]:
        """Return all that must not be shown: the key, those in address, headers and body, and passwords of proxies."""
        values = [*self.all_headers().values(), *(value.removeprefix("Bearer ") for value in self.all_headers().values())]
        values += [value for name, value in parse_qsl(self.parameters) if hide(f"?{name}={value}") != f"?{name}={value}"]
        if self.api_key_env is not None:
            values.append(os.environ.get(self.api_key_env, ""))
        for address in (self.base_url, *getproxies().values()):
            user, _, password = address.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")
            values += [part for one in (password or user,) for part in (one, unquote(one))]
            values.append(f"{unquote(user)}:{unquote(password)}" if password else "")
        values += _leaves_hidden(self.extra_body, hide_values(self.extra_body))
        return set().union(*map(spellings, values))


def _key(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _key_problem(variable: str) -> str:
    if not _NAME.fullmatch(variable):
        return "names the environment variable that holds the key; this is no name of one (if it is the key, put it into one)"
    key = _key(variable)
    if not key:
        return f"the environment variable {_shown(variable)} is not set"
    if not _is_sendable(key) or len(key.split()) > 1:
        return f"the environment variable {variable} holds more than a key: a line feed, a space or another odd character"
    return ""


def _shown(variable: str) -> str:
    """Return the name of a variable, unless it may be a key that was written in its place."""
    is_word = len(variable) <= 40 and sum(char.isdigit() for char in variable) <= 2
    return variable if is_word and ("_" in variable or len(variable) <= 16) else "named there"


def _is_sendable(value: str) -> bool:
    return all(" " <= char <= "~" for char in value) and value == value.strip()


def _expanded(value: str) -> str:
    return _FROM_ENVIRONMENT.sub(lambda found: os.environ.get(found[1], "").strip(), value)


def _leaves_hidden(tree: Any, hidden: Any) -> list[str]:
    if isinstance(tree, dict):
        return [leaf for name in tree for leaf in _leaves_hidden(tree[name], hidden[name])]
    if isinstance(tree, list):
        return [leaf for one, other in zip(tree, hidden, strict=True) for leaf in _leaves_hidden(one, other)]
    return [tree] if isinstance(tree, str) and hidden == HIDDEN else []
