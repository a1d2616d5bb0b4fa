"""Extraction: a causal language model reads the OCR of a photograph's back and front and writes its fields."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from ocrray.prompts import PHOTO_METADATA
from ocrray.records import PhotoFields
from ocrray.training.samples import Column, Facts
from ocrray.training.settings import RunSettings
from ocrray.training.tasks.base import BaseTaskConfig, CardText
from ocrray.training.tasks.causal import CausalTask, Example

_TEXTS = ("back", "front")
_OTHERS = ("language", *PhotoFields.__slots__)
_LANGUAGE = re.compile(r"\w+")
_SIDE_END = "\f"  # control characters do not get into a cell


class ExtractionConfig(BaseTaskConfig):
    """A causal language model that writes the fields of a photograph from the OCR of its front and back.

    The columns are `front`, `back`, `language`, `description`, `title`, `agency`, `photographer` and `date`.
    """

    kind: Literal["extraction"]

    def open(self, run: RunSettings) -> "ExtractionTask":
        """Return the task of one run."""
        return ExtractionTask(run)


class ExtractionTask(CausalTask):
    """Rows with the OCR of both sides, the language of the answer and the fields; a sample's source is language, back, front."""

    @property
    def added_tokens(self) -> Sequence[str]:
        """Tags in front of sides and fields."""
        return PHOTO_METADATA.tokens

    def columns(self) -> tuple[Column, ...]:
        """Return both sides, the language and the fields."""
        return (*(Column(name, name) for name in _TEXTS), *(Column(name, name, "scalar") for name in _OTHERS))

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Return SAMPLES; reasons to drop are `empty_source`, `empty_target` (no field is filled), `bad_language` (not one word)
        and `too_long`."""
        del facts
        examples = [self._example(number, row) for number, row in enumerate(rows.select([*_TEXTS, *_OTHERS]).to_pylist())]
        return self._to_samples(examples, PHOTO_METADATA.template)

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """Return exact match and similarity of each field, and the share of records correct in all, of greedy answers."""
        from ocrray.engines.extract import ExtractConfig, Extractor, Photo
        from ocrray.evaluation.fields import score_fields

        sources = [source.split(_SIDE_END) for source in samples["source"].to_pylist()]
        truth = [PHOTO_METADATA.parse(target) for target in samples["target"].to_pylist()]
        found: dict[int, PhotoFields | None] = {}
        for language in sorted({source[0] for source in sources}):
            rows = [row for row, source in enumerate(sources) if source[0] == language]
            extractor = Extractor(
                ExtractConfig(language=language, temperature=0, num_return_sequences=1, **self._engine_weights(folder))
            )
            answers = extractor.extract([Photo(str(row), *sources[row][1:]) for row in rows])
            found |= {row: answer.fields for row, answer in zip(rows, answers, strict=True)}
            extractor.close()
        pairs = ((found[row], fields) for row, fields in enumerate(truth))
        return score_fields((answer.to_row() if answer else None, fields.to_row()) for answer, fields in pairs).metrics()

    def card(self, weights: Mapping[str, Any]) -> CardText:
        """Return the parts of the card of an extractor."""
        return CardText(
            summary="A causal language model that writes description, title, agency, photographer and date of a photograph from "
            "the OCR of its back and front.",
            pipeline_tag="text-generation",
            auto_class="AutoModelForCausalLM",
            restore={"correct": None, "extract": dict(weights)},
            hyperparameters=[("greatest length, tokens", self._run.data.max_length_tokens)],
        )

    def _example(self, number: int, row: dict[str, str | None]) -> Example:
        language, back, front = ((row[name] or "").strip() for name in ("language", "back", "front"))
        fields = PhotoFields.from_row(row)
        dropped = None
        if not back and not front:
            dropped = "empty_source"
        elif not any(fields.to_row().values()):
            dropped = "empty_target"
        elif not _LANGUAGE.fullmatch(language):
            dropped = "bad_language"
        prompt = PHOTO_METADATA.render(back=back, front=front, language=language)
        completion = PHOTO_METADATA.completion(fields, language=language)
        return Example(number, _SIDE_END.join((language, back, front)), completion, prompt, completion, dropped)
