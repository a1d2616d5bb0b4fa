"""Stages as one Ray Data pipeline: read blocks of the work list -> one map per StageSpec -> write the blocks' data files.

A spec with a pool is mapped in actors that keep its engine open, the others in tasks, one map where they follow each other, which
Ray Data fuses with reading and writing. `blocks` defines how a block is read, passed on and committed.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import Dataset

from ocrray.corpus.blocks import Block, Footer
from ocrray.errors import EngineError
from ocrray.runtime import blocks, cluster
from ocrray.runtime.blocks import Choose, Commit, reporting_errors
from ocrray.runtime.monitor import MonitorHandle
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.stages.spec import OpenStages, Pool, StageSpec
from ocrray.stages.tables import to_corpus_schema
from ocrray.storage import Location


@dataclass(frozen=True)
class Pipeline:
    """Stages of a run in their order, and its output folder; on a cluster pools grow and shrink with it."""

    stages: Sequence[StageSpec]
    output: Location
    on_cluster: bool


def run_pipeline(
    pipeline: Pipeline, work: Sequence[Block], commit: Commit, monitor: MonitorHandle, choose: Choose | None = None
) -> Iterator[Footer]:
    """Process these blocks of the work list, or the rows of them that `choose` returns; `commit` writes their data files.

    Yields the footer of each data file when it is written.

    Raises:
        EngineError: when the run ends early.
    """
    rows = blocks.read_blocks(pipeline.output.child("_work_list"), work, monitor, choose)
    in_tasks: list[Worker] = []  # specs that follow each other: between two maps a block is serialised
    for spec in pipeline.stages:
        if spec.pool is None:
            in_tasks.append(Worker(spec.open, monitor))
            continue
        if in_tasks:
            rows = blocks.map_in_tasks(rows, blocks.Chain(in_tasks))
            in_tasks = []
        rows = _in_pool(rows, spec.open, spec.pool, pipeline, monitor)
    yield from blocks.write_blocks(rows, blocks.Chain([*in_tasks, Finish(monitor)]), commit, monitor)


def _in_pool(rows: Dataset, open_stages: OpenStages, pool: Pool, pipeline: Pipeline, monitor: MonitorHandle) -> Dataset:
    return blocks.map_in_pool(
        rows,
        Worker,
        (open_stages, monitor),
        workers=pool.workers,
        on_cluster=pipeline.on_cluster,
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        blocks_at_once=pool.blocks_at_once,
    )


class Worker:
    """Open the stages of one spec, and pass block after block through them; errors that end the run go to the monitor."""

    def __init__(self, open_stages: OpenStages, monitor: MonitorHandle) -> None:
        self.monitor = monitor
        self.begun: dict[int, str] = {}  # the page that each thread has begun last
        with reporting_errors(monitor):
            self.stages = open_stages(self._count_attempt)

    def __call__(self, table: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            for stage in self.stages:
                table = stage(table)
        return table

    def _count_attempt(self, record_id: str) -> int:
        ended = self.begun.pop(threading.get_ident(), "")
        count: ray.ObjectRef[int] = self.monitor.attempt.remote(record_id, ended)
        try:
            attempts = ray.get(count)
        except ray.exceptions.RayError as error:  # that the monitor is gone is not the fault of this record
            raise EngineError(f"the run's monitor cannot be reached: {cluster.last_line(error)}") from None
        self.begun[threading.get_ident()] = record_id
        return attempts


class Finish:
    """Last map: convert rows to the schema of the corpus, and report them to the monitor."""

    def __init__(self, monitor: MonitorHandle) -> None:
        self.monitor = monitor

    def __call__(self, table: pa.Table) -> pa.Table:
        table = to_corpus_schema(table)
        pages = table["record_id"].filter(pc.is_in(table["source_kind"], pa.array(IMAGE_KINDS))).to_pylist()
        self.monitor.finish.remote(Counter(table["status"].to_pylist()), pages)
        return table
