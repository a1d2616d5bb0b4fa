"""Base of the tasks for causal language models: samples of prompt and answer, the model, the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from ocrray.errors import ConfigError
from ocrray.models.chat import ADVICE, Chat, ChatTemplate
from ocrray.models.encoding import prompt_ids, text_ids
from ocrray.models.folders import lacks_chat_template
from ocrray.models.limits import token_rows, unknown_token
from ocrray.models.vocabulary import extend_tokenizer, extend_vocabulary
from ocrray.training.packing import keeps_boundaries
from ocrray.training.samples import NO_LOSS, SAMPLES, Facts
from ocrray.training.tasks.architecture import known_settings
from ocrray.training.tasks.base import Collator, Sample
from ocrray.training.tasks.chats import encode_chat
from ocrray.training.tasks.pretrained import PretrainedTask
from ocrray.training.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ocrray.models.types import LanguageModel

_PAD_MULTIPLE = 8  # tensor cores work on multiples of 8
_END_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True, slots=True)
class Example:
    """Prompt and completion of one sample, or the reason why there is none (`dropped`)."""

    row: int
    """Position of the row that it was made of."""
    source: str
    target: str
    prompt: str = ""
    completion: str = ""
    chat: Chat = ()
    """Messages to a chat model with its answers, instead of prompt and completion."""
    dropped: str | None = None


class CausalTask(PretrainedTask):
    """Task whose model reads a prompt and writes a completion; subclasses say how rows become examples."""

    @property
    def added_tokens(self) -> Sequence[str]:
        """Tags of the prompts that become tokens of their own."""
        return ()

    @property
    def uses_chat(self) -> bool:
        """True when samples are chats in the tokenizer's chat template."""
        return False

    def problems(self) -> list[str]:
        """Return reasons why the model cannot be trained as configured, as far as its files tell; a line each."""
        model = self._run.model
        found = super().problems() + self._packing_problems(known_settings(self._run).get("model_type"))
        if self.uses_chat and lacks_chat_template(model.tokenizer or model.name):
            found.append(f"task.chat: the tokenizer of {model.tokenizer or model.name} has no chat template: {ADVICE}")
        return found

    def model_class(self) -> Any:
        """Return AutoModelForCausalLM."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM

    def build(self, facts: Facts) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
        """Return the causal language model to train, random or pretrained, and its tokenizer."""
        del facts
        tokenizer = load_tokenizer(self._run.model)
        model = self._new_model(tokenizer) if self._run.from_scratch else self._pretrained_model()
        if problems := self._packing_problems(model.config.model_type):  # the type of a hub's model was not known before
            raise ConfigError(problems[0])
        if problem := unknown_token(tokenizer, token_rows(model)):
            raise ConfigError(f"model.tokenizer: {problem}")
        if self.added_tokens:
            extend_vocabulary(cast("LanguageModel", model), tokenizer, self.added_tokens)
        if self.uses_chat:  # for users of transformers; the engine asks the template
            ends = model.generation_config.eos_token_id
            known = ends if isinstance(ends, list) else [ends]
            end_ids = dict.fromkeys((ChatTemplate(tokenizer).end_id, *known, tokenizer.eos_token_id))
            model.generation_config.eos_token_id = [end for end in end_ids if end is not None]
        return model, tokenizer

    def collator(self, pad_id: int, facts: Facts) -> Collator:
        """Return a collator that pads on the right."""
        del facts
        return RightPadding(pad_id)

    def _to_samples(self, examples: Sequence[Example], template: str) -> pa.Table:
        """Return SAMPLES of the examples, in order: loss on the completion and the token that ends it."""
        tokenizer = self._tokenizer
        end = tokenizer.eos_token_id
        kept = [example for example in examples if not (example.dropped or example.chat)]
        prompts = iter(prompt_ids(tokenizer, [example.prompt for example in kept], template, (end,)))
        answers = iter(text_ids(tokenizer, [example.completion for example in kept]))
        rows = []
        for example in examples:
            row = {"row": example.row, "source": example.source, "target": example.target, "dropped": example.dropped}
            encoded: list[dict[str, Any]] = [{}]
            if example.chat and not example.dropped:
                encoded = encode_chat(self._chat_template, example.chat)
            elif not example.dropped:
                encoded = [_tokens(next(prompts), [*next(answers), end])]
            fits = [tokens.get("length", 0) <= self._limit_tokens for tokens in encoded]
            rows += [row | (tokens if fit else {"dropped": "too_long"}) for tokens, fit in zip(encoded, fits, strict=True)]
        return pa.Table.from_pylist(rows, schema=SAMPLES)

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        tokenizer = load_tokenizer(self._run.model)
        if self.added_tokens:
            extend_tokenizer(tokenizer, self.added_tokens)
        return tokenizer

    @cached_property
    def _chat_template(self) -> ChatTemplate:
        return ChatTemplate(self._tokenizer)

    def _packing_problems(self, model_type: str | None) -> list[str]:
        if self._run.data.grouping != "packed" or model_type is None or keeps_boundaries(model_type):
            return []
        return [f"data.grouping: {model_type} models are not known to keep packed samples apart; take length"]

    def _new_model(self, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
        from transformers import AutoConfig

        known = {"vocab_size": len(tokenizer), **{name: getattr(tokenizer, name) for name in _END_TOKENS}}
        model: PreTrainedModel = self.model_class().from_config(
            AutoConfig.for_model(**known | (self._run.model.architecture or {}))
        )
        return model


def _tokens(prompt: list[int], answer: list[int]) -> dict[str, Any]:
    return {
        "input_ids": prompt + answer,
        "labels": [NO_LOSS] * len(prompt) + answer,
        "length": len(prompt) + len(answer),
    }


@dataclass(frozen=True, slots=True)
class RightPadding:
    """Collator: int64 tensors of (samples, longest length rounded up to a multiple of 8), padded on the right.

    Packed samples have position ids, which tell them apart; beside an attention mask the model would ignore these.
    """

    pad_id: int

    def __call__(self, samples: Sequence[Sample]) -> "dict[str, Tensor]":
        """Return `input_ids`, `labels` and `attention_mask` (or `position_ids` of packed samples)."""
        import torch

        packed = "position_ids" in samples[0]
        width = max(len(sample["input_ids"]) for sample in samples)
        shape = (len(samples), -(-width // _PAD_MULTIPLE) * _PAD_MULTIPLE)
        inputs, labels = np.full(shape, self.pad_id, np.int64), np.full(shape, NO_LOSS, np.int64)
        places = np.zeros(shape, np.int64)  # the mask, or the position ids: zeros stand for padding in both
        for row, sample in enumerate(samples):
            length = len(sample["input_ids"])
            inputs[row, :length], labels[row, :length] = sample["input_ids"], sample["labels"]
            places[row, :length] = sample["position_ids"] if packed else 1
        arrays = {"input_ids": inputs, "position_ids" if packed else "attention_mask": places, "labels": labels}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
