"""Sizes of a run: worker processes, their CPUs and GPUs, and the rows of a block."""

import math
import os
from collections.abc import Iterable, Sequence

from pydantic import Field

from ocrray.config import StrictModel
from ocrray.engines.base import EngineConfig
from ocrray.stages.spec import Pool
from ocrray.storage.faults import DEFAULT_MAX_WAIT_S

_MAX_BLOCKS = 20_000  # a corpus of more files than this is slow to open
_MIN_BLOCKS = 16  # even a small run commits its work in steps
_ROWS_PER_BLOCK_WITHOUT_ENGINE = 1 << 15  # a whole part of the work list: each task of Ray costs milliseconds


def gpu_problems(key: str, workers: int, gpus: float) -> list[str]:
    """Return a line if this machine has too few GPUs for `workers` with `gpus` each; none on a cluster, which may grow."""
    if not gpus or os.environ.get("RAY_ADDRESS"):
        return []
    found = _local_gpus()
    if workers * gpus <= found:
        return []
    return [f"{key}: {workers} x {gpus:g} are asked for, and this machine has {found}; set {key}: 0 for the CPU"]


def block_rows(records: int, wanted: int) -> int:
    """Return the rows of a block: `wanted`, but at most so many that there are 16 blocks, and at least so many for 20,000."""
    return max(1, min(wanted, math.ceil(records / _MIN_BLOCKS)), math.ceil(records / _MAX_BLOCKS))


def local_workers(workers: int | None, gpus: float) -> int:
    """Return the size of a pool on this machine: `workers`, else one per core, or as many as its GPUs suffice for."""
    if workers or not gpus:
        return workers or os.cpu_count() or 1
    return max(1, int(_local_gpus() / gpus))


def local_cpus(pools: Sequence[Pool]) -> int:
    """Return the logical CPUs that a local cluster must offer so that no part of the pipeline waits forever for one.

    These are the CPUs of all pools, and of tasks (one beside a pool, else one per core). A pool without a given size counts at
    least one worker per core: tasks use what GPU workers leave.
    """
    cores = os.cpu_count() or 1
    sizes = [pool.workers or max(cores, local_workers(None, pool.gpus)) for pool in pools]
    pool_cpus = sum(math.ceil(size * pool.cpus) for pool, size in zip(pools, sizes, strict=True))
    return pool_cpus + (1 if pool_cpus else cores)


def _local_gpus() -> int:
    import torch

    return torch.cuda.device_count()


class WorkersConfig(StrictModel):
    """Number of worker processes and the resources of each."""

    recognize: int | None = Field(None, ge=1)
    """Most recognizer processes. Null: one per core, or as many as there are GPUs for; on a cluster as many as fit."""
    recognize_cpus: float = Field(1, gt=0)
    """CPUs of one recognizer process."""
    recognize_gpus: float = Field(0, ge=0)
    """GPUs of one recognizer process."""
    route: int | None = Field(None, ge=1)
    """Most taggers in front of a language model, one CPU each; null as above."""
    correct: int | None = Field(None, ge=1)
    """Most corrector (or extractor) processes; null as above, or as many as there are GPUs for."""
    correct_cpus: float = Field(1, gt=0)
    """CPUs of one corrector process."""
    correct_gpus: float = Field(0, ge=0)
    """GPUs of one corrector process."""
    rows_per_block: int | None = Field(None, ge=1)
    """Records that are committed, and after a kill repeated, together; null: by the slowest engine."""
    max_wait_s: float = Field(DEFAULT_MAX_WAIT_S, ge=0)
    """Seconds to wait for a disk or object store, of the input or the output, that is overloaded, out of reach, or refuses its
    credentials; then the run ends, and can be resumed."""

    def block_rows(self, records: int, rows_per_block: Iterable[int]) -> int:
        """Return the rows of a block of `records`; `rows_per_block` is that of each engine, of which the slowest decides."""
        return self.rows_per_block or block_rows(records, min(rows_per_block, default=_ROWS_PER_BLOCK_WITHOUT_ENGINE))

    def gpu_problems(self, recognizer: EngineConfig | None, corrector: EngineConfig | None) -> list[str]:
        """Return lines if GPUs of processes cannot be had on this machine, or their engine would leave them idle."""
        return [
            *_gpu_problems("recognize", recognizer, self.recognize, self.recognize_gpus),
            *_gpu_problems("correct", corrector, self.correct, self.correct_gpus),
        ]


def _gpu_problems(section: str, engine: EngineConfig | None, workers: int | None, gpus: float) -> list[str]:
    key = f"workers.{section}_gpus"
    if gpus and not (engine and engine.uses_gpu):
        return [f"{key}: the engine of {section} computes on no GPU; set {key}: 0"]
    return gpu_problems(key, workers or 1, gpus)
