"""What a checkpoint holds beside what transformers and DeepSpeed write: the run's config, and how its workers shared a step."""

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
    """How one optimizer step is spread over the workers."""

    workers: int
    step_batches: int
    """Batches of one step, over all workers: what a step sees stays the same when the group of workers is resized."""

    @property
    def accumulation(self) -> int:
        """Batches that each worker takes one after another; the nearest whole number."""
        return max(1, round(self.step_batches / self.workers))

    @property
    def is_even(self) -> bool:
        """Whether the workers can share a step's batches without a rest."""
        return self.accumulation * self.workers == self.step_batches


def first_layout(config: TrainConfig, workers: int) -> StepLayout:
    """A run's layout at its start; an elastic group is taken at its full size."""
    num = config.workers.num
    return StepLayout(workers, config.batch.accumulation * (workers if isinstance(num, int) else num[1]))


def write_notes(folder: Path, config: TrainConfig, layout: StepLayout) -> None:
    """Add to a checkpoint what `read_layout` reads, and the resolved config."""
    (folder / _NAME).write_text(json.dumps(asdict(layout)), encoding="utf-8")
    write_config(folder, config)


def write_config(folder: Path, config: TrainConfig) -> None:
    """Add the resolved config."""
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / CONFIG_NAME).write_text(settings, encoding="utf-8")


def read_layout(checkpoint: Path) -> StepLayout:
    """The layout of the run that wrote a checkpoint; raises ConfigError where it cannot be read."""
    path = checkpoint / _NAME
    try:
        layout = StepLayout(**json.loads(path.read_text(encoding="utf-8")))
        if min(layout.workers, layout.step_batches) < 1:
            raise ValueError("a number below 1")
    except (OSError, ValueError, TypeError) as err:
        raise ConfigError(f"{path}: cannot be read as the layout of a training run: {err}") from None
    return layout
