"""JSON as a model wrote it: nothing is guessed, and nothing vanishes."""

import json
from typing import Any

_MAX_DEPTH = 100


class WrittenNumber(str):
    """A JSON number, in the characters that it was written in: `1.10` is not 1.1."""

    __slots__ = ()


def parse_json(text: str) -> Any:
    """Parse JSON, with every number as a WrittenNumber.

    Raises: ValueError: when the text is no JSON, or an object has two values of one name.
    """
    try:
        return json.loads(
            text,
            parse_int=WrittenNumber,
            parse_float=WrittenNumber,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def close_json(text: str) -> str | None:
    """Return a JSON object that was cut off, ended behind its last value that is surely whole; None where there is none.

    A value is whole if a comma or its own closing bracket follows: `12` may have been the beginning of `120`.
    """
    if not text.startswith("{") or (cut := _last_cut(text)) is None:
        return None
    end, closing = cut
    closed = text[:end] + closing
    try:
        parse_json(closed)
    except ValueError:  # not only cut off
        return None
    return closed


def _last_cut(text: str) -> tuple[int, str] | None:
    """Return the end of the last whole value, and the brackets that close what is open there; None where all is closed."""
    cut = None
    closing = ""
    inside, escaped = False, False
    for position, char in enumerate(text):
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "{[":
            if len(closing) == _MAX_DEPTH:
                return None
            closing = ("}" if char == "{" else "]") + closing
        elif char in "}]":
            if closing[:1] != char or len(closing) == 1:
                return None
            closing = closing[1:]
            cut = position + 1, closing
        elif char == ",":
            cut = position, closing
    return cut


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{json.dumps(repeated, ensure_ascii=False)} twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
