"""Tokens per second of `ocrray train`, beside transformers' Trainer by itself and beside a loop that pads as the recipe did.

    python benchmarks/train_overhead.py [--samples 400] [--rounds 3]

A byte-level Llama of a million weights learns to correct pairs made of the texts behind the demo scans, from 20 to 230 characters
long, eight a step, on the CPU with every core. The systems:
- ours: `ocrray train`, its loop in a worker of Ray Train; also without grouping by length, and with samples packed end to end
- Trainer: the same model, samples, batches and grouping under plain `transformers.Trainer`
- padded: plain `transformers.Trainer` as the published recipe ran it, batches of 2 x accumulation 4 in any order, every sample
  padded to the greatest length
Every run is a process of its own; the order alternates. Counted are tokens of samples, never padding, from the tenth step to the
last, so that no start-up, preparation, evaluation or checkpoint is in it. Medians and ranges over the rounds are printed.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ocrray.config import load
from ocrray.synth.noise import NoiseModel
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.order import SampleOrder
from ocrray.training.packing import Packed
from ocrray.training.prepared import read_samples

TEXTS = Path(__file__).parents[1] / "configs" / "restore" / "demo" / "texts.md"
MAX_LENGTH_TOKENS = 512
FIRST_STEP = 10
OURS = {"ours": "length", "ours, any order": "none", "ours, packed": "packed"}
THEIRS = ("Trainer", "padded")
TARGETS = {"Trainer": 0.97, "padded": 1.5}


def main() -> None:
    """Run every system in turn, and print the table."""
    arguments = parsed()
    if arguments.system:
        print(json.dumps(rate_of_trainer(arguments.system, arguments.folder)))
        return
    folder = Path(tempfile.mkdtemp(prefix="ocrray-train-overhead-"))
    try:
        write_pairs(folder / "pairs.jsonl", arguments.samples)
        run([sys.executable, "-m", "ocrray", "train", str(write_config(folder, "prepare", "length", max_steps=1))])
        rates: dict[str, list[float]] = {name: [] for name in (*OURS, *THEIRS)}
        for number in range(arguments.rounds):
            for name in rates if number % 2 == 0 else reversed(rates):
                rates[name].append(rate(name, folder))
                print(f"{name}: {rates[name][-1]:,.0f} tokens/s", file=sys.stderr, flush=True)
        report(rates, arguments.samples)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--system", choices=THEIRS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_pairs(path: Path, count: int) -> None:
    """Passages of four to forty words with misread letters, as JSON lines."""
    rng = np.random.default_rng(1)
    words = re.sub(r"^#.*$", "", TEXTS.read_text(encoding="utf-8"), flags=re.MULTILINE).split()
    noise = NoiseModel.fit([])
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            start = int(rng.integers(len(words) - 40))
            text = " ".join(words[start : start + int(rng.integers(4, 41))])[:230]
            file.write(json.dumps({"ocr": noise.corrupt(text, 0.05, rng), "gt": text}) + "\n")


def write_config(folder: Path, name: str, grouping: str, **changes: Any) -> Path:
    """A config whose output is `<folder>/<name>`; a packed row holds about two samples, so a step takes half as many rows."""
    architecture = {
        "model_type": "llama",
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": MAX_LENGTH_TOKENS,
        "tie_word_embeddings": True,
    }
    config = {
        "task": {"kind": "correction", "prompt": "plain"},
        "method": {"kind": "from_scratch"},
        "model": {"tokenizer": "bytes", "architecture": architecture},
        "data": {
            "train": [str(folder / "pairs.jsonl")],
            "max_length_tokens": MAX_LENGTH_TOKENS,
            "grouping": grouping,
            "max_dropped_frac": 0.2,
        },
        "optimizer": {"learning_rate": 1e-3},
        "batch": {"size": 4 if grouping == "packed" else 8},
        "evaluation": {"every_steps": 10**6, "generate_records": 0},
        "checkpoint": {"every_steps": 10**6},
        "workers": {"cpus": psutil.cpu_count()},
        **changes,
        "output": {"path": str(folder / name)},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


def rate(name: str, folder: Path) -> float:
    """Tokens of samples per second, in a run of its own."""
    if name in THEIRS:
        return json.loads(run([sys.executable, __file__, "--system", name, "--folder", str(folder)]).splitlines()[-1])
    path = write_config(folder, "ours", OURS[name])
    run([sys.executable, "-m", "ocrray", "train", str(path)])
    config = load(path, TrainConfig)
    rows = [json.loads(line) for line in (folder / "ours" / "metrics.jsonl").read_text().splitlines()]
    seconds = {row["step"]: row["seconds"] for row in rows if "loss" in row}
    data = read_samples(config, folder / "ours" / "prepared", "train", folder / "cache")
    lengths = data.lengths if isinstance(data, Packed) else np.asarray(data["length"][:])
    order = SampleOrder(lengths, config.batch.size, config.seed, grouped=config.data.grouping == "length")
    shutil.rmtree(folder / "ours")
    last = max(seconds)
    return (order.tokens_seen(last) - order.tokens_seen(FIRST_STEP)) / (seconds[last] - seconds[FIRST_STEP])


def run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def rate_of_trainer(name: str, folder: Path) -> float:
    """Return tokens per second of a script with transformers alone, on the samples that `ocrray train` prepared."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    config = load(folder / "prepare.yaml", TrainConfig)
    torch.set_num_threads(config.workers.cpus)
    torch.manual_seed(config.seed)
    task = open_task(config)
    model, tokenizer = task.build({})
    samples = read_samples(config, folder / "prepare" / "prepared", "train", folder / "cache")
    pads = name == "padded"
    pad_short = task.collator(tokenizer)
    clock: list[tuple[float, int]] = []

    def pad_long(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = pad_short(rows)
        missing = MAX_LENGTH_TOKENS - batch["input_ids"].shape[1]
        fills = {"input_ids": tokenizer.pad_token_id, "attention_mask": 0, "labels": -100}
        return {key: torch.nn.functional.pad(batch[key], (0, missing), value=fill) for key, fill in fills.items()}

    class Counting(Trainer):
        tokens = 0

        def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
            self.tokens += int(inputs["attention_mask"].sum())
            return super().training_step(model, inputs, *rest, **named)

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.append((time.perf_counter(), trainer.tokens))

    arguments = TrainingArguments(
        output_dir=str(folder / "theirs"),
        per_device_train_batch_size=2 if pads else 8,
        gradient_accumulation_steps=4 if pads else 1,
        num_train_epochs=1,
        learning_rate=1e-3,
        train_sampling_strategy="random" if pads else "group_by_length",
        length_column_name="length",
        remove_unused_columns=False,
        save_strategy="no",
        logging_steps=10,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    collate = pad_long if pads else pad_short
    trainer = Counting(model=model, args=arguments, data_collator=collate, train_dataset=samples, callbacks=[Clock()])
    trainer.train()
    (begun, before), (ended, after) = clock[FIRST_STEP - 1], clock[-1]
    return (after - before) / (ended - begun)


def report(rates: dict[str, list[float]], samples: int) -> None:
    medians = {name: statistics.median(each) for name, each in rates.items()}
    print(f"{samples} pairs, {len(rates['ours'])} rounds, {psutil.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n")
    print(f"{'system':<18}{'tokens/s':>10}{'range':>18}{'ours is':>10}{'target':>10}")
    for name, each in rates.items():
        spread = f"{min(each):,.0f}-{max(each):,.0f}"
        target = f">= {TARGETS[name]:.2f}" if name in TARGETS else ""
        print(f"{name:<18}{medians[name]:>10,.0f}{spread:>18}{medians['ours'] / medians[name]:>8.2f} x{target:>10}")


if __name__ == "__main__":
    main()
