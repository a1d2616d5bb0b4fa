"""What the loop tells while it trains: figures by step, checkpoints, and that the loss is no longer a number."""

import math
import time
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ocrray.errors import EngineError
from ocrray.training.checkpoint import StepLayout, write_notes
from ocrray.training.config import TrainConfig
from ocrray.training.order import SampleOrder


class Report(Protocol):
    """Where the loop's news goes; every worker calls it equally often."""

    def log(self, step: int, steps: int, metrics: dict[str, float]) -> None:
        """Figures of one step, of so many."""

    def checkpoint(self, step: int, metrics: dict[str, float], folder: Path) -> None:
        """A checkpoint was written into `folder`, this worker's part of it; `metrics` are the newest of every kind."""


class Progress(TrainerCallback):
    """Passes on what the trainer logs and saves, with the tokens that it sees in a second; stops at a loss of NaN.

    It has every step of an evaluation or a checkpoint logged, so that what is logged next is the same after a restart; and it has
    the first step, the last one and every checkpoint evaluated: the best one is chosen by its own loss.
    """

    def __init__(self, config: TrainConfig, layout: StepLayout, order: SampleOrder, report: Report) -> None:
        self._config = config
        self._layout = layout
        self._order = order
        self._report = report
        self._newest: dict[str, float] = {}
        self._logged_step = 0
        self._trains_since = 0.0

    def on_train_begin(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        self._logged_step = state.global_step
        self._trains_since = time.perf_counter()

    def on_epoch_begin(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        # The data loader of a run that goes on is wrapped too deep for accelerate to reach the sampler.
        self._order.set_epoch(state.global_step // self._order.steps_per_epoch)

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        control.should_evaluate |= control.should_save or state.global_step in (1, state.max_steps)
        control.should_log |= control.should_evaluate

    def on_log(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, logs: dict, **_: Any) -> None:
        figures = {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
        self._require_numbers(figures, state.global_step)
        if "loss" in figures:
            tokens = self._order.tokens_seen(state.global_step) - self._order.tokens_seen(self._logged_step)
            figures["tokens_per_s"] = tokens / (time.perf_counter() - self._trains_since)
            state.log_history[-1]["tokens_per_s"] = figures["tokens_per_s"]
            self._logged_step = state.global_step
        self._newest |= figures
        self._report.log(state.global_step, state.max_steps, figures)
        self._trains_since = time.perf_counter()

    def on_evaluate(self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        self._trains_since = time.perf_counter()

    def on_save(self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if args.should_save:
            write_notes(folder, self._config, self._layout)
        self._report.checkpoint(state.global_step, dict(self._newest), folder)
        self._trains_since = time.perf_counter()

    def _require_numbers(self, figures: dict[str, float], step: int) -> None:
        """A gradient in float16 may be infinite: its step is left out, and its scale is lowered."""
        watched = ("loss", "eval_loss", *(() if self._config.precision == "float16" else ("grad_norm",)))
        for name in watched:
            if not math.isfinite(figures.get(name, 0.0)):
                raise EngineError(f"{name} is {figures[name]} at step {step}: lower the learning rate, or train in bfloat16")
