"""JSON as text in one spelling: the spacing of `json.dumps`, keys in their order, numbers as they were written."""

import json
from decimal import Decimal

from ocrray.text.strict_json import WrittenNumber, parse_json


class Members(list[tuple[str, object]]):
    """Members of an object in their order, those whose key stands twice among them."""

    __slots__ = ()


def parse(text: str) -> object:
    """Return the tree of a JSON text: Members, list, str, WrittenNumber (NaN among them), bool or None.

    Raises:
        ValueError, RecursionError: when it is no JSON, or nested too deeply.
    """
    tree: object = json.loads(
        text,
        parse_int=WrittenNumber,
        parse_float=WrittenNumber,
        parse_constant=WrittenNumber,
        object_pairs_hook=Members,
    )
    return tree


def spell(value: object) -> str:
    """Return the JSON text of a tree or a Python value; decimals are numbers, dates and other objects their string.

    Raises:
        RecursionError: when it is nested too deeply.
    """
    if isinstance(value, dict | Members):
        members = value.items() if isinstance(value, dict) else value
        return "{" + ", ".join(f"{_plain(str(key))}: {spell(child)}" for key, child in members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(spell, value)) + "]"
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    return str(value) if isinstance(value, WrittenNumber) else _plain(value)


def canonical(text: str, *, keep_nulls: bool = True) -> str:
    """Return JSON text in its one spelling; `keep_nulls=False` leaves out the members of objects that are null.

    Raises:
        ValueError, RecursionError: when `text` is no JSON (NaN is none), an object has a key twice, or it is nested too deeply.
    """
    value: object = parse_json(text)
    return spell(value if keep_nulls else _without_nulls(value))


def member(text: str, key: str) -> str | None:
    """Return the value of a key of an object in its one spelling, the last one where the key stands several times.

    Raises:
        ValueError, RecursionError: when `text` is no JSON, or nested too deeply.
    """
    tree = parse(text)
    values = [value for name, value in tree if name == key] if isinstance(tree, Members) else []
    return spell(values[-1]) if values else None


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
