"""Disk space of a training run: what its checkpoints need, and errors that mean that there is none left."""

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ocrray.training.checkpoint import CHECKPOINTS
from ocrray.training.config import TrainConfig

_WEIGHT_BYTES = 4  # checkpoints hold trained weights in float32
_MOMENTS = {"adamw": 2, "paged_adamw": 2, "muon": 1}
_LEAST_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


def checkpoint_bytes(config: TrainConfig, model: Any) -> int:
    """Return about the size of a checkpoint: weights (of an adapter its own), and the optimizer's moments of the trained ones."""
    sizes = [(int(getattr(weight, "ds_numel", weight.numel())), bool(weight.requires_grad)) for weight in model.parameters()]
    trained = sum(size for size, is_trained in sizes if is_trained)
    stored = trained if config.trains_adapter else sum(size for size, _ in sizes)
    return _WEIGHT_BYTES * (stored + _MOMENTS[config.optimizer.kind] * trained)


def space_problem(config: TrainConfig, scratch: Path, checkpoint: int) -> str:
    """Describe a lack of space for checkpoints of that many bytes; empty where there is enough.

    `scratch` holds two at a time; the output holds the best ones, the last one and one that is being written, and then the model.
    """
    output = Path(config.output.path)
    there = len(list((output / CHECKPOINTS).glob("step-*")))
    here, beyond = _existing(scratch), _existing(output)
    needed = {here: 2 * checkpoint}
    is_one_disk = here.stat().st_dev == beyond.stat().st_dev
    place = here if is_one_disk else beyond
    needed[place] = needed.get(place, 0) + (max(1, config.checkpoint.keep + 2 - there) + 1) * checkpoint
    for folder, size in needed.items():
        if (free := shutil.disk_usage(folder).free) < size:
            return (
                f"{output if folder == place else scratch}: {free / 1e9:,.1f} GB are free, and checkpoints of "
                f"{checkpoint / 1e9:,.1f} GB need {size / 1e9:,.1f} GB: free some, lower checkpoint.keep, or change output.path"
            )
    return ""


def full_disk(error: BaseException, folders: Sequence[Path]) -> str:
    """Describe an error that comes of a full disk, in one line; empty for any other.

    Torch and safetensors have errors of their own for it, and not all of them say why they cannot write.
    """
    is_told = getattr(error, "errno", None) in _FULL or "no space left" in str(error).lower()
    full = [folder for folder in folders if shutil.disk_usage(_existing(folder)).free < _LEAST_BYTES]
    if not (is_told or full):
        return ""
    where = ", ".join(map(str, full or folders))
    return f"no space is left on the disk of {where}; free some, then run the same command to go on from the last checkpoint"


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
