"""End of a run: at its last step, or before it where the validation loss no longer falls."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ocrray.training.settings import EarlyStoppingConfig


def stops_early(history: Iterable[Mapping[str, Any]], config: EarlyStoppingConfig | None) -> bool:
    """Return True when the last `patience` validation losses of a log did not improve on the best one before them.

    The log alone decides, so that a resumed run stops where an uninterrupted one would have stopped.
    """
    if config is None:
        return False
    best, without = math.inf, 0
    for loss in (entry["eval_loss"] for entry in history if "eval_loss" in entry):
        improved = loss < best - config.min_improvement
        best, without = (loss, 0) if improved else (best, without + 1)
    return without >= config.patience
