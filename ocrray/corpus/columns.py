"""Columns of a corpus as its card lists them."""

from collections.abc import Mapping

import pyarrow as pa

from ocrray.records import COLUMNS


def type_name(data_type: pa.DataType) -> str:
    """Return a short name: `string`, `int32`, or `list of {start, end, …}` for nested types."""
    if pa.types.is_list(data_type):
        return f"list of {type_name(data_type.value_type)}"
    if pa.types.is_struct(data_type):
        return "{" + ", ".join(field.name for field in data_type) + "}"
    return str(data_type)


def described_columns(types: Mapping[str, pa.DataType]) -> list[tuple[str, str, str]]:
    """Return name, type and meaning of every column in a corpus (`types` by name), passthrough columns last."""
    meanings = {column.name: column.meaning for column in COLUMNS}
    own = [(name, type_name(types[name]), meaning) for name, meaning in meanings.items() if name in types]
    passthrough = [(name, type_name(data_type)) for name, data_type in types.items() if name not in meanings]
    return own + [(name, data_type, "copied from the input") for name, data_type in passthrough]
