"""What is known of a run when it is over: losses by step, figures of its checkpoints, data and machines."""

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
    """The training or the validation data: rows read, samples made of them, and rows that gave none, by reason."""

    name: str
    rows: int
    samples: int
    tokens: int
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run as its card tells of it."""

    log: Sequence[dict[str, Any]]
    """What was logged, each entry with its `step`: rows of the run's monitor, or the `log_history` that `read_state` gives."""
    measured: Sequence[dict[str, float]] = ()
    """`Task.measure` of checkpoints, each with its `step`."""
    data: Sequence[DataPart] = ()
    hardware: str = ""
    """Of one training worker; empty: unknown."""
    seconds: float | None = None
    """Of training alone, over all restarts; None: unknown."""

    def training_losses(self) -> dict[int, float]:
        """Training loss by step."""
        return self._logged("loss")

    def validation_losses(self) -> dict[int, float]:
        """Validation loss by step."""
        return self._logged("eval_loss")

    def learning_rates(self) -> dict[int, float]:
        """Learning rate by step."""
        return self._logged("learning_rate")

    def epochs(self) -> dict[int, float]:
        """How often the training data had been seen, by step."""
        return self._logged("epoch")

    def _logged(self, name: str) -> dict[int, float]:
        return dict(sorted((int(entry["step"]), float(entry[name])) for entry in self.log if name in entry))


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The state that transformers' Trainer wrote into a checkpoint: `global_step`, `log_history` and more.

    Raises ConfigError where it cannot be read.
    """
    path = checkpoint / STATE_NAME
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path}: cannot be read as the state of a training run: {err}") from None


def hardware() -> str:
    """What this process computes on: the GPU's name, or the processor's and the number of its cores."""
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
