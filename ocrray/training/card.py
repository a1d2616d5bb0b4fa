"""Model card: README.md of a model folder, with the metadata that Hugging Face's tools read."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from jinja2 import PackageLoader

from ocrray.corpus.card import NAME, card_environment
from ocrray.models.folders import ADAPTER_FILES
from ocrray.training.config import TrainConfig
from ocrray.training.history import TrainedRun
from ocrray.training.plots import LOSSES_NAME
from ocrray.training.settings import LoraMethod
from ocrray.training.tasks.base import CardText, Finished, Task

MAX_ROWS = 40  # of a table by step
_LIBRARIES = ("ocrray", "ray", "torch", "transformers", "tokenizers", "peft", "accelerate", "deepspeed", "datasets")
_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True, slots=True)
class WeightsSummary:
    """Weights in a folder: number of parameters, data types, size."""

    parameters: int
    dtypes: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LossRow:
    """Losses at one step and passes over the training data until then; None where nothing was logged."""

    step: int
    epoch: float | None
    training: float | None
    validation: float | None
    published: float | None


def write_card(
    config: TrainConfig, task: Task, folder: Path, *, name: str, step: int, run: TrainedRun, finished: Finished | None = None
) -> None:
    """Write README.md into a model folder that holds the weights of `step`; `name` is what the folder will be called."""
    adapter = (folder / "adapter_config.json").is_file()
    place = config.output.push_to_hub or str(Path(config.output.path) / name)
    text = task.card({"model": config.model.name, "adapter": place} if adapter else {"model": place})
    finished = finished or Finished()
    columns, measured = _measured(run, step)
    results = {**{name: value for row in measured if row["step"] == step for name, value in row.items()}, **finished.figures}
    env = card_environment().overlay(loader=PackageLoader("ocrray.training", "."))
    env.filters |= {"loss": lambda value: "–" if value is None else f"{value:.4f}"}
    card = env.get_template("card.md.jinja").render(
        front_matter=_front_matter(config, text, adapter, results),
        config=config,
        task=text,
        restore_yaml=yaml.safe_dump(dict(text.restore), sort_keys=False, allow_unicode=True, width=math.inf),
        finished=finished,
        adapter=adapter,
        title=config.output.title or Path(config.output.path).name,
        place=place,
        step=step,
        run=run,
        weights=_weights(folder),
        date=datetime.now(UTC).date(),
        losses=_losses(config, run, step),
        measured_columns=columns,
        measured=measured,
        hyperparameters=_hyperparameters(config, text, _adapted_layers(folder)),
        versions=_versions(),
        pictures={"losses": LOSSES_NAME},
    )
    # Parts that do not apply leave runs of empty lines behind, which Markdown reads as one.
    (folder / NAME).write_text(re.sub(r"\n{3,}", "\n\n", card), encoding="utf-8")


def _front_matter(config: TrainConfig, text: CardText, adapter: bool, results: Mapping[str, float]) -> str:
    """Return the metadata as YAML, `model-index` included, https://huggingface.co/docs/hub/model-cards#model-card-metadata."""
    from huggingface_hub import EvalResult, ModelCardData

    output, base = config.output, config.model.name
    on_hub = base is not None and not Path(base).is_dir()
    dataset = output.datasets[0] if len(output.datasets) == 1 else "validation"
    evaluations = [
        EvalResult(
            task_type=text.pipeline_tag,
            dataset_type=dataset,
            dataset_name="held-out validation samples",
            dataset_split="validation",
            metric_type=metric,
            metric_name=metric.replace("_", " "),
            metric_value=round(value, 6),
        )
        for metric, value in results.items()
        if metric != "step"
    ]
    data = ModelCardData(
        license=output.license or "unknown",
        language=list(output.languages) or None,
        base_model=base if on_hub else None,
        base_model_relation=("adapter" if adapter else "finetune") if on_hub else None,
        library_name="peft" if adapter else "transformers",
        pipeline_tag=text.pipeline_tag,
        datasets=list(output.datasets) or None,
        metrics=[metric for metric in ("cer", "wer") if metric in results] or None,
        tags=list(dict.fromkeys(["ocr", *text.tags, config.task.kind.replace("_", "-"), "ocrray"])),
        model_name=Path(output.push_to_hub or output.path).name,
        eval_results=evaluations or None,
    )
    return data.to_yaml() + "\n"


def _weights(folder: Path) -> WeightsSummary:
    from safetensors import safe_open

    parameters, size_bytes = 0, 0
    dtypes: set[str] = set()
    for file in folder.glob("*.safetensors"):
        size_bytes += file.stat().st_size
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a dict)
                tensor = tensors.get_slice(name)
                parameters += math.prod(tensor.get_shape())
                dtypes.add(_DTYPES.get(tensor.get_dtype(), tensor.get_dtype()))
    return WeightsSummary(parameters, ", ".join(sorted(dtypes)), size_bytes)


def _losses(config: TrainConfig, run: TrainedRun, step: int) -> list[LossRow]:
    """Return rows for the steps that were evaluated or published, thinned to about MAX_ROWS."""
    training, validation, epochs = run.training_losses(), run.validation_losses(), run.epochs()
    published = config.output.published_losses
    best = min(validation, key=validation.__getitem__, default=step)
    steps = _thinned(validation.keys() | published.keys(), keep={step, best, *published})
    return [LossRow(at, epochs.get(at), _covering(training, at), validation.get(at), published.get(at)) for at in steps]


def _covering(losses: dict[int, float], step: int) -> float | None:
    """Return the training loss of the interval that holds the step: it is logged at the interval's end."""
    return next((loss for at, loss in losses.items() if at >= step), None)


def _thinned(steps: Collection[int], keep: Collection[int]) -> list[int]:
    """Return about MAX_ROWS evenly spaced steps at most, with the first, the last and those to keep."""
    ordered = sorted(steps)
    stride = max(1, math.ceil(len(ordered) / MAX_ROWS))
    return sorted({*ordered[::stride], *ordered[-1:], *(set(keep) & set(ordered))})


def _measured(run: TrainedRun, step: int) -> tuple[list[str], list[dict[str, float]]]:
    """Return metric names, and the evaluation results of checkpoints by step."""
    by_step = {int(figures["step"]): {**figures, "step": int(figures["step"])} for figures in run.measured}
    for figures in by_step.values():
        if figures.get("raw_cer") and "cer" in figures:
            figures["cer_reduction"] = 1 - figures["cer"] / figures["raw_cer"]
    columns = list(dict.fromkeys(name for figures in by_step.values() for name in figures if name != "step"))
    return columns, [by_step[at] for at in _thinned(by_step, keep={step})]


def _hyperparameters(config: TrainConfig, text: CardText, adapted: Mapping[str, int]) -> list[tuple[str, Any]]:
    optimizer = config.optimizer
    betas, decay = _joined(optimizer.betas), f"weight decay {optimizer.weight_decay:g}"
    composition = {
        "none": "any samples",
        "length": "samples of similar length",
        "packed": "packed samples",
        "rows": "samples in the order of the rows",
    }
    return [
        ("method", config.method.kind),
        *_adapter_rows(config, adapted),
        ("steps", config.max_steps) if config.max_steps else ("epochs", f"{config.epochs:g}"),
        *([("greatest number of steps", config.step_limit)] if config.step_limit else []),
        ("batch: size × accumulation × workers", _step_samples(config)),
        ("optimizer", f"{optimizer.kind}, betas {betas}, eps {optimizer.eps:g}, {decay}"),
        ("learning rate", f"{optimizer.learning_rate:g}, {optimizer.schedule}, {optimizer.warmup_steps} steps of warm-up"),
        ("greatest gradient norm", f"{optimizer.max_grad_norm:g}"),
        ("batches made of", composition[config.data.grouping]),
        *text.hyperparameters,
        ("precision", config.precision),
        ("DeepSpeed", _zero(config)),
        ("gradient checkpointing", "yes" if config.gradient_checkpointing else "no"),
        ("seed", config.seed),
    ]


def _adapter_rows(config: TrainConfig, adapted: Mapping[str, int]) -> list[tuple[str, Any]]:
    method = config.method
    if not isinstance(method, LoraMethod):
        return []
    return [
        ("LoRA rank", method.r),
        ("LoRA alpha", f"{method.alpha:g}"),
        ("LoRA dropout", f"{method.dropout:g}"),
        ("LoRA target modules", _joined(method.target_modules)),
        *([("adapted layers", _joined([f"{count} in {part}" for part, count in adapted.items()]))] if adapted else []),
        *([("adapter trained further", config.model.adapter)] if config.model.adapter else []),
    ]


def _adapted_layers(folder: Path) -> dict[str, int]:
    """Return the number of layers with a low-rank adapter in each part of the model, by its name."""
    from safetensors import safe_open

    file = folder / ADAPTER_FILES[1]
    if not file.is_file():
        return {}
    with safe_open(file, framework="numpy") as tensors:
        names = [name.removeprefix("base_model.model.") for name in tensors.keys() if ".lora_A." in name]  # noqa: SIM118 (not a dict)
    return dict(Counter(re.split(r"\.\d+\.|\.[^.]*\.lora_A\.", name)[0] for name in sorted(names)))


def _step_samples(config: TrainConfig) -> str:
    batch, workers = config.batch, config.workers
    if workers.is_elastic:
        return f"{batch.size} × {batch.accumulation} × {workers.least} to {workers.most}"
    return f"{batch.size} × {batch.accumulation} × {workers.most} = {batch.size * batch.accumulation * workers.most}"


def _zero(config: TrainConfig) -> str:
    zero = config.deepspeed
    if zero is None:
        return "no"
    offloaded = [part for part in ("optimizer", "params") if getattr(zero, f"offload_{part}")]
    return f"ZeRO-{zero.zero_stage}" + (f", offloaded: {_joined(offloaded)}" if offloaded else "")


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
