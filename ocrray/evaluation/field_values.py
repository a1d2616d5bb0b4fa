"""Fields of a document in one form, whatever they come from: JSON, lines of `name: value`, or nested columns of a corpus."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, Union

from ocrray.text.normalise import for_scoring

Document = dict[str, list[Union[str, "Document"]]]
"""Values by name, in lower case: always lists, of texts and of documents. Empty ones and nulls are left out."""

_FENCED = re.compile(r"```[a-zA-Z]*\n(.*)\n```", re.DOTALL)
_LINE = re.compile(r"\s*([^\s:][^:]{0,99}?)\s*:\s*(.*)")
_MAX_DEPTH = 100


def read_document(
    text: str, normalise: Callable[[str], str] = for_scoring, *, numbers_as_written: bool = True
) -> Document | None:
    """Parse an answer; None unless it is a JSON object or lines that begin with a name.

    JSON may stand in a Markdown code fence. It is no JSON if it gives a name two values, or is nested deeper than 100. Numbers
    keep their spelling, so that 1.10 is not 1.1, unless they are to be compared with those of a typed column. In lines of
    `name: value` a line without a colon continues the value before it.
    """
    text = text.strip().removeprefix("\ufeff").strip()
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1].strip()
    try:
        values = _parse_json(text, numbers_as_written) if text.startswith(("{", "[")) else _parse_lines(text)
        return None if values is None else as_document(values, normalise)
    except (ValueError, RecursionError):
        return None


def as_document(fields: Mapping[str, object], normalise: Callable[[str], str] = for_scoring) -> Document:
    """Return nested mappings and lists as a document, each value as normalised text.

    Raises: ValueError: when they are nested deeper than 100.
    """
    return _mapping(fields, normalise, _MAX_DEPTH)


def leaves(values: Document, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of every value: `{"total": [{"net": ["5"]}]}` has `total.net`. Rows of a list share their paths."""
    for name, items in values.items():
        for item in items:
            where = f"{path}.{name}" if path else name
            yield from [(where, item)] if isinstance(item, str) else leaves(item, where)


def only(values: Document, paths: set[str], path: str = "") -> Document:
    """Return the document with the values at these paths only."""
    kept: Document = {}
    for name, items in values.items():
        where = f"{path}.{name}" if path else name
        below = [item if isinstance(item, str) else only(item, paths, where) for item in items]
        if found := [item for item in below if (where in paths if isinstance(item, str) else item)]:
            kept[name] = found
    return kept


def _mapping(fields: Mapping[str, object], normalise: Callable[[str], str], depth: int) -> Document:
    if not depth:
        raise ValueError("nested too deeply")
    found: Document = {}
    for key, value in fields.items():
        if items := list(_items(value, normalise, depth - 1)):
            found.setdefault(" ".join(str(key).split()).lower(), []).extend(items)
    return found


def _items(value: object, normalise: Callable[[str], str], depth: int) -> Iterator[str | Document]:
    """Yield a value's texts and documents; lists within lists are one list."""
    if isinstance(value, Mapping):
        if below := _mapping(value, normalise, depth):
            yield below
    elif isinstance(value, list | tuple):
        if not depth:
            raise ValueError("nested too deeply")
        for child in value:
            yield from _items(child, normalise, depth - 1)
    elif value is not None and (text := normalise(_spelled(value)).strip()):
        yield text


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _parse_json(text: str, numbers_as_written: bool) -> dict[str, object] | None:
    spelled = str if numbers_as_written else None
    document = json.loads(
        text,
        parse_float=spelled,
        parse_int=spelled,
        parse_constant=_refuse_constant,
        object_pairs_hook=_without_repetition,
    )
    return document if isinstance(document, dict) else None


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Python's parser keeps the last of several values of one name."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name has two values")
    return values


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
    return found or None
