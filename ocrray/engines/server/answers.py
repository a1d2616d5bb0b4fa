"""Bodies of a server's answers, in either API's form; anything may be missing or of another type."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocrray.engines.server.faults import Fault, Scope, of_error_in_body

EMPTY = "empty_answer"

_WHITE_SPACE = " \t\r\n\f\v"


@dataclass(frozen=True, slots=True)
class Answer:
    """Text that a model wrote, or the reason why there is none, with the server's sentence.

    Token counts are 0 where the server gives none. `pieces` are the tokens as text and `probabilities` (0..1) theirs, empty
    where none were asked for or given. `partial` is the beginning of a text that reached its limit of tokens.
    """

    text: str | None
    reason: str = ""
    sentence: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    pieces: Sequence[str] = ()
    probabilities: Sequence[float] = ()
    partial: str = ""


def read(body: bytes) -> Answer | Fault:
    """Return what the body of a success says; a Fault where it is no answer of this kind, an error, or empty."""
    tree = _tree(body)
    if not isinstance(tree, Mapping):
        return Fault(Scope.PASSING, "malformed_answer", "the answer is no JSON of an OpenAI-style server")
    choice = _first(tree.get("choices"))
    message = _mapping(choice.get("message"))
    if error := choice.get("error") or tree.get("error"):
        return of_error_in_body(error)
    if not choice:
        return Fault(Scope.PASSING, "malformed_answer", "the answer holds no choices")
    usage = _mapping(tree.get("usage"))
    counts = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    end, refusal = choice.get("finish_reason"), message.get("refusal")
    text = _text(message.get("content") if message else choice.get("text"))
    if end == "length":
        return Answer(None, "unfinished", "", *counts, partial=text)
    if end == "content_filter" or (isinstance(refusal, str) and refusal.strip() and not text):
        return Answer(None, "refused", " ".join(refusal.split()) if isinstance(refusal, str) else "", *counts)
    if end == "error":
        return Fault(Scope.PASSING, "error_in_answer", "the answer ended with an error")
    if not text.strip(_WHITE_SPACE):
        return Fault(Scope.PASSING, EMPTY, "the answer holds no text")
    return Answer(text, "", "", *counts, *_token_probabilities(choice.get("logprobs")))


def _tree(body: bytes) -> Any:
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if text.startswith(("data:", "event:", ":")):
        return _joined_events(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _joined_events(text: str) -> Any:
    """Return the events of a server that streams without being asked to as one answer."""
    whole: dict[str, Any] = {}
    parts: list[str] = []
    end = None
    for line in text.splitlines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data in ("", "[DONE]"):
            continue
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(event, Mapping):
            return None
        whole |= {name: value for name, value in event.items() if value is not None}
        choice = _first(event.get("choices"))
        if isinstance(choice.get("message"), Mapping):
            return event
        delta = choice.get("delta")
        parts.append(_text(delta.get("content") if isinstance(delta, Mapping) else choice.get("text")))
        end = choice.get("finish_reason") or end
    if "error" in whole:
        return whole
    # A stream that was cut off has no end; its text would be half an answer.
    choices = [{"message": {"content": "".join(parts)}, "finish_reason": end}] if end else []
    return {**whole, "choices": choices}


def _first(choices: Any) -> Mapping[str, Any]:
    return _mapping(choices[0]) if isinstance(choices, list) and choices else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(content: Any) -> str:
    """Return the text of a content: a string, or a list of parts of which those of type text count."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, Mapping) and part.get("type", "text") in ("text", "output_text")]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _count(value: Any) -> int:
    try:
        return min(2**31 - 1, max(0, int(value)))
    except (TypeError, ValueError, OverflowError):
        return 0


def _token_probabilities(found: Any) -> tuple[list[str], list[float]]:
    try:
        if found.get("content"):
            pairs = [(token["token"], token["logprob"]) for token in found["content"]]
        else:
            pairs = list(zip(found["tokens"], found["token_logprobs"], strict=True))
        return [str(token) for token, _ in pairs], [min(1.0, math.exp(logprob)) for _, logprob in pairs]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return [], []
