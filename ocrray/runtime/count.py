"""Counting the records of an evaluation on Ray: each batch is a task, and few are under way, so that memory stays bounded."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial

import ray

from ocrray.errors import EngineError
from ocrray.evaluation.counts import Counts, count
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.scoring import Counting, Scorable
from ocrray.runtime import cluster

_WAITING_A_WORKER = 2


def on_ray(workers: int) -> Counting:
    """A `Counting` with so many tasks at once, for as long as this process is connected to Ray."""
    return partial(_counted, workers=workers)


def local_cpus(workers: int) -> int:
    """What a cluster started on this machine should offer."""
    return min(workers, os.cpu_count() or 1)


def _counted(batches: Iterable[Scorable], normalise: Normalisation, *, workers: int) -> Iterator[tuple[Scorable, Counts]]:
    task = ray.remote(count)
    waiting: deque[tuple[Scorable, ray.ObjectRef]] = deque()
    try:
        for texts in batches:
            waiting.append((texts, task.remote(texts.raw, texts.corrected, texts.truth, normalise)))
            if len(waiting) > _WAITING_A_WORKER * workers:
                first, counts = waiting.popleft()
                yield first, ray.get(counts)
        for texts, counts in waiting:
            yield texts, ray.get(counts)
    except ray.exceptions.RayError as error:
        raise EngineError(f"Ray gave up: {cluster.last_line(error)} (its logs are in {cluster.log_folder()})") from None
