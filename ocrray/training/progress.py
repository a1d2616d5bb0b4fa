"""Reports of the training loop: metrics by step, checkpoints, and a loss that is not finite."""

import math
import time
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ocrray.errors import EngineError
from ocrray.training.checkpoint import StepLayout, write_notes
from ocrray.training.config import TrainConfig
from ocrray.training.order import SampleOrder
from ocrray.training.stopping import stops_early


class Report(Protocol):
    """Receiver of the loop's reports; every worker calls it equally often."""

    def log(self, step: int, steps: int, metrics: dict[str, float]) -> None:
        """Receive metrics of one of `steps` steps."""

    def checkpoint(self, step: int, metrics: dict[str, float], folder: Path) -> None:
        """Receive this worker's part of a checkpoint, in `folder`; `metrics` holds the newest value of each."""


class Progress(TrainerCallback):
    """Passes logs, with tokens per second, and checkpoints to a `Report`; ends the run at a loss that is not finite.

    Every step with an evaluation or a checkpoint is logged, so that later logs are the same after a restart. The first step, the
    last one and every checkpoint are evaluated: the best checkpoint is chosen by its own validation loss.
    """

    def __init__(self, config: TrainConfig, layout: StepLayout, order: SampleOrder, report: Report) -> None:
        self._config = config
        self._layout = layout
        self._order = order
        self._report = report
        self._newest: dict[str, float] = {}
        self._logged_step = 0
        self._trains_since = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Start the clock."""
        del args, control, kwargs
        self._logged_step = state.global_step
        self._trains_since = time.perf_counter()

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Set the epoch of the order."""
        del args, control, kwargs
        # In a resumed run accelerate does not reach the sampler: the data loader is wrapped once more.
        self._order.set_epoch(state.global_step // self._order.steps_per_epoch)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Have the step evaluated and logged where it must be."""
        del args, kwargs
        control.should_evaluate |= control.should_save or state.global_step in (1, state.max_steps)
        control.should_log |= control.should_evaluate

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report the logged numbers; tokens per second cover the steps since the log before."""
        del args, control
        metrics = {name: float(value) for name, value in kwargs["logs"].items() if isinstance(value, int | float)}
        self._require_finite(metrics, state.global_step)
        if "loss" in metrics:
            tokens = self._order.tokens_seen(state.global_step) - self._order.tokens_seen(self._logged_step)
            metrics["tokens_per_s"] = tokens / (time.perf_counter() - self._trains_since)
            state.log_history[-1]["tokens_per_s"] = metrics["tokens_per_s"]
            self._logged_step = state.global_step
        self._newest |= metrics
        self._report.log(state.global_step, state.max_steps, metrics)
        self._trains_since = time.perf_counter()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Restart the clock, for evaluation is no training; end the run, with a checkpoint, where it must not go on."""
        del args, kwargs
        if stops_early(state.log_history, self._config.evaluation.early_stopping):
            control.should_training_stop = control.should_save = True
        self._trains_since = time.perf_counter()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Complete the checkpoint and report it."""
        del control, kwargs
        folder = Path(args.output_dir or "") / f"checkpoint-{state.global_step}"
        if args.should_save:
            write_notes(folder, self._config, self._layout)
        self._report.checkpoint(state.global_step, dict(self._newest), folder)
        self._trains_since = time.perf_counter()

    def _require_finite(self, metrics: dict[str, float], step: int) -> None:
        # In float16 an infinite gradient is no error: the gradient scaler skips the step and lowers its scale.
        watched = ("loss", "eval_loss", *(() if self._config.precision == "float16" else ("grad_norm",)))
        for name in watched:
            if not math.isfinite(metrics.get(name, 0.0)):
                advice = "lower optimizer.learning_rate, or raise optimizer.warmup_steps"
                advice += "; bfloat16 has a wider range" if self._config.precision == "float16" else ""
                raise EngineError(f"{name} is {metrics[name]} at step {step}: {advice}")
