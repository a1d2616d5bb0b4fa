"""The fields of answers against those of the truth, record by record, as a pass over a system's records meets them."""

from collections.abc import Callable, Mapping
from typing import Any

from ocrray.config import StrictModel
from ocrray.errors import ConfigError
from ocrray.evaluation.field_values import fields_of, read_fields
from ocrray.evaluation.fields import FieldTable

OTHER = "(other names)"
_MOST_NAMES = 200  # a model that invents names must not fill the table


class FieldsConfig(StrictModel):
    """Answers hold fields: JSON objects, or lines of `name: value`."""

    names: tuple[str, ...] | None = None
    """Only these, in lower case (`total`, `buyer.name`); null: all that occur."""


class FieldScoring:
    """Adds up `table`; raises ConfigError where a truth holds no fields."""

    def __init__(self, config: FieldsConfig, normalise: Callable[[str], str]) -> None:
        self.table = FieldTable(normalise)
        self._names = config.names and {name.lower() for name in config.names}

    def add(self, record_id: str, answer: str | None, truth: str, of_run: Mapping[str, Any]) -> list[str]:
        """Count one record; returns the names of the fields that are wrong. An answer that cannot be read is a miss of all."""
        true = read_fields(truth)
        if true is None:
            raise ConfigError(
                f"fields: the ground truth of record {record_id} is neither a JSON object nor lines of `name: value`: "
                f"{truth[:60]!r}"
            )
        said = self._said(answer, of_run)
        return self.table.add(said if said is None else self._wanted(said), self._wanted(true))

    def _said(self, answer: str | None, of_run: Mapping[str, Any]) -> Mapping[str, str] | None:
        if of_run.get("field_candidates") is not None:
            fields = of_run["fields"]
            return fields if fields is None else fields_of(fields)
        return answer if answer is None else read_fields(answer)

    def _wanted(self, values: Mapping[str, str]) -> dict[str, str]:
        if self._names is not None:
            return {name: value for name, value in values.items() if name in self._names}
        known, wanted = self.table.fields, {}
        for name, value in values.items():
            listed = name in known or len(known) + len(wanted) < _MOST_NAMES
            wanted[name if listed else OTHER] = value
        return wanted
