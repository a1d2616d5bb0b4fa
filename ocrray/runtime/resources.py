"""How many processes a run starts, and how much work each of them is handed at once."""

import math
import os
from collections.abc import Iterable

from pydantic import Field

from ocrray.config import StrictModel

_MAX_BLOCKS = 20_000  # a corpus of more files than this is slow to open
_MIN_BLOCKS = 16  # even a small run commits its work in steps
# Seconds to a minute of one worker's work.
_ROWS_PER_BLOCK = {"tesseract": 16, "extract": 32, "hf": 64, "padded": 64, "http": 64, "tagger": 512}
_ROWS_PER_BLOCK_CHEAP = 16_000


def gpu_problems(key: str, workers: int, gpus: float) -> list[str]:
    """Why not even so many workers could start, `gpus` each; on a cluster none is known: it may grow, so there the run waits."""
    if not gpus or os.environ.get("RAY_ADDRESS"):
        return []
    import torch

    found = torch.cuda.device_count()
    if workers * gpus <= found:
        return []
    return [f"{key}: {workers} x {gpus:g} are asked for, and this machine has {found}; set {key}: 0 for the CPU"]


def block_rows(records: int, enough: int) -> int:
    """How many rows to commit together: `enough` for one worker at a time, but so that there are 16 to 20,000 blocks."""
    return max(1, min(enough, math.ceil(records / _MIN_BLOCKS)), math.ceil(records / _MAX_BLOCKS))


class WorkersConfig(StrictModel):
    """How many processes work at once, and what each of them takes; null leaves it to the machine or the cluster."""

    recognize: int | None = Field(None, ge=1)
    """At most so many recognizer processes, one CPU each. Null: one a core here, as many as there is room for on a cluster."""
    route: int | None = Field(None, ge=1)
    """At most so many taggers in front of a language model, one CPU each; null as above."""
    correct: int | None = Field(None, ge=1)
    """At most so many corrector (or extractor) processes; null as above, or as many as there are GPUs for."""
    correct_cpus: float = Field(1, gt=0)
    """CPUs of one corrector process."""
    correct_gpus: float = Field(0, ge=0)
    """GPUs of one corrector process."""
    rows_per_block: int | None = Field(None, ge=1)
    """Records that are committed, and after a kill repeated, together; null chooses by the slowest engine."""

    def block_rows(self, records: int, engines: Iterable[str]) -> int:
        """`rows_per_block`, or one that suits the slowest of the engines and splits `records` into 16 to 20,000 blocks."""
        if self.rows_per_block:
            return self.rows_per_block
        return block_rows(records, min(_ROWS_PER_BLOCK.get(engine, _ROWS_PER_BLOCK_CHEAP) for engine in ("none", *engines)))

    def local_cpus(self, *, recognizes: bool, routes: bool, corrects: bool, resumes: bool) -> int:
        """Logical CPUs that a cluster on this machine alone must offer, so that nothing waits for ever for one.

        All pools at once, tasks (one beside a pool, else one a core), and one for the filter that Ray Data starts to resume.
        """
        cores = os.cpu_count() or 1
        recognizer_cpus = (self.recognize or cores) if recognizes else 0
        tagger_cpus = (self.route or cores) if routes else 0
        corrector_cpus = math.ceil((self.correct or cores) * self.correct_cpus) if corrects else 0
        pool_cpus = recognizer_cpus + tagger_cpus + corrector_cpus
        return pool_cpus + (1 if pool_cpus else cores) + resumes
