"""Nested values in the cells of training tables, whichever parser or writer made them."""

import ast

from ocrray.text import json_text
from ocrray.text.json_text import Members


def nested(text: str) -> object:
    """Return what a string holds: a tree of JSON, a list or dict as Python prints it (pandas puts these into CSV), or itself."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return json_text.parse(text)
    except (ValueError, RecursionError):
        pass
    try:
        value: object = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    return value


def as_object(value: object) -> dict[str, object] | None:
    """Return an object as a dict; None for another value."""
    return dict(value) if isinstance(value, dict | Members) else None


def as_list(value: object) -> list[object] | None:
    """Return an array as a list; None for another value."""
    return list(value) if isinstance(value, list) and not isinstance(value, Members) else None
