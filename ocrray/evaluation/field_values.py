"""The fields that an answer holds: a JSON object, or lines of `name: value`."""

import json
import re
from collections.abc import Mapping
from typing import Any

_FENCED = re.compile(r"```[a-zA-Z]*\n(.*)\n```", re.DOTALL)
_LINE = re.compile(r"\s*([^\s:][^:]{0,99}?)\s*:\s*(.*)")


def read_fields(text: str) -> dict[str, str] | None:
    """The values by name, names in lower case; None where the text is neither a JSON object nor lines that begin with a name.

    A name inside an object or a list is `total.net`; what a list says of one name is one value, line by line. Numbers stay as
    they are written; null and blank values are no values. A line without a colon goes on with the value before it. A JSON
    object may stand in a Markdown fence.
    """
    text = text.strip().removeprefix("\ufeff").strip()
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1].strip()
    return _of_json(text) if text.startswith(("{", "[")) else _of_lines(text)


def fields_of(values: Mapping[str, str | None]) -> dict[str, str]:
    """The same of a row's own columns: without those that are null or blank."""
    return {name: value for name, value in values.items() if value and not value.isspace()}


def _of_json(text: str) -> dict[str, str] | None:
    try:
        document = json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse)
        if not isinstance(document, dict):
            return None
        found: dict[str, list[str]] = {}
        _gather(document, "", found)
    except (ValueError, RecursionError):
        return None
    return {name: "\n".join(values) for name, values in found.items()}


def _refuse(constant: str) -> None:
    """NaN and Infinity are in Python's JSON, and in no one else's."""
    raise ValueError(constant)


def _gather(value: Any, name: str, found: dict[str, list[str]]) -> None:
    match value:
        case dict():
            for key, part in value.items():
                key = " ".join(key.split()).lower()
                _gather(part, f"{name}.{key}" if name else key, found)
        case list():
            for part in value:
                _gather(part, name, found)
        case bool():
            found.setdefault(name, []).append(str(value).lower())
        case str() if value.strip():
            found.setdefault(name, []).append(value.strip())


def _of_lines(text: str) -> dict[str, str] | None:
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
    return fields_of(found) if found else None
