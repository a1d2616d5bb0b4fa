"""Learning-rate schedules that do not fit into a run."""

import math

from ocrray.training.settings import OptimizerConfig


def schedule_problem(optimizer: OptimizerConfig, steps: int) -> str:
    """Describe a schedule that a run of `steps` optimizer steps does not get through; empty where it does."""
    if optimizer.warmup_steps >= steps:
        return (
            f"optimizer.warmup_steps: the run ends after {steps:,} steps, while the learning rate still rises "
            f"({optimizer.warmup_steps:,} warm-up steps), and never reaches optimizer.learning_rate"
        )
    decay_steps = math.ceil(optimizer.decay_frac * steps)
    if optimizer.schedule == "warmup_stable_decay" and optimizer.warmup_steps + decay_steps > steps:
        return (
            f"optimizer.decay_frac: of {steps:,} steps, {optimizer.warmup_steps:,} warm up and {decay_steps:,} decay: "
            "the learning rate drops where they overlap"
        )
    return ""
