"""Correction: a causal language model reads a text in its prompt and writes the corrected text after it."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from ocrray import prompts
from ocrray.errors import ConfigError
from ocrray.text.pieces import aligned_pieces
from ocrray.training.config import TrainConfig
from ocrray.training.tasks import MAX_ALIGNED_CHARS, Facts, causal
from ocrray.training.tasks.causal import Example


class Correction:
    """Pairs of OCR and truth, one sample each, or one a piece."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._prompt = prompts.resolve(config.task.prompt)
        self._widths = config.task.piece_bytes
        widest = self._prompt.width_bytes
        if self._widths and widest and max(self._widths) > widest:
            raise ConfigError(f"task.piece_bytes: prompt {self._prompt.name} holds {widest} bytes at most")

    def columns(self) -> dict[str, str]:
        data = self._config.data
        named = {"source": data.source_column, "target": data.target_column, "instruction": data.instruction_column}
        return {name: column for name, column in named.items() if column}

    def problems(self) -> list[str]:
        return causal.problems(self._config)

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:  # noqa: ARG002 (nothing need be known)
        return {}

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:  # noqa: ARG002
        """Dropped are `empty_source`, `empty_target`, `too_long` and `other_instruction`: a row that asks for something else."""
        texts = [rows[name].to_pylist() if name in rows.column_names else [""] * len(rows) for name in _ROW]
        pairs = enumerate(zip(*texts, strict=True))
        examples = [example for row, pair in pairs for example in self._examples(row, *(text or "" for text in pair))]
        return causal.to_samples(examples, self._tokenizer, self._prompt.template, self._limit_tokens)

    def build(self, facts: Facts) -> tuple[Any, Any]:  # noqa: ARG002
        return causal.build_model(self._config, self._tokenizer), self._tokenizer

    def collator(self, tokenizer: Any) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]]:
        return causal.pad_right(tokenizer.pad_token_id or 0)

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """`correction_figures`; a text that is not corrected stays as it is."""
        from ocrray.engines.hf import HfConfig, HfCorrector
        from ocrray.evaluation.text import correction_figures

        corrector = HfCorrector(HfConfig(engine="hf", prompt=self._config.task.prompt, **causal.weights(self._config, folder)))
        raw, truth = samples["source"].to_pylist(), samples["target"].to_pylist()
        fixed = [source if done.text is None else done.text for source, done in zip(raw, corrector.correct(raw), strict=True)]
        corrector.close()
        return correction_figures(raw, fixed, truth)

    @cached_property
    def _limit_tokens(self) -> int:
        return causal.max_length_tokens(self._config)

    @cached_property
    def _tokenizer(self) -> Any:
        return causal.load_tokenizer(self._config.model)

    def _examples(self, row: int, source: str, target: str, instruction: str) -> Iterator[Example]:
        if instruction.strip() not in self._prompt.template:
            yield Example(row, source, target, dropped="other_instruction")
        elif self._widths and max(len(source), len(target)) > MAX_ALIGNED_CHARS:
            yield Example(row, source, target, dropped="too_long")
        else:
            yield from (self._example(row, *piece) for piece in self._pieces(source, target))

    def _pieces(self, source: str, target: str) -> list[tuple[str, str]]:
        if not self._widths:
            return [(source, target)]
        return aligned_pieces(source, target, self._widths[zlib.crc32(source.encode()) % len(self._widths)])

    def _example(self, row: int, source: str, target: str) -> Example:
        """As the engine does: the model reads and writes a text without the white space around it."""
        source, completion = source.strip(), self._prompt.completion(target)
        dropped = None if source and completion else "empty_target" if source else "empty_source"
        if dropped is None and not self._prompt.fits(source):
            dropped = "too_long"
        return Example(row, source, completion, self._prompt.render(source), completion, dropped)


_ROW = ("source", "target", "instruction")
