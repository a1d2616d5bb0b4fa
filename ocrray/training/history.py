"""Record of a finished run: losses by step, evaluations of its checkpoints, data and hardware."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocrray.errors import ConfigError

STATE_NAME = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class DataPart:
    """Counts of the training or the validation data."""

    name: str
    """`train` or `validation`."""
    rows: int
    """Rows read."""
    samples: int
    """Samples made of them."""
    tokens: int
    """Tokens of all samples."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Rows, or pieces of rows, that gave no sample, by reason."""


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """Inputs of the model card that come from the run itself."""

    log: Sequence[dict[str, Any]]
    """Logged metrics, each entry with its `step`: rows of the run's monitor, or the `log_history` of `read_state`."""
    measured: Sequence[dict[str, float]] = ()
    """Results of `Task.measure` for checkpoints, each with its `step`."""
    data: Sequence[DataPart] = ()
    hardware: str = ""
    """Hardware of one training worker; empty: unknown."""
    seconds: float | None = None
    """Duration of training, over all restarts; None: unknown."""

    def training_losses(self) -> dict[int, float]:
        """Return the training loss by step."""
        return self._logged("loss")

    def validation_losses(self) -> dict[int, float]:
        """Return the validation loss by step."""
        return self._logged("eval_loss")

    def learning_rates(self) -> dict[int, float]:
        """Return the learning rate by step."""
        return self._logged("learning_rate")

    def epochs(self) -> dict[int, float]:
        """Return the passes over the training data by step."""
        return self._logged("epoch")

    def _logged(self, name: str) -> dict[int, float]:
        return dict(sorted((int(entry["step"]), float(entry[name])) for entry in self.log if name in entry))


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Read the state that transformers' Trainer wrote into a checkpoint: `global_step`, `log_history` and more.

    Raises:
        ConfigError: when it cannot be read.
    """
    path = checkpoint / STATE_NAME
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path}: cannot be read as the state of a training run: {err}") from None
    return state


def hardware() -> str:
    """Return the name of the GPU of this process, or of its processor with the number of cores."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()
