"""Interface between one training task and everything that is the same for all tasks.

A task is a module here with a config class and a `Task`, listed in `registry.TaskConfig`. Nothing else knows tasks by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

import pyarrow as pa

from ocrray.config import StrictModel
from ocrray.training.layouts import Layout, PlainLayout
from ocrray.training.samples import Column, Facts
from ocrray.training.settings import RunSettings

if TYPE_CHECKING:  # torch takes seconds to import, and a plan needs none of it
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

Sample = Mapping[str, Any]
"""Fields of SAMPLES by name, of one sample."""
Preprocessor: TypeAlias = "PreTrainedTokenizerBase | ProcessorMixin"
"""Tokenizer, or a processor that holds one."""
Collator: TypeAlias = "Callable[[Sequence[Sample]], dict[str, torch.Tensor]]"
"""Batch of tensors, by the names of the model's arguments, of several samples."""
LossFunction: TypeAlias = "Callable[..., torch.Tensor]"
"""`compute_loss_func` of transformers' Trainer: (outputs, labels, num_items_in_batch) to a scalar."""


class BaseTaskConfig(StrictModel, ABC):
    """Base of the config classes of tasks; each adds `kind: Literal[...]`, its name in YAML."""

    @abstractmethod
    def open(self, run: RunSettings) -> "Task":
        """Return the task of one run.

        Raises:
            ConfigError: when the config is wrong by itself.
        """

    def conflicts(self, run: RunSettings) -> list[str]:
        """Return settings of the run that this task cannot be trained with, a line each."""
        del run
        return []


@dataclass(frozen=True, slots=True)
class CardText:
    """Parts of the model card that depend on the task; Markdown unless stated otherwise."""

    summary: str
    """Paragraph that says what the model reads and writes."""
    pipeline_tag: str
    """Task identifier of the Hugging Face hub."""
    restore: Mapping[str, Any]
    """Sections of a config of `ocrray restore` that apply the model."""
    auto_class: str
    """Class of transformers that loads the model (without an adapter)."""
    processing_class: str = "AutoTokenizer"
    """Class of transformers that loads its tokenizer or processor."""
    tags: Sequence[str] = ("post-ocr-correction",)
    """Tags on the hub beside `ocr`, `ocrray` and the task's name."""
    usage: str = ""
    """Sentence on how to call the loaded model."""
    data: str = ""
    """Sentence on how rows became samples."""
    measurement: str = ""
    """Conditions of `Task.measure`; continues a sentence."""
    hyperparameters: Sequence[tuple[str, Any]] = ()
    """Name and value, plain text."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Result of `Task.finish`."""

    card_section: str = ""
    """Markdown for the model card, with a heading of level 2; may name pictures in the model folder."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Further evaluation results for the card's metadata, rates as fractions."""


class Task(ABC):
    """One task of one run; made from the config alone, on the driver and on every worker."""

    peft_task_type: ClassVar[str] = "CAUSAL_LM"
    """`task_type` of a LoRA adapter."""
    rows_per_call: ClassVar[int] = 500
    """Most rows that `encode` gets at a time, which bounds its memory."""

    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `encode` reads."""

    def layout(self) -> Layout:
        """Return the rule by which columns of the data files become `columns`: one each, unless a task reads several forms."""
        return PlainLayout(self.columns())

    @abstractmethod
    def problems(self) -> list[str]:
        """Return reasons why the task cannot be run, a line each, as far as can be told without loading a model."""

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:
        """Return the facts; `sample` reads some thousand of the training rows."""
        del sample
        return {}

    @abstractmethod
    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Return SAMPLES of rows with the columns of `columns`: one or more of each row, or one that says why it was dropped."""

    @abstractmethod
    def model_class(self) -> Any:
        """Return the auto class of transformers that loads the model."""

    def load_preprocessor(self, folder: Path, *, trust_remote_code: bool) -> "Preprocessor":
        """Return the tokenizer or processor that training saved in `folder`, a checkpoint."""
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        return tokenizer

    def load_merged(self, base: str, **settings: Any) -> "tuple[PreTrainedModel, Preprocessor]":
        """Return a model with its adapter merged in, and its tokenizer or processor; `settings` are those of `load_generator`."""
        from ocrray.models.loading import load_generator

        generator = load_generator(base, merge_adapter=True, **settings)
        return cast("PreTrainedModel", generator.model), generator.tokenizer

    def frozen_modules(self, model: Any) -> list[str]:
        """Return the names of modules that are not trained and get no adapter; by default those that text does not reach."""
        from ocrray.training.unused import unused_modules

        return unused_modules(model)

    def whole_modules(self, model: Any) -> list[str]:
        """Return the names of modules that are trained whole beside an adapter on the others."""
        del model
        return []

    @abstractmethod
    def build(self, facts: Facts) -> "tuple[PreTrainedModel, Preprocessor]":
        """Return the model to train, before any adapter, and its tokenizer or processor, which is saved with it.

        Raises:
            ConfigError: when the model lacks weights or cannot be trained as configured.
        """

    @abstractmethod
    def collator(self, pad_id: int, facts: Facts) -> Collator:
        """Return the function that makes a batch of samples; `pad_id` is masked, and has an embedding."""

    def loss(self) -> "LossFunction | None":
        """Return the loss over the tokens of a whole optimizer step; None: the model's own."""
        return None

    @abstractmethod
    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """Evaluate the model in a checkpoint folder on SAMPLES: figures by name, rates as fractions."""

    def finish(self, folder: Path, held_out: pa.Table) -> Finished:
        """Complete the exported model in `folder`, for instance calibrate it on the SAMPLES `held_out`."""
        del folder, held_out
        return Finished()

    @abstractmethod
    def card(self, weights: Mapping[str, Any]) -> CardText:
        """Return the task's parts of the model card; `weights` are the keys of `restore` that name the model."""
