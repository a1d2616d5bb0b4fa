"""Extraction: a causal language model reads the OCR of a photograph's back and front and writes its fields."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from ocrray.models.vocabulary import extend_tokenizer, extend_vocabulary
from ocrray.prompts import PHOTO_METADATA
from ocrray.records import PhotoFields
from ocrray.training.config import TrainConfig
from ocrray.training.tasks import Facts, causal
from ocrray.training.tasks.causal import Example

_COLUMNS = ("back", "front", "language", *PhotoFields.__slots__)
_LANGUAGE = re.compile(r"\w+")
_SIDE_END = "\f"  # no cell holds one, control characters are not let in


class Extraction:
    """Rows with both sides' OCR, the language of the answer, and the fields; a sample's source is `language, back, front`."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config

    def columns(self) -> dict[str, str]:
        return {name: name for name in _COLUMNS}

    def problems(self) -> list[str]:
        return causal.problems(self._config)

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:  # noqa: ARG002 (nothing need be known)
        return {}

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:  # noqa: ARG002
        """Dropped are `empty_source`, `empty_target` (no field is filled), `bad_language` (not one word) and `too_long`."""
        examples = [self._example(number, row) for number, row in enumerate(rows.select(_COLUMNS).to_pylist())]
        return causal.to_samples(examples, self._tokenizer, PHOTO_METADATA.template, self._limit_tokens)

    def build(self, facts: Facts) -> tuple[Any, Any]:  # noqa: ARG002
        tokenizer = causal.load_tokenizer(self._config.model)
        model = causal.build_model(self._config, tokenizer)
        extend_vocabulary(model, tokenizer, PHOTO_METADATA.tokens)
        return model, tokenizer

    def collator(self, tokenizer: Any) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]]:
        return causal.pad_right(tokenizer.pad_token_id or 0)

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """Exact match and similarity of each field, and the share of records right in all, of the most likely answers."""
        from ocrray.engines.extract import ExtractConfig, Extractor, Photo
        from ocrray.evaluation.fields import score_fields

        sources = [source.split(_SIDE_END) for source in samples["source"].to_pylist()]
        truth = [PHOTO_METADATA.parse(target) for target in samples["target"].to_pylist()]
        said: dict[int, PhotoFields | None] = {}
        for language in sorted({one for one, *_ in sources}):
            rows = [row for row, source in enumerate(sources) if source[0] == language]
            extractor = Extractor(
                ExtractConfig(language=language, temperature=0, num_return_sequences=1, **causal.weights(self._config, folder))
            )
            answers = extractor.extract([Photo(str(row), *sources[row][1:]) for row in rows])
            said |= {row: answer.fields for row, answer in zip(rows, answers, strict=True)}
            extractor.close()
        return score_fields((said[row], fields) for row, fields in enumerate(truth)).metrics()

    @cached_property
    def _limit_tokens(self) -> int:
        return causal.max_length_tokens(self._config)

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = causal.load_tokenizer(self._config.model)
        extend_tokenizer(tokenizer, PHOTO_METADATA.tokens)
        return tokenizer

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
