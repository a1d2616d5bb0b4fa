"""Files of ours in a checkpoint, beside those of transformers and DeepSpeed: the config and the layout of a step."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from ocrray.errors import ConfigError
from ocrray.training.config import TrainConfig

CHECKPOINTS = "checkpoints"
"""The folder of a run's checkpoints, each named `step-N`."""
CONFIG_NAME = "training_config.yaml"
_NAME = "step_layout.json"


@dataclass(frozen=True, slots=True)
class StepLayout:
    """Distribution of one optimizer step over the workers."""

    workers: int
    """Number of processes."""
    step_batches: int
    """Batches of one step over all workers; stays the same when the number of workers changes."""

    @property
    def accumulation(self) -> int:
        """Batches of each worker per step, rounded to the nearest whole number."""
        return max(1, round(self.step_batches / self.workers))

    @property
    def is_even(self) -> bool:
        """True when the batches of a step divide evenly among the workers."""
        return self.accumulation * self.workers == self.step_batches


def first_layout(config: TrainConfig, workers: int) -> StepLayout:
    """Return the layout of a new run; an elastic group is counted at its full size."""
    full_size = config.workers.most if config.workers.is_elastic else workers
    return StepLayout(workers, config.batch.accumulation * full_size)


def write_notes(folder: Path, config: TrainConfig, layout: StepLayout) -> None:
    """Add layout and resolved config to a checkpoint."""
    (folder / _NAME).write_text(json.dumps(asdict(layout)), encoding="utf-8")
    write_config(folder, config)


def write_config(folder: Path, config: TrainConfig) -> None:
    """Add the resolved config to a checkpoint or model folder."""
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / CONFIG_NAME).write_text(settings, encoding="utf-8")


def read_layout(checkpoint: Path) -> StepLayout:
    """Read the layout of the run that wrote a checkpoint.

    Raises:
        ConfigError: when it cannot be read.
    """
    path = checkpoint / _NAME
    try:
        layout = StepLayout(**json.loads(path.read_text(encoding="utf-8")))
        if min(layout.workers, layout.step_batches) < 1:
            raise ValueError("a number below 1")
    except (OSError, ValueError, TypeError) as err:
        raise ConfigError(f"{path}: cannot be read as the layout of a training run: {err}") from None
    return layout
