"""Config of one run of `ocrray train`."""

from pydantic import model_validator

from ocrray.config import StrictModel
from ocrray.training.settings import RunSettings
from ocrray.training.tasks.base import Task
from ocrray.training.tasks.registry import TaskConfig


class _TaskSection(StrictModel):
    """Base of its own so that `task` comes first where a config is written out."""

    task: TaskConfig


class TrainConfig(RunSettings, _TaskSection):
    """One complete run of `ocrray train`."""

    @model_validator(mode="after")
    def _consistent(self) -> "TrainConfig":
        if self.from_scratch and not (self.model.architecture and self.model.tokenizer):
            raise ValueError("method from_scratch needs model.architecture and model.tokenizer")
        if not self.from_scratch and not self.model.name:
            raise ValueError(f"method {self.method.kind} needs model.name")
        if self.precision == "float16" and not self.workers.gpus:
            raise ValueError("precision float16 trains on GPUs only; take bfloat16 or float32, or set workers.gpus")
        if self.deepspeed and self.optimizer.kind != "adamw":
            raise ValueError(f"optimizer {self.optimizer.kind} does not run under DeepSpeed")
        if conflicts := self.task.conflicts(self):
            raise ValueError("; ".join(conflicts))
        if self.output.merge and not self.trains_adapter:
            raise ValueError(f"output.merge merges an adapter into its base, and method {self.method.kind} makes none")
        return self


def open_task(config: TrainConfig) -> Task:
    """Return the task that `config.task` names."""
    return config.task.open(config)
