"""Correction: a causal language model reads a text in its prompt and writes the corrected text after it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import PositiveInt

from ocrray import prompts
from ocrray.errors import ConfigError, RecordError
from ocrray.text.choices import stable_choice
from ocrray.text.limits import MAX_ALIGNED_CHARS
from ocrray.text.pieces import aligned_pieces
from ocrray.training.samples import Column, Facts
from ocrray.training.settings import RunSettings
from ocrray.training.tasks.base import BaseTaskConfig, CardText
from ocrray.training.tasks.causal import CausalTask, Example
from ocrray.training.tasks.chats import first_exchange, read_dialogue

_CHAT_USAGE = "Show the messages in the tokenizer's chat template, generate greedily, and stop at the token that ends a turn."
_COLUMNS = ("source", "target", "instruction")


class CorrectionConfig(BaseTaskConfig):
    """A causal language model that writes the corrected text after its prompt."""

    kind: Literal["correction"]
    prompt: str = "alpaca_ocr"
    """Name of a prompt in `ocrray/prompts`, or a template that holds `{text}` once."""
    chat: bool | None = None
    """Show the prompt as messages in the tokenizer's own chat template, and end answers with its token; null: where there is a
    system message (`chat_ocr`), or the data are dialogues (`data.messages_column`)."""
    system: str | None = None
    """System message of the chat; null: the prompt's own, empty: none. A dialogue with another one is dropped."""
    piece_bytes: tuple[PositiveInt, ...] = ()
    """Widths in UTF-8 bytes; each text selects one by its hash and is cut, where source and target agree, into pieces of at most
    that width. Empty: texts are not cut."""

    def conflicts(self, run: RunSettings) -> list[str]:
        """Return settings of dialogues, or of a chat, that do not go together."""
        found = []
        if run.data.messages_column and self.piece_bytes:
            found.append("task.piece_bytes cuts pairs of texts, not the dialogues of data.messages_column")
        if self.chat is False and (run.data.messages_column or self.system):
            found.append("data.messages_column and task.system need a chat: leave out task.chat: false")
        return found

    def open(self, run: RunSettings) -> "CorrectionTask":
        """Return the task of one run."""
        return CorrectionTask(self, run)


class CorrectionTask(CausalTask):
    """Pairs of OCR text and correct text: one sample each, or one for each piece."""

    def __init__(self, config: CorrectionConfig, run: RunSettings) -> None:
        super().__init__(run)
        self._config = config
        self._prompt = prompts.resolve(config.prompt, config.system)
        widest = self._prompt.width_bytes
        if config.piece_bytes and widest and max(config.piece_bytes) > widest:
            raise ConfigError(f"task.piece_bytes: prompt {self._prompt.name} holds {widest} bytes at most")

    def columns(self) -> tuple[Column, ...]:
        """Return source, target and, where the config names it, instruction; or the dialogue."""
        data = self._run.data
        if data.messages_column:
            return (Column("messages", data.messages_column, "json"),)
        columns = (Column("source", data.source_column), Column("target", data.target_column))
        instruction = data.instruction_column
        return (*columns, Column("instruction", instruction, "scalar")) if instruction else columns

    @property
    def uses_chat(self) -> bool:
        """True when samples are chats in the tokenizer's chat template."""
        needed = bool(self._prompt.instruction or self._run.data.messages_column)
        return needed if self._config.chat is None else self._config.chat

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Return SAMPLES; drops: `empty_source`, `empty_target`, `too_long`, `other_instruction`, `bad_messages`."""
        del facts
        if self._run.data.messages_column:
            dialogues = enumerate(rows["messages"].to_pylist())
            return self._to_samples([self._dialogue(row, text) for row, text in dialogues], self._prompt.template)
        texts = [rows[name].to_pylist() if name in rows.column_names else [""] * len(rows) for name in _COLUMNS]
        pairs = enumerate(zip(*texts, strict=True))
        examples = [example for row, pair in pairs for example in self._examples(row, *(text or "" for text in pair))]
        return self._to_samples(examples, self._prompt.template)

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """Return `correction_metrics`; a text without a correction counts as it is."""
        from ocrray.engines.hf import HfConfig, HfCorrector
        from ocrray.evaluation.text import correction_metrics

        settings = {**self._prompt_settings, **self._engine_weights(folder)}
        corrector = HfCorrector(HfConfig(engine="hf", **settings))
        raw, truth = samples["source"].to_pylist(), samples["target"].to_pylist()
        corrections = corrector.correct(raw)
        corrector.close()
        return correction_metrics(raw, _texts(raw, [correction.text for correction in corrections]), truth)

    def card(self, weights: Mapping[str, Any]) -> CardText:
        """Return the parts of the card of a corrector."""
        prompt = " ".join(self._config.prompt.replace("`", "'").split())
        return CardText(
            summary=f"A causal language model that writes the corrected text after a prompt with OCR text (prompt `{prompt}`).",
            pipeline_tag="text-generation",
            auto_class="AutoModelForCausalLM",
            restore={"correct": {"engine": "hf", **weights, **self._prompt_settings}},
            usage=_CHAT_USAGE if self.uses_chat else "Generate greedily, and stop at the end-of-text token.",
            data="Rows are cut into pieces first, which count one by one." if self._config.piece_bytes else "",
            hyperparameters=[("greatest length, tokens", self._run.data.max_length_tokens)],
        )

    @property
    def _prompt_settings(self) -> dict[str, Any]:
        """Keys by which the engine shows the prompt as the samples do."""
        config = self._config
        chat = {"chat": True} if self.uses_chat else {"chat": config.chat}
        settings = {"prompt": config.prompt, **chat, "system": config.system}
        return {key: value for key, value in settings.items() if value is not None}

    def _dialogue(self, row: int, text: str | None) -> Example:
        try:
            chat = read_dialogue(text, self._prompt)
        except RecordError as err:
            return Example(row, "", "", dropped=err.kind)
        return Example(row, *first_exchange(chat, self._prompt), chat=chat)

    def _examples(self, row: int, source: str, target: str, instruction: str) -> Iterator[Example]:
        if instruction.strip() not in self._prompt.template:
            yield Example(row, source, target, dropped="other_instruction")
        elif self._config.piece_bytes and max(len(source), len(target)) > MAX_ALIGNED_CHARS:
            yield Example(row, source, target, dropped="too_long")
        else:
            yield from (self._example(row, *piece) for piece in self._pieces(source, target))

    def _pieces(self, source: str, target: str) -> list[tuple[str, str]]:
        widths = self._config.piece_bytes
        return aligned_pieces(source, target, stable_choice(source, widths)) if widths else [(source, target)]

    def _example(self, row: int, source: str, target: str) -> Example:
        """Strip source and target, as the engine does."""
        source, completion = source.strip(), self._prompt.completion(target)
        dropped = None if source and completion else "empty_target" if source else "empty_source"
        if dropped is None and not self._prompt.fits(source):
            dropped = "too_long"
        answer = {"role": "assistant", "content": completion}
        chat = [*self._prompt.messages(source), answer] if self.uses_chat else ()
        return Example(row, source, completion, self._prompt.render(source), completion, chat, dropped)


def _texts(raw: Sequence[str], corrected: Sequence[str | None]) -> list[str]:
    return [source if text is None else text for source, text in zip(raw, corrected, strict=True)]
