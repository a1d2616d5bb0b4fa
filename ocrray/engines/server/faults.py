"""Faults of a server's answers: whether one is that of the text, of every request, or one that may pass."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any

MAX_SENTENCE_CHARS = 300


class Scope(Enum):
    """Range of a fault."""

    TEXT = auto()
    """The server refuses this text: it is too long for the model, or was flagged."""
    RUN = auto()
    """The server refuses every request until somebody acts: no credit, a suspended account."""
    DENIED = auto()
    """The server refuses the key; if it took it before, it may again."""
    SETTINGS = auto()
    """The server refuses the model or a parameter, which every request names, unless it has answered others."""
    UNCLEAR = auto()
    """The server refuses this request; whether it would refuse others, an attempt shows."""
    PASSING = auto()
    """No answer, or none that can be read; another attempt may get one."""
    OVERLOADED = auto()
    """The server asks to be left alone for a while."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One request without an answer.

    `reason` is a word for the row (`too_long`, `http_422`), `sentence` the server's own, in one line; `retry_after_s` is what the
    server asks for.
    """

    scope: Scope
    reason: str
    sentence: str = ""
    retry_after_s: float | None = None


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Sentences of OpenAI, Azure, Anthropic, Gemini, OpenRouter, Groq, Mistral, DeepSeek, Together, vLLM, SGLang, llama.cpp, Ollama.
_TOO_LONG = _any_of(
    r"context.{0,20}(?:length|size|window)",
    r"maximum (?:context|input|prompt|model) length",
    r"too many (?:input )?tokens",
    r"(?:prompt|input|message|text|request|content|payload|string|entity)s? (?:is |are |was )?(?:too (?:long|large)|exceed)",
    r"max_(?:completion_)?tokens.{0,20} too large",
    r"max(?:imum)?_?(?:model|seq)_?len",
    r"string_above_max_length",
    r"reduce the length",
    r"exceed\w* (?:the )?(?:maximum|max|limit|available)\b.{0,40}(?:token|length|context|character)",
    r"exceed_context",
    r"(?:must|should) (?:be|have) (?:less|fewer|shorter|at most).{0,40}(?:token|character)",
    r"at most \d+ (?:token|character)",
)
_FLAGGED = _any_of(
    r"flagged",
    r"moderat",
    r"content[_ ]?(?:filter|policy|management|violation)",
    r"responsible_?ai",
    r"safety",
    r"prohibited_content",
    r"inappropriate",
    r"inspection_failed",
    r"violat\w+ .{0,40}(?:polic|usage|terms)",
    r"usage polic",
    r"blocked (?:by|due|for)",
    r"harmful",
    r"jailbreak",
)
_NO_CREDIT = _any_of(
    r"insufficient[_ ](?:\w+[_ ])?(?:quota|credit|balance|fund)",
    r"billing",
    r"payment required",
    r"credit balance",
    r"(?:out of|no(?: more)?|not enough) credit",
    r"exceeded your current quota",
    r"spend(?:ing)? limit",
    r"hard limit",
    r"budget (?:has been )?exceeded",
    r"balance\b",
)
_BAD_KEY = _any_of(
    r"(?:invalid|incorrect|missing|expired|revoked|wrong)[_ ](?:\w+[_ ])?(?:api[_ -]?key|credential|auth|access[_ -]?token)",
    r"api[_ -]?key.{0,30}(?:invalid|incorrect|missing|expired|revoked|not (?:valid|found|provided))",
    r"no api[_ -]?key",
    r"unauthori[sz]ed",
    r"account.{0,20}(?:deactivated|suspended|disabled)",
    r"unsupported_country|country, region",
    r"not? .{0,20}access to (?:the )?model",
)
_BAD_MODEL = _any_of(
    r"model_not_(?:found|exist)",
    r"(?:unknown|invalid|no such|nonexistent|unrecognized) model",
    r"not a valid model",
    r"model\b.{0,120}(?:not (?:exist|found|available|supported|loaded|served)|n[o']t exist|unavailable|(?:deprecated|removed))",
    r"no endpoints found",
    r"deployment.{0,40}not exist",
    r"decommissioned",
    r"no (?:available )?channel",
)
_BAD_PARAMETER = _any_of(
    r"(?:unsupported|unknown|unrecogni[sz]ed|unexpected|invalid)[_ ](?:request )?(?:parameter|value|argument|field|name|key)",
    r"(?:is|are) not (?:supported|permitted|allowed)",
    r"extra (?:fields|inputs|field)",
    r"does not support",
    r"additional properties",
    r"chat template",
)
_SENTENCES = ("message", "msg", "detail", "error", "errors", "error_description", "reason", "title")
_PARAMETER_NAMES = frozenset(
    ("max_tokens", "max_completion_tokens", "temperature", "logprobs", "top_logprobs", "model", "stream", "seed", "top_p", "stop")
)
_RETRY_SOON = re.compile(r"(?i)(?:try|retry)(?: again)?(?: in| after)? (\d+(?:\.\d+)?) ?(ms|m(?:in)?|s|h)?\b")
_UNITS_S = {"ms": 0.001, "m": 60.0, "min": 60.0, "s": 1.0, "h": 3600.0, "": 1.0}
_LOST_STATUSES = (408, 409, 425)
_OVERLOADED_STATUSES = (429, 503, 529)


def of_status(status: int, body: bytes, headers: Mapping[str, str]) -> Fault:
    """Return the fault of an answer whose status is no success; `headers` are those of the answer, by lower-case names."""
    details = _details(body)
    sentence = details.sentence
    if 300 <= status < 400:
        sentence = f"redirects to {headers.get('location', 'nowhere')}"
    retry_after_s = _retry_after_s(headers, sentence)
    scope, reason = _scope(status, details, retry_after_s)
    told = f"status {status}: {sentence}" if sentence else f"status {status}"
    return Fault(scope, reason or f"http_{status}", told, retry_after_s)


def of_error_in_body(error: Any) -> Fault:
    """Return the fault that the body of a success names (`{"error": ...}`), as proxies of several providers send it."""
    details = _details(json.dumps({"error": error}).encode())
    code = int(details.code) if re.fullmatch(r"[1-5]\d\d", details.code) else 500
    scope, reason = _scope(code, details, None)
    if scope in (Scope.OVERLOADED, Scope.PASSING) or not reason:  # the server itself has answered
        scope, reason = (Scope.PASSING if scope in (Scope.OVERLOADED, Scope.PASSING) else scope), "error_in_answer"
    return Fault(scope, reason, details.sentence or "the answer is an error without a message")


@dataclass(frozen=True, slots=True)
class _Details:
    sentence: str
    code: str = ""
    kind: str = ""
    parameter: str = ""

    @property
    def everything(self) -> str:
        return f"{self.code} {self.kind} {self.sentence}"


def _scope(status: int, details: _Details, retry_after_s: float | None) -> tuple[Scope, str]:
    """Return the scope, and the reason unless it is the status."""
    said = details.everything
    if status == 401:
        return Scope.DENIED, ""
    if status == 402 or "insufficient_quota" in said:
        return Scope.RUN, ""
    if status == 413:
        return Scope.TEXT, "too_long"
    if status == 429:
        if re.search(r"(?i)request too large|must be reduced", said):
            return Scope.TEXT, "too_long"
        if retry_after_s is None and _NO_CREDIT.search(said) and not re.search(r"(?i)per (?:minute|second)|rate.?limit", said):
            return Scope.RUN, ""
    if status in _OVERLOADED_STATUSES:
        return Scope.OVERLOADED, ""
    if status >= 500 and status not in (501, 505):
        return Scope.PASSING, ""
    if status in _LOST_STATUSES:
        return Scope.PASSING, ""
    return _scope_of_refusal(details)


def _scope_of_refusal(details: _Details) -> tuple[Scope, str]:
    """Tell the refusals of 400, 403, 404, 422 and the like apart by what they say."""
    said, parameter = details.everything, details.parameter
    is_about_text = parameter.split(".")[0].split("[")[0] in ("messages", "prompt", "input", "content")
    if _TOO_LONG.search(said):
        return Scope.TEXT, "too_long"
    if _FLAGGED.search(said):
        return Scope.TEXT, "refused"
    if _NO_CREDIT.search(said):
        return Scope.RUN, ""
    if _BAD_KEY.search(said):
        return Scope.DENIED, ""
    is_of_settings = _BAD_MODEL.search(said) or _BAD_PARAMETER.search(said) or parameter.split(".")[-1] in _PARAMETER_NAMES
    return Scope.SETTINGS if is_of_settings and not is_about_text else Scope.UNCLEAR, ""


def _details(body: bytes) -> _Details:
    """Return what an error says: `{"error": {...}}` and its many relatives, or the title of a page of HTML."""
    text = body[:100_000].decode("utf-8", "replace")
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return _Details(_one_line(_page_text(text)))
    fields: dict[str, str] = {}
    for name, value in _named_values(tree, depth=6):
        fields.setdefault(name, value)
    sentence = next((fields[name] for name in _SENTENCES if name in fields), "")
    if raw := fields.get("raw"):  # OpenRouter: what the provider behind it said
        sentence = f"{sentence}: {raw}" if sentence else raw
    code = fields.get("code") or fields.get("status") or fields.get("error_code") or ""
    parameter = fields.get("param") or fields.get("loc", "").removeprefix("body.")
    if parameter and parameter not in sentence:
        sentence = f"{parameter}: {sentence}"
    return _Details(_one_line(sentence), code, fields.get("type", ""), parameter)


def _named_values(tree: Any, depth: int, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values of a tree, those below `error` before its neighbours, then values before objects and lists."""
    if isinstance(tree, list) and name == "loc":
        yield name, ".".join(map(str, tree))
    elif isinstance(tree, list) and depth:
        for value in tree:
            yield from _named_values(value, depth - 1, name)
    elif isinstance(tree, Mapping) and depth:
        for key in sorted(tree, key=lambda key: (key not in ("error", "errors", "loc"), isinstance(tree[key], dict | list))):
            yield from _named_values(tree[key], depth - 1, key)
    elif isinstance(tree, str | int | float) and not isinstance(tree, bool) and str(tree).strip():
        yield name or "message", str(tree)


def _page_text(text: str) -> str:
    if not re.search(r"(?i)<(?:!doctype|html|head|body|title|h1)\b", text):
        return text
    if title := re.search(r"(?is)<(title|h1)\b[^>]*>(.*?)</\1>", text):
        return f"a page of HTML: {re.sub(r'<[^>]*>', ' ', title[2])}"
    return "a page of HTML: " + re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text)


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _retry_after_s(headers: Mapping[str, str], sentence: str) -> float | None:
    """Return the seconds that the server asks to wait: `retry-after-ms`, `retry-after` as seconds or date, or in its sentence."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if value := headers.get("retry-after"):
            if re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", value):
                return float(value)
            moment = parsedate_to_datetime(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        pass
    found = _RETRY_SOON.search(sentence)
    return float(found[1]) * _UNITS_S[(found[2] or "").lower()] if found else None
