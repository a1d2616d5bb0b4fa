"""Extraction: a causal language model reads text, such as the OCR of a print's back and front, and writes its fields."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from ocrray.errors import RecordError
from ocrray.prompts.extraction import ExtractionFormat
from ocrray.prompts.fields import Fields, leaves
from ocrray.training.samples import Column, Facts
from ocrray.training.settings import RunSettings
from ocrray.training.tasks.base import BaseTaskConfig, CardText
from ocrray.training.tasks.causal import CausalTask, Example

_TEXTS = ("back", "front")
_LANGUAGE = re.compile(r"\w+")
_NO_LANGUAGE = "en"  # of answers in JSON, whose prompt names none
_SIDE_END = "\f"  # control characters do not get into a cell


class ExtractionConfig(ExtractionFormat, BaseTaskConfig):
    """A causal language model that writes fields from text.

    The columns are `front`, `back`, `language`, and one for each field: JSON where it is no string.
    """

    kind: Literal["extraction"]

    def open(self, run: RunSettings) -> "ExtractionTask":
        """Return the task of one run."""
        return ExtractionTask(run, self)


class ExtractionTask(CausalTask):
    """Rows with text, the language of the answer and the fields; a sample's source is language, back and front."""

    def __init__(self, run: RunSettings, config: ExtractionConfig) -> None:
        super().__init__(run)
        self._format = ExtractionFormat(**{name: getattr(config, name) for name in ExtractionFormat.model_fields})
        self._prompt = config.open_prompt()
        self._properties = config.fields.properties or {}

    @property
    def added_tokens(self) -> Sequence[str]:
        """Tags in front of sides and fields."""
        return self._prompt.tokens

    def columns(self) -> tuple[Column, ...]:
        """Return both sides, the language and the fields."""
        texts = tuple(Column(name, name) for name in _TEXTS)
        language = (Column("language", "language", "scalar"),) if self._has_language else ()
        fields = [Column(name, name, "scalar" if field.type == "string" else "json") for name, field in self._properties.items()]
        return (*texts, *language, *fields)

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Return SAMPLES.

        Reasons to drop are `empty_source`, `empty_target` (no field has a value), `bad_fields` (they do not fit the schema),
        `bad_language` (not one word) and `too_long`.
        """
        del facts
        names = [column.name for column in self.columns()]
        examples = [self._example(number, row) for number, row in enumerate(rows.select(names).to_pylist())]
        return self._to_samples(examples, self._prompt.template)

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """Return the scores of greedy answers: of whole documents, and exact match and similarity of each field."""
        from ocrray.engines.extract import ExtractConfig, Extractor, Source
        from ocrray.evaluation.documents import score_fields

        sources = [source.split(_SIDE_END) for source in samples["source"].to_pylist()]
        truth = [self._prompt.parse(target) for target in samples["target"].to_pylist()]
        found: dict[int, Fields | None] = {}
        settings = {**dict(self._format), "temperature": 0, "num_return_sequences": 1, **self._engine_weights(folder)}
        for language in sorted({source[0] for source in sources}):
            rows = [row for row, source in enumerate(sources) if source[0] == language]
            extractor = Extractor(ExtractConfig(language=language, **settings))
            answers = extractor.extract([Source(str(row), *sources[row][1:]) for row in rows])
            found |= {row: answer.fields for row, answer in zip(rows, answers, strict=True)}
            extractor.close()
        return score_fields((found[row], fields) for row, fields in enumerate(truth)).metrics()

    def card(self, weights: Mapping[str, Any]) -> CardText:
        """Return the parts of the card of an extractor."""
        format_keys = self._format.model_dump(mode="json", exclude_defaults=True)
        return CardText(
            summary=f"A causal language model that writes these fields from text: {', '.join(self._properties)}.",
            pipeline_tag="text-generation",
            auto_class="AutoModelForCausalLM",
            restore={"correct": None, "extract": {**weights, **format_keys}},
            hyperparameters=[("greatest length, tokens", self._run.data.max_length_tokens)],
        )

    @property
    def _has_language(self) -> bool:
        return self._format.answer == "tags"

    def _example(self, number: int, row: dict[str, str | None]) -> Example:
        back, front = ((row[name] or "").strip() for name in _TEXTS)
        language = (row["language"] or "").strip() if self._has_language else _NO_LANGUAGE
        dropped = None
        fields: Fields = dict.fromkeys(self._properties)
        try:
            fields = self._fields(row)
        except RecordError:
            dropped = "bad_fields"
        if not back and not front:
            dropped = "empty_source"
        elif not dropped and not any(leaves(fields)):
            dropped = "empty_target"
        elif not _LANGUAGE.fullmatch(language):
            dropped = "bad_language"
        prompt = self._prompt.render(back=back, front=front, language=language)
        completion = self._prompt.completion(fields, language=language)
        return Example(number, _SIDE_END.join((language, back, front)), completion, prompt, completion, dropped=dropped)

    def _fields(self, row: dict[str, str | None]) -> Fields:
        """Return the fields of a row; raise RecordError when they do not fit the schema."""
        cells = {name: (row[name] or "").strip() for name in self._properties}
        is_text = {name: field.type == "string" for name, field in self._properties.items()}
        return self._format.fields.check(
            {name: cell if is_text[name] else json.loads(cell) for name, cell in cells.items() if cell}
        )
