"""Fields of one system's answers, scored record by record."""

from collections.abc import Callable, Mapping

from ocrray.config import StrictModel
from ocrray.errors import ConfigError
from ocrray.evaluation.documents import DocumentScores
from ocrray.evaluation.field_values import Document, as_document, only, read_document


class FieldsConfig(StrictModel):
    """Score the fields of answers: JSON objects, or lines of `name: value`."""

    names: tuple[str, ...] | None = None
    """Paths of the fields to score, in lower case (`total`, `buyer.name`); null: all that occur."""


class FieldScoring:
    """Accumulates `scores` over the records of one system."""

    def __init__(self, config: FieldsConfig, normalise: Callable[[str], str]) -> None:
        self.scores = DocumentScores()
        self._normalise = normalise
        self._names = None if config.names is None else {name.lower() for name in config.names}

    def add(self, record_id: str, answer: str | None, truth: str, run_values: Mapping[str, object]) -> list[str]:
        """Score one record and return the names of its wrong fields; an answer that cannot be parsed misses all of them.

        `run_values` holds the column `fields` of a run that read documents: it takes the place of `answer`, and numbers are
        compared by their values.

        Raises: ConfigError: when `truth` holds no fields.
        """
        typed = "fields" in run_values
        true = read_document(truth, self._normalise, numbers_as_written=not typed)
        if true is None:
            raise ConfigError(
                f"fields: the ground truth of record {record_id} is neither a JSON object, in which every name is given once, "
                f"nor lines of `name: value`: {truth[:60]!r}"
            )
        predicted = self._of_run(run_values) if typed else self._read(answer)
        return self.scores.add(None if predicted is None else self._selected(predicted), self._selected(true))

    def _read(self, answer: str | None) -> Document | None:
        return None if answer is None else read_document(answer, self._normalise)

    def _of_run(self, run_values: Mapping[str, object]) -> Document | None:
        fields = run_values["fields"]
        return as_document(fields, self._normalise) if isinstance(fields, Mapping) else None

    def _selected(self, document: Document) -> Document:
        return document if self._names is None else only(document, self._names)
