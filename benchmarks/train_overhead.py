"""Tokens per second of `ocrray train`, beside transformers' Trainer by itself and beside a loop that pads as the recipe did.

    python benchmarks/train_overhead.py [--samples 400] [--steps 300] [--rounds 3] [--systems ours,loop,Trainer]

A byte-level Llama of a million weights learns to correct pairs made of the texts behind the demo scans, from 20 to 230 characters
long, eight a step, on the CPU with every core. The systems:
- ours: `ocrray train`, its loop in a worker of Ray Train; also without grouping by length, and with samples packed end to end
- loop: the same loop, called without Ray
- Trainer: the same model, samples, batches and grouping under plain `transformers.Trainer`
- padded: plain `transformers.Trainer` as the published recipe ran it, batches of 2 x accumulation 4 in any order, every sample
  padded to the greatest length
Every run is a process of its own; the order alternates. Counted are tokens of samples, never padding, from step 20 to the last,
so that no start-up, preparation, evaluation or checkpoint is in it. Medians and ranges over the rounds are printed, and where the
time goes: seconds of CPU that the training process took for 1,000 tokens, and the cores that Ray's and our other processes kept
busy meanwhile. Run it on an idle machine: a second program on the cores slows whoever has its turn.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
FIRST_STEP = 20
"""Of the window; a multiple of the ten steps between two logs."""
OURS = {"ours": "length", "ours, any order": "none", "ours, packed": "packed"}
ALONE = ("loop", "Trainer", "padded")
"""Systems without Ray: one process each."""
TARGETS = {"Trainer": 0.97, "padded": 1.5}


class Window(NamedTuple):
    """Steps from FIRST_STEP to the last: tokens of samples, seconds, and seconds of CPU."""

    tokens: int
    seconds: float
    training_cpu_s: float
    other_cpu_s: float

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


def main() -> None:
    """Run every system in turn, and print the table."""
    arguments = parsed()
    if arguments.system:
        measured = loop_alone if arguments.system == "loop" else trainer_alone
        print(json.dumps(measured(arguments.system, arguments.folder, arguments.steps)))
        return
    folder = Path(tempfile.mkdtemp(prefix="ocrray-train-overhead-"))
    try:
        write_pairs(folder / "pairs.jsonl", arguments.samples)
        run([sys.executable, "-m", "ocrray", "train", str(write_config(folder, "prepare", "length", max_steps=1))])
        windows: dict[str, list[Window]] = {name: [] for name in arguments.systems.split(",")}
        for number in range(arguments.rounds):
            for name in windows if number % 2 == 0 else reversed(windows):
                windows[name].append(window(name, folder, arguments.steps))
                print(f"{name}: {windows[name][-1].rate:,.0f} tokens/s", file=sys.stderr, flush=True)
        report(windows, arguments.samples, arguments.steps)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--steps", type=int, default=300, help="a multiple of 10")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", default=",".join((*OURS, *ALONE)), help="names of systems, joined by commas")
    parser.add_argument("--system", choices=ALONE, help=argparse.SUPPRESS)
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


def window(name: str, folder: Path, steps: int) -> Window:
    """Run one system in processes of its own."""
    if name in ALONE:
        command = [sys.executable, __file__, "--system", name, "--folder", str(folder), "--steps", str(steps)]
        return Window(*json.loads(run(command).splitlines()[-1]))
    path = write_config(folder, "ours", OURS[name], max_steps=steps)
    metrics = folder / "ours" / "metrics.jsonl"
    with subprocess.Popen([sys.executable, "-m", "ocrray", "train", str(path)], stdout=subprocess.DEVNULL) as process:
        begun = cpu_once_at(FIRST_STEP, metrics, process)
        ended = cpu_once_at(steps, metrics, process)
    if process.returncode or not ended:
        raise SystemExit(f"ocrray train {path} failed")
    seconds = {row["step"]: row["seconds"] for row in rows_of(metrics)}
    config = load(path, TrainConfig)
    data = read_samples(config, folder / "ours" / "prepared", "train", folder / "cache")
    lengths = data.lengths if isinstance(data, Packed) else np.asarray(data["length"][:])
    order = SampleOrder(lengths, config.batch.size, config.seed, grouped=config.data.grouping == "length")
    shutil.rmtree(folder / "ours")
    spent = sorted(after - begun.get(pid, 0.0) for pid, after in ended.items())
    tokens = order.tokens_seen(steps) - order.tokens_seen(FIRST_STEP)
    return Window(tokens, seconds[steps] - seconds[FIRST_STEP], spent[-1], sum(spent[:-1]))


def rows_of(metrics: Path) -> list[dict[str, Any]]:
    """Return the complete rows with a loss of a run's log, as far as it is written."""
    text = metrics.read_text() if metrics.exists() else ""
    rows = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [row for row in rows if "loss" in row]


def cpu_once_at(step: int, metrics: Path, process: subprocess.Popen[bytes]) -> dict[int, float]:
    """Wait until a step is logged; return the CPU seconds of the run's processes, and nothing when it ends before that."""
    while process.poll() is None:
        if any(row["step"] >= step for row in rows_of(metrics)):
            found = {}
            for one in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
                try:
                    found[one.pid] = one.cpu_times().user + one.cpu_times().system
                except psutil.NoSuchProcess:  # it ended meanwhile
                    continue
            return found
        time.sleep(0.05)
    return {}


def run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def loop_alone(name: str, folder: Path, steps: int) -> Window:
    """Measure the loop of `ocrray train` in this process, on the samples that it prepared."""
    from ocrray.training.loop import train
    from ocrray.training.prepared import read_prepared

    config = load(write_config(folder, name, "length", max_steps=steps), TrainConfig)
    prepared = read_prepared(folder / "prepare" / "prepared")
    assert prepared is not None
    train_data, validation_data = (
        read_samples(config, folder / "prepare" / "prepared", part, folder / "cache") for part in ("train", "validation")
    )
    order = SampleOrder(np.asarray(train_data["length"][:]), config.batch.size, config.seed, grouped=True)
    clock: dict[int, tuple[float, float]] = {}

    class Clock:
        def log(self, step: int, steps: int, metrics: dict[str, float]) -> None:  # noqa: ARG002
            if "loss" in metrics:
                clock[step] = time.perf_counter(), own_cpu_s()

        def checkpoint(self, step: int, metrics: dict[str, float], folder: Path) -> None:
            """Leave it where it is."""

    train(
        config,
        task=open_task(config),
        facts=prepared.facts,
        train_data=train_data,
        validation_data=validation_data,
        folder=folder / "loop",
        report=Clock(),
    )
    (begun, cpu_before), (ended, cpu_after) = clock[FIRST_STEP], clock[steps]
    shutil.rmtree(folder / "loop")
    return Window(order.tokens_seen(steps) - order.tokens_seen(FIRST_STEP), ended - begun, cpu_after - cpu_before, 0.0)


def own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def trainer_alone(name: str, folder: Path, steps: int) -> Window:
    """Measure a script with transformers alone, on the samples that `ocrray train` prepared."""
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
    clock: list[tuple[float, int, float]] = []

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
            clock.append((time.perf_counter(), trainer.tokens, own_cpu_s()))

    arguments = TrainingArguments(
        output_dir=str(folder / "theirs"),
        per_device_train_batch_size=2 if pads else 8,
        gradient_accumulation_steps=4 if pads else 1,
        max_steps=steps,
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
    (begun, tokens_before, cpu_before), (ended, tokens_after, cpu_after) = clock[FIRST_STEP - 1], clock[-1]
    return Window(tokens_after - tokens_before, ended - begun, cpu_after - cpu_before, 0.0)


def report(windows: dict[str, list[Window]], samples: int, steps: int) -> None:
    medians = {name: statistics.median(one.rate for one in each) for name, each in windows.items()}
    rounds = len(next(iter(windows.values())))
    print(f"{samples} pairs, {steps} steps, {rounds} rounds, {psutil.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n")
    heads = ("tokens/s", "range", "ours is", "target", "CPU-s/1000 tokens", "other cores")
    print(f"{'system':<18}{heads[0]:>10}{heads[1]:>18}{heads[2]:>10}{heads[3]:>9}{heads[4]:>20}{heads[5]:>13}")
    ours = medians.get("ours", float("nan"))
    for name, each in windows.items():
        rates = [one.rate for one in each]
        spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
        target = f">= {TARGETS[name]:.2f}" if name in TARGETS else ""
        cpu = statistics.median(1000 * one.training_cpu_s / one.tokens for one in each)
        others = statistics.median(one.other_cpu_s / one.seconds for one in each)
        print(
            f"{name:<18}{medians[name]:>10,.0f}{spread:>18}{ours / medians[name]:>8.2f} x{target:>9}{cpu:>20.3f}{others:>13.3f}"
        )


if __name__ == "__main__":
    main()
