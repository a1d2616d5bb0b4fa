"""Field scores of one system, accumulated record by record."""

from collections.abc import Callable, Mapping

from ocrray.config import StrictModel
from ocrray.errors import ConfigError
from ocrray.evaluation.field_values import flatten, read_fields
from ocrray.evaluation.fields import FieldTable

OTHER = "(other names)"
_MAX_NAMES = 200  # bounds the table for a model that invents names


class FieldsConfig(StrictModel):
    """Score the fields of answers: JSON objects, or lines of `name: value`."""

    names: tuple[str, ...] | None = None
    """Paths of the fields to score, in lower case (`total`, `buyer.name`); null: all that occur."""


class FieldScoring:
    """Accumulates `table` over the records of one system."""

    def __init__(self, config: FieldsConfig, normalise: Callable[[str], str]) -> None:
        self.table = FieldTable(normalise)
        self._names = None if config.names is None else {name.lower() for name in config.names}

    def add(self, record_id: str, answer: str | None, truth: str, run_values: Mapping[str, object]) -> list[str]:
        """Score one record and return the names of its wrong fields; an answer that cannot be parsed misses all of them.

        `run_values` holds the corpus columns `fields` and `field_candidates` where the input is a run: they take the place
        of `answer`.

        Raises: ConfigError: when `truth` holds no fields.
        """
        true = read_fields(truth)
        if true is None:
            raise ConfigError(
                f"fields: the ground truth of record {record_id} is neither a JSON object nor lines of `name: value`: "
                f"{truth[:60]!r}"
            )
        predicted = _predicted(answer, run_values)
        return self.table.add(None if predicted is None else self._select(predicted), self._select(true))

    def _select(self, values: Mapping[str, str]) -> dict[str, str]:
        if self._names is not None:
            return {name: value for name, value in values.items() if name in self._names}
        known = self.table.fields
        selected: dict[str, str] = {}
        for name, value in values.items():
            listed = name in known or len(known) + len(selected) < _MAX_NAMES
            selected[name if listed else OTHER] = value
        return selected


def _predicted(answer: str | None, run_values: Mapping[str, object]) -> dict[str, str] | None:
    if run_values.get("field_candidates") is None:  # nothing was extracted by a run
        return None if answer is None else read_fields(answer)
    fields = run_values["fields"]
    return flatten(fields) if isinstance(fields, Mapping) else None
