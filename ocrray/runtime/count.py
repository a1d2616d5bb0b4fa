"""Counts the records of an evaluation on Ray: one task a batch, and a bounded number of them in flight."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial

import ray

from ocrray.errors import EngineError
from ocrray.evaluation.counts import Counted, count_all
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.scoring import CountBatches, ScorableBatch
from ocrray.runtime import cluster

_IN_FLIGHT_PER_WORKER = 2


def count_on_ray(workers: int) -> CountBatches:
    """Return a function that counts with `workers` tasks at once, for as long as this process is connected to Ray."""
    return partial(_count_batches, workers=workers)


def local_cpus(workers: int) -> int:
    """Return the number of logical CPUs of a cluster that is started on this machine."""
    return min(workers, os.cpu_count() or 1)


def _count_batches(
    batches: Iterable[ScorableBatch], normalise: Normalisation, *, workers: int
) -> Iterator[tuple[ScorableBatch, Counted]]:
    task = ray.remote(count_all)
    waiting: deque[tuple[ScorableBatch, ray.ObjectRef[Counted]]] = deque()
    try:
        for texts in batches:
            waiting.append((texts, task.remote(texts.raw, texts.corrected, texts.truth, normalise)))
            if len(waiting) > _IN_FLIGHT_PER_WORKER * workers:
                first, counts = waiting.popleft()
                yield first, ray.get(counts)
        for texts, counts in waiting:
            yield texts, ray.get(counts)
    except ray.exceptions.RayError as error:
        raise EngineError(f"Ray gave up: {cluster.last_line(error)} (its logs are in {cluster.log_folder()})") from None
