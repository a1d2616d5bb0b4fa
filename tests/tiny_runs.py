"""Short real training runs of tiny models, without Ray: what they leave behind is what is exported."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset

from ocrray.training.config import TrainConfig, open_task
from ocrray.training.loop import train
from ocrray.training.samples import NO_LOSS, SAMPLES

LABELS = ["keep", "delete", "write:h", "write:e"]
_WORDS = ("the", "sheep", "hat", "bat", "hat", "he", "be", "then", "were", "set", "bare", "hare")
CANINE = {
    "model_type": "canine",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 160,
    "num_hash_functions": 4,
    "num_hash_buckets": 160,  # CANINE has as many positions as buckets
    "local_transformer_stride": 32,
}


class Reports:
    """Keeps what the loop reports."""

    def __init__(self) -> None:
        self.checkpoints: list[Path] = []

    def log(self, *_: Any) -> None:
        """Nobody looks on."""

    def checkpoint(self, _step: int, _metrics: dict[str, float], folder: Path) -> None:
        """Remember where it is."""
        self.checkpoints.append(folder)


def config(folder: Path, **changes: Any) -> TrainConfig:
    """A run that writes into `folder`; `changes` replace whole parts."""
    return TrainConfig.model_validate(
        {
            "optimizer": {"learning_rate": 0.01, "warmup_steps": 5},
            "batch": {"size": 16},
            "data": {"train": ["pairs.parquet"]},
            "evaluation": {"every_steps": 20},
            "checkpoint": {"every_steps": 40},
            "seed": 3,
            **changes,
            "output": {"path": str(folder), **changes.get("output", {})},
        }
    )


def tagging(folder: Path, **changes: Any) -> TrainConfig:
    """A CANINE of two thousand weights that learns to undo `b` for `h` and `c` for `e`."""
    return config(
        folder,
        **{
            "task": {"kind": "edit_tagging", "window_chars": [96]},
            "model": {"architecture": CANINE, "tokenizer": "characters"},
            "method": {"kind": "from_scratch"},
            "max_steps": 80,
            **changes,
        },
    )


def lora(folder: Path, base: Path, **changes: Any) -> TrainConfig:
    """An adapter on the causal model in `base`."""
    return config(
        folder,
        **{
            "task": {"kind": "correction", "prompt": "plain"},
            "model": {"name": str(base)},
            "method": {"kind": "lora", "r": 2, "target_modules": ["q_proj", "v_proj"]},
            "max_steps": 6,
            "evaluation": {"every_steps": 3},
            "checkpoint": {"every_steps": 3},
            **changes,
        },
    )


def tagging_samples(run: TrainConfig, count: int, seed: int) -> pa.Table:
    """SAMPLES of made-up sentences in which some letters were misread; whether `bat` was a `hat` is anybody's guess."""
    rng = random.Random(seed)
    truth = [" ".join(rng.choices(_WORDS, k=rng.randint(4, 12))) for _ in range(count)]
    odds = {"h": "hhhb", "e": "eeec", "b": "b", "c": "c"}
    read = ["".join(rng.choice(odds.get(char, char)) for char in text) for text in truth]
    return open_task(run).encode(pa.table({"source": read, "target": truth}), {"labels": LABELS})


def causal_samples(tokenizer: Any, count: int) -> pa.Table:
    """SAMPLES of one sentence for a causal model."""
    prompt, answer = (tokenizer.encode(text) for text in ("tbe lazy dog\x1e", "the lazy dog"))
    sample = {
        "input_ids": prompt + answer,
        "labels": [NO_LOSS] * len(prompt) + answer,
        "length": len(prompt) + len(answer),
        "source": "tbe lazy dog",
        "target": "the lazy dog",
    }
    return pa.Table.from_pylist([sample] * count, schema=SAMPLES)


def run(
    run_config: TrainConfig, facts: dict[str, Any], train_samples: pa.Table, validation: pa.Table, folder: Path
) -> list[Path]:
    """Train to the end and return the checkpoints in their order."""
    reports = Reports()
    train(
        run_config,
        task=open_task(run_config),
        facts=facts,
        train_data=Dataset(train_samples),
        validation_data=Dataset(validation),
        folder=folder,
        report=reports,
    )
    return reports.checkpoints
