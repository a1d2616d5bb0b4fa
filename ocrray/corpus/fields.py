"""Extracted fields of any schema, flattened: a path such as `event.place` for every value that is not itself an object."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def field_types(data_type: pa.DataType, path: str = "") -> dict[str, pa.DataType]:
    """Return the type of every path of a struct; a list is one path, whatever it holds."""
    if not pa.types.is_struct(data_type):
        return {path: data_type}
    return {name: kind for field in data_type for name, kind in field_types(field.type, _join(path, field.name)).items()}


def count_fields(values: pa.Array, path: str = "") -> dict[str, int]:
    """Count, for every path of a struct array, the rows that have a value: neither null, nor an empty string or list."""
    if pa.types.is_struct(values.type):
        # `flatten` lets a null object make its members null; `field` does not.
        children = zip(values.type, values.flatten(), strict=True)
        return {name: n for field, child in children for name, n in count_fields(child, _join(path, field.name)).items()}
    if _is_list(values.type):
        values = pc.list_value_length(values)
        return {path: int(np.count_nonzero(values.fill_null(0)))}
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return {path: int(np.count_nonzero(pc.utf8_length(values).fill_null(0)))}
    return {path: len(values) - values.null_count}


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of every value that is not empty; objects in a list are numbered: `people[0].name`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from flattened(inner, _join(path, name))
    elif isinstance(value, list) and any(isinstance(inner, Mapping | list) for inner in value):
        for index, inner in enumerate(value):
            yield from flattened(inner, f"{path}[{index}]")
    elif isinstance(value, list):
        if value:
            yield path, ", ".join(_text(inner) for inner in value)
    elif value not in (None, ""):
        yield path, _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_list(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type))
