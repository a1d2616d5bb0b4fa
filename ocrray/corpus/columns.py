"""Columns of a corpus as its card lists them."""

import pyarrow as pa

from ocrray.records import COLUMNS


def type_name(data_type: pa.DataType) -> str:
    """Return a short name: `string`, `int32`, or `list of {start, end, …}` for nested types."""
    if pa.types.is_list(data_type):
        return f"list of {type_name(data_type.value_type)}"
    if pa.types.is_struct(data_type):
        return "{" + ", ".join(field.name for field in data_type) + "}"
    return str(data_type)


def described_columns(passthrough: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return name, type and meaning of every column; the passthrough columns (name -> Arrow type) come last."""
    own = [(column.name, type_name(column.type), column.meaning) for column in COLUMNS]
    return own + [(name, data_type, "passed through from the input as it was") for name, data_type in passthrough.items()]
