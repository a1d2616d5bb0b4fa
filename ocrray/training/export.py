"""What comes out of a training run: a model folder that loads by itself, and what is made of it on request."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ocrray.errors import ConfigError
from ocrray.models.folders import ADAPTER_FILES, adapter_problems, model_problems
from ocrray.models.loading import load_generator, missing_weights
from ocrray.training import curve, delivery
from ocrray.training.calibration import Calibration, calibrate
from ocrray.training.card import write_card
from ocrray.training.checkpoint import write_config
from ocrray.training.config import TrainConfig
from ocrray.training.history import TrainedRun, read_state
from ocrray.training.tasks import open_task

ADAPTER_METHODS = ("lora", "qlora")


def export(config: TrainConfig, checkpoint: Path, out: Path, *, run: TrainedRun, held_out: pa.Table) -> None:
    """Make the model folder `out` from a checkpoint of transformers' Trainer, and beside it what else `config.output` asks for.

    The folder holds weights, tokenizer, training_config.yaml, a card and its pictures, and takes the place of an earlier one when
    it is complete; `merged` and `<out>.zip` lie beside it. An edit tagger is calibrated on `held_out`, the validation SAMPLES.
    Raises ConfigError where the checkpoint holds no usable weights, and, at the very end, EngineError where the hub refuses them.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    step = read_state(checkpoint)["global_step"]
    with _replacing(out) as folder:
        calibration = None
        if config.method.kind in ADAPTER_METHODS:
            save_adapter(config, checkpoint, folder)
        else:
            save_model(config, checkpoint, folder)
        if config.task.kind == "edit_tagging":
            calibration = calibrate(folder, open_task(config), held_out)
        _describe(config, folder, out.name, step, run, calibration)
    if config.output.merge:
        with _replacing(out.with_name("merged")) as folder:
            merge(config, out, folder)
            _describe(config, folder, "merged", step, run)
    if config.output.zip:
        delivery.pack(out)
    if config.output.push_to_hub:
        delivery.push(out, config.output.push_to_hub)


def save_model(config: TrainConfig, checkpoint: Path, folder: Path) -> None:
    """Write a fully trained model and its tokenizer, its weights in `output.dtype`; the optimizer's state stays behind.

    Raises ConfigError where weights are missing or too large for that dtype.
    """
    from transformers import AutoTokenizer

    if problems := model_problems(str(checkpoint)):
        raise ConfigError("\n".join(problems))
    trust = config.model.trust_remote_code
    dtype = config.output.dtype or config.precision
    model, report = _family(config).from_pretrained(
        checkpoint, dtype=dtype, use_safetensors=True, output_loading_info=True, trust_remote_code=trust
    )
    if problem := missing_weights(report):
        raise ConfigError(f"{checkpoint}: {problem}")
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise ConfigError(f"{checkpoint}: {name} holds no finite numbers as {dtype}; set output.dtype: bfloat16 or float32")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=trust).save_pretrained(folder)


def save_adapter(config: TrainConfig, checkpoint: Path, folder: Path) -> None:
    """Write a PEFT adapter and its tokenizer; a base model that is a folder is named by its full path.

    Raises ConfigError where the checkpoint holds no adapter.
    """
    from transformers import AutoTokenizer

    if problems := adapter_problems(str(checkpoint)):
        raise ConfigError("\n".join(problems))
    settings_name, weights_name = ADAPTER_FILES
    settings = json.loads((checkpoint / settings_name).read_text(encoding="utf-8"))
    base = Path(config.model.name)
    settings |= {
        "base_model_name_or_path": str(base.resolve()) if base.is_dir() else config.model.name,
        "revision": config.model.revision,
    }
    (folder / settings_name).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.copyfile(checkpoint / weights_name, folder / weights_name)
    AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=config.model.trust_remote_code).save_pretrained(folder)


def merge(config: TrainConfig, adapter: Path, folder: Path) -> None:
    """Write the base model with the adapter in `adapter` merged in, on the CPU and in the base's own dtype."""
    from transformers import AutoConfig

    origin = {"revision": config.model.revision or "main", "trust_remote_code": config.model.trust_remote_code}
    dtype = AutoConfig.from_pretrained(config.model.name, **origin).dtype
    generator = load_generator(
        config.model.name,
        revision=config.model.revision,
        adapter=str(adapter),
        merge_adapter=True,
        dtype=str(dtype or "float32").removeprefix("torch."),
        device="cpu",
        trust_remote_code=config.model.trust_remote_code,
    )
    generator.model.save_pretrained(folder)
    generator.tokenizer.save_pretrained(folder)


def _family(config: TrainConfig) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

    return AutoModelForTokenClassification if config.task.kind == "edit_tagging" else AutoModelForCausalLM


def _describe(
    config: TrainConfig, folder: Path, name: str, step: int, run: TrainedRun, calibration: Calibration | None = None
) -> None:
    write_config(folder, config)
    curve.draw_losses(run, config.output.published_losses, folder / curve.LOSSES_NAME)
    if calibration:
        curve.draw_reliability(calibration, folder / curve.RELIABILITY_NAME)
    write_card(config, folder, name=name, step=step, run=run, calibration=calibration)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` only when nothing went wrong."""
    building = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    yield building
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)
