"""Fields as flat dictionaries: from JSON objects, from lines of `name: value`, and from nested rows of a corpus."""

import json
import re
from collections.abc import Mapping
from typing import NoReturn

_FENCED = re.compile(r"```[a-zA-Z]*\n(.*)\n```", re.DOTALL)
_LINE = re.compile(r"\s*([^\s:][^:]{0,99}?)\s*:\s*(.*)")


def read_fields(text: str) -> dict[str, str] | None:
    """Parse an answer into values by flattened path; None unless it is a JSON object or lines that begin with a name.

    JSON may stand in a Markdown code fence and is flattened as by `flatten`; numbers keep their spelling. In lines of
    `name: value` a line without a colon continues the value before it.
    """
    text = text.strip().removeprefix("\ufeff").strip()
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1].strip()
    return _parse_json(text) if text.startswith(("{", "[")) else _parse_lines(text)


def flatten(fields: Mapping[str, object]) -> dict[str, str]:
    """Flatten nested mappings and lists into values by path, in lower case: `{"total": {"net": 5}}` → `{"total.net": "5"}`.

    Values of a list share one path and are joined by line feeds. Null and blank values are left out.

    Raises: RecursionError: when the nesting is deeper than Python's stack.
    """
    found: dict[str, list[str]] = {}
    _collect(fields, "", found)
    return {path: "\n".join(values) for path, values in found.items()}


def _collect(value: object, path: str, found: dict[str, list[str]]) -> None:
    if isinstance(value, Mapping):
        for key, child in value.items():
            name = " ".join(str(key).split()).lower()
            _collect(child, f"{path}.{name}" if path else name, found)
    elif isinstance(value, list | tuple):
        for child in value:
            _collect(child, path, found)
    elif value is not None:
        text = str(value).lower() if isinstance(value, bool) else str(value).strip()
        if text:
            found.setdefault(path, []).append(text)


def _parse_json(text: str) -> dict[str, str] | None:
    try:
        document = json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse_constant)
        return flatten(document) if isinstance(document, dict) else None
    except (ValueError, RecursionError):
        return None


def _refuse_constant(constant: str) -> NoReturn:
    """Python's parser accepts NaN and Infinity, which are not JSON."""
    raise ValueError(constant)


def _parse_lines(text: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    name = ""
    for line in filter(str.strip, text.splitlines()):
        if match := _LINE.fullmatch(line):
            name, value = " ".join(match[1].split()).lower(), match[2]
        elif name:
            value = line
        else:
            return None
        found[name] = f"{found[name]}\n{value.strip()}" if found.get(name) else value.strip()
    return flatten(found) if found else None
