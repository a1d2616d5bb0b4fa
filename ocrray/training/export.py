"""Export of a trained model: a folder that loads by itself, and on request its merged, packed or uploaded form."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from ocrray.errors import ConfigError
from ocrray.models.folders import ADAPTER_FILES, adapter_problems, model_problems
from ocrray.models.loading import Dtype, load_weights
from ocrray.training import delivery, plots
from ocrray.training.card import write_card
from ocrray.training.checkpoint import write_config
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.history import TrainedRun, read_state
from ocrray.training.tasks.base import Finished, Task


def export(config: TrainConfig, checkpoint: Path, out: Path, *, run: TrainedRun, held_out: pa.Table) -> None:
    """Make the model folder `out` from a checkpoint of transformers' Trainer, and the further forms of `config.output`.

    The folder holds weights, tokenizer, training_config.yaml, card and plots, and replaces an earlier one when it is complete;
    `merged` and `<out>.zip` lie beside it. The task finishes the model on `held_out`, the validation SAMPLES.

    Raises:
        ConfigError: when the checkpoint holds no usable weights.
        EngineError: at the very end, when the hub refuses the upload.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no type here
    task = open_task(config)
    step = read_state(checkpoint)["global_step"]
    with _replacing(out) as folder:
        if config.trains_adapter:
            save_adapter(config, checkpoint, folder)
        else:
            save_model(config, checkpoint, folder)
        _describe(config, task, folder, out.name, step, run, task.finish(folder, held_out))
    if config.output.merge:
        with _replacing(out.with_name("merged")) as folder:
            merge(config, out, folder)
            _describe(config, task, folder, "merged", step, run)
    if config.output.zip:
        delivery.pack(out)
    if config.output.push_to_hub:
        delivery.push(out, config.output.push_to_hub)


def save_model(config: TrainConfig, checkpoint: Path, folder: Path) -> None:
    """Write a fully trained model and its tokenizer or processor, with weights in `output.dtype`, without the optimizer's state.

    Raises:
        ConfigError: when weights are missing or too large for that dtype.
    """
    if problems := model_problems(str(checkpoint)):
        raise ConfigError("\n".join(problems))
    trust = config.model.trust_remote_code
    dtype = config.output.dtype or config.precision
    task = open_task(config)
    model = load_weights(
        task.model_class(), checkpoint, name=str(checkpoint), error=ConfigError, dtype=dtype, trust_remote_code=trust
    )
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise ConfigError(f"{checkpoint}: {name} is not finite as {dtype}; set output.dtype: bfloat16 or float32")
    model.save_pretrained(folder)
    task.load_preprocessor(checkpoint, trust_remote_code=trust).save_pretrained(folder)


def save_adapter(config: TrainConfig, checkpoint: Path, folder: Path) -> None:
    """Write a PEFT adapter and its tokenizer or processor; a local base model is named by its absolute path.

    Raises:
        ConfigError: when the checkpoint holds no adapter.
    """
    if problems := adapter_problems(str(checkpoint)):
        raise ConfigError("\n".join(problems))
    settings_name, weights_name = ADAPTER_FILES
    settings = json.loads((checkpoint / settings_name).read_text(encoding="utf-8"))
    base = Path(config.model.pretrained)
    settings |= {
        "base_model_name_or_path": str(base.resolve()) if base.is_dir() else config.model.pretrained,
        "revision": config.model.revision,
    }
    (folder / settings_name).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.copyfile(checkpoint / weights_name, folder / weights_name)
    preprocessor = open_task(config).load_preprocessor(checkpoint, trust_remote_code=config.model.trust_remote_code)
    preprocessor.save_pretrained(folder)


def merge(config: TrainConfig, adapter: Path, folder: Path) -> None:
    """Write the base model with the adapter in `adapter` merged in, on the CPU and in the base's own dtype."""
    from transformers import AutoConfig

    model = config.model
    settings = AutoConfig.from_pretrained(
        model.pretrained, revision=model.revision or "main", trust_remote_code=model.trust_remote_code
    )
    merged, preprocessor = open_task(config).load_merged(
        model.pretrained,
        revision=model.revision,
        adapter=str(adapter),
        dtype=_dtype_name(settings.dtype),
        device="cpu",
        trust_remote_code=model.trust_remote_code,
    )
    merged.save_pretrained(folder)
    preprocessor.save_pretrained(folder)


def _dtype_name(dtype: object) -> Dtype:
    """Return the name of a torch dtype that models are stored in; float32 for any other."""
    names: dict[str, Dtype] = {"torch.bfloat16": "bfloat16", "torch.float16": "float16"}
    return names.get(str(dtype), "float32")


def _describe(
    config: TrainConfig, task: Task, folder: Path, name: str, step: int, run: TrainedRun, finished: Finished | None = None
) -> None:
    write_config(folder, config)
    plots.draw_losses(run, config.output.published_losses, folder / plots.LOSSES_NAME)
    write_card(config, task, folder, name=name, step=step, run=run, finished=finished)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder that replaces `folder` if no exception is raised."""
    building = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    yield building
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)
