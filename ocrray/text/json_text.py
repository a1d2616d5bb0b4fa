"""JSON as text in one spelling: the spacing of `json.dumps`, keys in their order, numbers as they were written."""

import json
from decimal import Decimal


class Number(str):
    """Number as it was written: `1.10` is not 1.1, and `1e2` not 100."""

    __slots__ = ()


class Members(list[tuple[str, object]]):
    """Members of an object in their order, those whose key stands twice among them."""

    __slots__ = ()


def parse(text: str, *, constants: bool = True) -> object:
    """Return the tree of a JSON text: Members, list, str, Number, bool or None.

    Raises:
        ValueError, RecursionError: when it is no JSON (NaN is none where `constants` is false), or nested too deeply.
    """
    tree: object = json.loads(
        text,
        parse_int=Number,
        parse_float=Number,
        parse_constant=Number if constants else _refuse_constant,
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
    return str(value) if isinstance(value, Number) else _plain(value)


def canonical(text: str, *, keep_nulls: bool = True) -> str:
    """Return JSON text in its one spelling; `keep_nulls=False` leaves out the members of objects that are null.

    Raises:
        ValueError, RecursionError: when `text` is no JSON (NaN is none), an object has a key twice, or it is nested too deeply.
    """
    tree = parse(text, constants=False)
    _require_unique_keys(tree)
    return spell(tree if keep_nulls else _without_nulls(tree))


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


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _require_unique_keys(tree: object) -> None:
    if isinstance(tree, Members):
        keys = [key for key, _ in tree]
        if len(set(keys)) < len(keys):
            raise ValueError("a key stands twice in one object")
        for _, value in tree:
            _require_unique_keys(value)
    elif isinstance(tree, list):
        for value in tree:
            _require_unique_keys(value)


def _without_nulls(tree: object) -> object:
    if isinstance(tree, Members):
        return Members((key, _without_nulls(value)) for key, value in tree if value is not None)
    return [_without_nulls(value) for value in tree] if isinstance(tree, list) else tree
