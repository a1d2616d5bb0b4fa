"""What each kind of model is trained to do: how rows become samples, which model is built, how its output is measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from ocrray.training.config import TrainConfig

SAMPLE_FIELDS = (
    pa.field("input_ids", pa.list_(pa.int32())),
    pa.field("labels", pa.list_(pa.int32())),  # NO_LOSS where nothing is learned
    pa.field("length", pa.int32()),
    pa.field("source", pa.string()),
    pa.field("target", pa.string()),
    pa.field("dropped", pa.string()),  # why a row, or a part of it, gave no sample; null for a sample
    pa.field("row", pa.int64()),  # which of the encoded rows it was made of
)
SAMPLES = pa.schema(SAMPLE_FIELDS)
NO_LOSS = -100
MAX_ALIGNED_CHARS = 100_000  # aligning two texts takes the square of their length: minutes beyond it

Facts = dict[str, Any]
"""What must be known of the whole training set before any row is encoded (the labels of a tagger); JSON."""


class Task(Protocol):
    """One task of one run; made from the config alone, on the driver and on every worker."""

    def columns(self) -> dict[str, str]:
        """The columns that `encode` reads, and what the data files call each."""

    def problems(self) -> list[str]:
        """Why the task cannot be run, as far as can be told without loading a model; a line each."""

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:
        """The facts; `sample` reads some thousand of the training rows."""

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """SAMPLES of these rows: one or more of each, or one that says why it was dropped."""

    def build(self, facts: Facts) -> tuple[Any, Any]:
        """The model to train, before any adapter, and its tokenizer."""

    def collator(self, tokenizer: Any) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]]:
        """From samples to one batch of tensors."""

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """How well the model in a checkpoint folder does on SAMPLES: figures by name, rates as fractions."""


def open_task(config: TrainConfig) -> Task:
    """The task that `config.task` names."""
    match config.task.kind:
        case "edit_tagging":
            from ocrray.training.tasks.edit_tagging import EditTagging

            return EditTagging(config)
        case "correction":
            from ocrray.training.tasks.correction import Correction

            return Correction(config)
        case "extraction":
            from ocrray.training.tasks.extraction import Extraction

            return Extraction(config)
