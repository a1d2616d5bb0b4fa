"""The model card: README.md of a model folder, with the front matter that Hugging Face's tools read."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from jinja2 import PackageLoader

from ocrray.corpus.card import NAME, card_environment
from ocrray.training.calibration import MAX_BROKE_CLEAN, MAX_MADE_WORSE, NEVER, Calibration
from ocrray.training.config import FullMethod, TrainConfig
from ocrray.training.curve import LOSSES_NAME, RELIABILITY_NAME
from ocrray.training.history import TrainedRun

MAX_ROWS = 40  # of a table by step
_PIPELINES = {"edit_tagging": "token-classification", "correction": "text-generation", "extraction": "text-generation"}
_LIBRARIES = ("ocrray", "ray", "torch", "transformers", "tokenizers", "peft", "accelerate", "deepspeed", "datasets")
_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights in a folder: how many numbers, in which dtypes, in so many bytes."""

    parameters: int
    dtypes: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LossRow:
    """The losses at one step, and how often the training data had been seen; None where nothing was logged."""

    step: int
    epoch: float | None
    training: float | None
    validation: float | None
    published: float | None


def write_card(
    config: TrainConfig, folder: Path, *, name: str, step: int, run: TrainedRun, calibration: Calibration | None = None
) -> None:
    """Write README.md into a model folder whose weights, those of `step`, are there already; `name` is the folder's own."""
    adapter = (folder / "adapter_config.json").is_file()
    env = card_environment().overlay(loader=PackageLoader("ocrray.training", "."))
    env.filters |= {"loss": lambda value: "–" if value is None else f"{value:.4f}"}
    columns, measured = _measured(run, step)
    text = env.get_template("card.md.jinja").render(
        front_matter=_front_matter(config, run, adapter),
        config=config,
        adapter=adapter,
        title=config.output.title or Path(config.output.path).name,
        place=config.output.push_to_hub or str(Path(config.output.path) / name),
        step=step,
        run=run,
        weights=_weights(folder),
        date=datetime.now(UTC).date(),
        losses=_losses(config, run, step),
        measured_columns=columns,
        measured=measured,
        hyperparameters=_hyperparameters(config),
        versions=_versions(),
        calibration=calibration,
        limits={"made_worse": MAX_MADE_WORSE, "broke_clean": MAX_BROKE_CLEAN, "never": NEVER},
        pictures={"losses": LOSSES_NAME, "reliability": RELIABILITY_NAME},
    )
    # Parts that do not apply leave runs of empty lines behind, which Markdown reads as one.
    (folder / NAME).write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")


def _front_matter(config: TrainConfig, run: TrainedRun, adapter: bool) -> str:
    output, base = config.output, config.model.name
    on_hub = base is not None and not Path(base).is_dir()
    measured = {name for figures in run.measured for name in figures}
    fields = {
        "license": output.license or "unknown",
        "language": list(output.languages),
        "base_model": base if on_hub else None,
        "base_model_relation": ("adapter" if adapter else "finetune") if on_hub else None,
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": _PIPELINES[config.task.kind],
        "datasets": list(output.datasets),
        "metrics": [name for name in ("cer", "wer") if name in measured],
        "tags": ["ocr", "post-ocr-correction", config.task.kind.replace("_", "-"), "ocrray"],
    }
    present = {name: value for name, value in fields.items() if value}
    return yaml.safe_dump(present, sort_keys=False, allow_unicode=True)


def _weights(folder: Path) -> Weights:
    from safetensors import safe_open

    parameters, dtypes, size_bytes = 0, set(), 0
    for file in folder.glob("*.safetensors"):
        size_bytes += file.stat().st_size
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (this is no dict)
                tensor = tensors.get_slice(name)
                parameters += math.prod(tensor.get_shape())
                dtypes.add(_DTYPES.get(tensor.get_dtype(), tensor.get_dtype()))
    return Weights(parameters, ", ".join(sorted(dtypes)), size_bytes)


def _losses(config: TrainConfig, run: TrainedRun, step: int) -> list[LossRow]:
    """At the steps that were evaluated or published, fewer of them where there are many."""
    training, validation, epochs = run.training_losses(), run.validation_losses(), run.epochs()
    published = config.output.published_losses
    best = min(validation, key=validation.__getitem__, default=step)
    steps = _thinned(validation.keys() | published.keys(), keep={step, best, *published})
    return [LossRow(at, epochs.get(at), _covering(training, at), validation.get(at), published.get(at)) for at in steps]


def _covering(losses: dict[int, float], step: int) -> float | None:
    """The training loss over the steps of which this is one: it was logged at their end."""
    return next((loss for at, loss in losses.items() if at >= step), None)


def _thinned(steps: Collection[int], keep: Collection[int]) -> list[int]:
    """At most about MAX_ROWS steps, evenly taken, with the first, the last and those to keep."""
    ordered = sorted(steps)
    stride = max(1, math.ceil(len(ordered) / MAX_ROWS))
    return sorted({*ordered[::stride], *ordered[-1:], *(set(keep) & set(ordered))})


def _measured(run: TrainedRun, step: int) -> tuple[list[str], list[dict[str, float]]]:
    """The names of what generation was measured by, and the figures of checkpoints by step."""
    by_step = {int(figures["step"]): {**figures, "step": int(figures["step"])} for figures in run.measured}
    for figures in by_step.values():
        if figures.get("raw_cer") and "cer" in figures:
            figures["cer_reduction"] = 1 - figures["cer"] / figures["raw_cer"]
    columns = list(dict.fromkeys(name for figures in by_step.values() for name in figures if name != "step"))
    return columns, [by_step[at] for at in _thinned(by_step, keep={step})]


def _hyperparameters(config: TrainConfig) -> list[tuple[str, Any]]:
    method, optimizer, batch, workers = config.method, config.optimizer, config.batch, config.workers
    adapter = (
        []
        if isinstance(method, FullMethod)
        else [
            ("LoRA rank", method.r),
            ("LoRA alpha", f"{method.alpha:g}"),
            ("LoRA dropout", f"{method.dropout:g}"),
            ("LoRA target modules", _joined(method.target_modules)),
        ]
    )
    num = workers.num if isinstance(workers.num, int) else f"{workers.num[0]} to {workers.num[1]}"
    total = "" if not isinstance(workers.num, int) else f" = {batch.size * batch.accumulation * workers.num}"
    zero = config.deepspeed
    offloaded = zero and [part for part in ("optimizer", "params") if getattr(zero, f"offload_{part}")]
    return [
        ("method", method.kind),
        *adapter,
        ("steps", config.max_steps) if config.max_steps else ("epochs", f"{config.epochs:g}"),
        ("batch: size × accumulation × workers", f"{batch.size} × {batch.accumulation} × {num}{total}"),
        (
            "optimizer",
            f"{optimizer.kind}, betas {_joined(optimizer.betas)}, eps {optimizer.eps:g}, weight decay {optimizer.weight_decay:g}",
        ),
        ("learning rate", f"{optimizer.learning_rate:g}, {optimizer.schedule}, {optimizer.warmup_steps} steps of warm-up"),
        ("greatest gradient norm", f"{optimizer.max_grad_norm:g}"),
        (
            "batches made of",
            {"none": "any samples", "length": "samples of similar length", "packed": "packed samples"}[config.data.grouping],
        ),
        ("windows, characters", _joined(config.task.window_chars))
        if config.task.kind == "edit_tagging"
        else ("greatest length, tokens", config.data.max_length_tokens),
        ("precision", config.precision),
        ("DeepSpeed", f"ZeRO-{zero.zero_stage}" + (f", offloaded: {_joined(offloaded)}" if offloaded else "") if zero else "no"),
        ("gradient checkpointing", "yes" if config.gradient_checkpointing else "no"),
        ("seed", config.seed),
    ]


def _joined(values: Sequence[Any] | str) -> str:
    return values if isinstance(values, str) else ", ".join(map(str, values))


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found
