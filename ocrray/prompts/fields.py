"""Schema of extracted fields: the part of JSON Schema that Arrow can hold, its Arrow type, and the check of an answer."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import model_validator

from ocrray.config import StrictModel
from ocrray.errors import RecordError
from ocrray.text.normalise import sanitise
from ocrray.text.strict_json import WrittenNumber, parse_json

Fields = dict[str, Any]
"""Extracted values by name, with every property of the schema; None where the answer has no value."""

_SCALARS = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
_INT64 = range(-(2**63), 2**63)


class FieldSchema(StrictModel):
    """A JSON Schema with the keywords `type`, `description`, `properties`, `required` and `items`; others are refused."""

    type: Literal["object", "array", "string", "integer", "number", "boolean"]
    """Type of the value; dates are strings. Columns: struct, list, string, int64, float64, bool."""
    description: str | None = None
    """Meaning of the value, shown to the model; null: the name says it."""
    properties: dict[str, "FieldSchema"] | None = None
    """Of an object: its values by name, in the order of the columns; null for other types."""
    required: list[str] = []  # noqa: RUF012 (pydantic copies it)
    """Of an object: names without which an answer is malformed."""
    items: "FieldSchema | None" = None
    """Of an array: schema of each item; null for other types."""

    @model_validator(mode="after")
    def _keywords_of_the_type(self) -> Self:
        if (self.type == "object") != bool(self.properties):
            raise ValueError("an object has properties, at least one, and no other type has any")
        if (self.type == "array") != (self.items is not None):
            raise ValueError("an array has items, and no other type has any")
        names = list(self.properties or ())
        if unknown := [name for name in self.required if name not in names]:
            raise ValueError(f"required: {', '.join(unknown)}: not among the properties")
        if len({name.lower() for name in names}) < len(names) or any(not name.strip() for name in names):
            raise ValueError("names of properties differ in more than upper and lower case, and none is blank")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of an object's properties."""
        return tuple(self.properties or ())

    def arrow_type(self) -> pa.DataType:
        """Return the Arrow type of a column of such values."""
        if self.properties:
            return pa.struct([(name, child.arrow_type()) for name, child in self.properties.items()])
        if self.items:
            return pa.list_(self.items.arrow_type())
        return _SCALARS[self.type]

    def as_json(self) -> str:
        """Return the schema as JSON, without keywords that have their default."""
        return json.dumps(self.model_dump(exclude_defaults=True), ensure_ascii=False)

    def parse(self, text: str) -> Fields:
        """Parse a JSON object, such as a model's answer, into fields; a number where the schema has a string stays as written.

        Raises:
            RecordError: `malformed_output`, with the path and the problem, when it is no JSON or does not fit the schema.
        """
        try:
            value = parse_json(text)
        except ValueError as error:
            raise malformed(f"no JSON: {' '.join(str(error).split())}") from None
        return self.check(value)

    def check(self, value: object) -> Fields:
        """Return an object's fields: its values in the types of the schema, null where it has none.

        Raises:
            RecordError: `malformed_output`, with the path and the problem, when the value does not fit the schema.
        """
        fields: Fields = self._checked(value, "")
        return fields

    def _checked(self, value: object, path: str) -> Any:
        if self.properties:
            return self._object(value, path, self.properties)
        if self.items:
            if not isinstance(value, list):
                raise _misfit(value, path, "array")
            return [self.items._checked(item, f"{path}[{number}]") for number, item in enumerate(value)]
        checked = _READERS[self.type](value)
        if checked is None:
            raise _misfit(value, path, self.type)
        return checked

    def _object(self, value: object, path: str, properties: Mapping[str, "FieldSchema"]) -> Fields:
        if not isinstance(value, Mapping):
            raise _misfit(value, path, "object")
        for name in value:
            if name not in properties:
                raise malformed(f"{_shown(_join(path, str(name)))}: not in the schema")
        fields: Fields = {}
        for name, child in properties.items():
            found, where = value.get(name), _join(path, name)
            if found is None and name in self.required:
                raise malformed(f"{where}: required, and missing")
            fields[name] = None if found is None else child._checked(found, where)
        return fields


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield path and value of everything in fields that is neither null nor an object or list itself (`people[0].name`)."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from leaves(child, _join(path, name))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from leaves(child, f"{path}[{number}]")
    elif value is not None:
        yield path, value


def malformed(reason: str) -> RecordError:
    """Return the error of an answer that does not have the promised form."""
    return RecordError(reason, kind="malformed_output")


def _string(value: object) -> str | None:
    return sanitise(str(value)) if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    if isinstance(value, WrittenNumber):
        value = _whole(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _INT64 else None


def _whole(number: WrittenNumber) -> int | None:
    """Return the value of `3` or `3.0`, exactly; None for other numbers, and for some beyond 64 bits."""
    try:
        value = Decimal(number)
    except ArithmeticError:  # an exponent of twenty digits
        return None
    return int(value) if abs(value) < 2**64 and value == value.to_integral_value() else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | WrittenNumber):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_READERS: dict[str, Callable[[object], object]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}


def _misfit(value: object, path: str, kind: str) -> RecordError:
    written = value if isinstance(value, WrittenNumber) else json.dumps(value, ensure_ascii=False)
    return malformed(f"{path or 'answer'}: {_shown(written)} is no {kind}")


def _shown(text: str) -> str:
    text = " ".join(sanitise(text).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
