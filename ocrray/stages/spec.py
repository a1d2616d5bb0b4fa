"""Stages of a run as its plan lists them, for `runtime` to place on the machines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ocrray.stages.base import CountAttempt, Stage

OpenStages = Callable[[CountAttempt], Sequence[Stage]]
"""Opens stages in the process where they run; the argument counts the attempts at a record across restarts of that process."""


@dataclass(frozen=True)
class Pool:
    """Processes that each open the stages once: at most `workers` of them (None: as many as fit), and the needs of each."""

    workers: int | None
    cpus: float = 1
    gpus: float = 0
    blocks_at_once: int = 1


@dataclass(frozen=True)
class StageSpec:
    """Stages that run one after the other in the same process; without a pool in tasks, where `open` must be cheap."""

    open: OpenStages
    pool: Pool | None = None
