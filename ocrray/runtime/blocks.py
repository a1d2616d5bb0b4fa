"""Maps the blocks of a work list on Ray Data; used by every verb that writes Parquet.

A row of the dataset is a whole block: its number, and its rows as an Arrow IPC stream. So Ray Data can neither split nor merge
blocks, and the last map can write each of them as the one file that is its commit (`ocrray.corpus.blocks`).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, cast

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from ocrray.corpus.blocks import Block, Footer, read_rows
from ocrray.errors import EngineError, OcrrayError
from ocrray.runtime import cluster
from ocrray.runtime.monitor import MonitorHandle
from ocrray.runtime.resources import local_workers
from ocrray.storage import Location, faults

Map = Callable[[pa.Table], pa.Table]
"""Function that maps the rows of a block to the same rows."""
Choose = Callable[[int, pa.Table], pa.Table]
"""Function that returns some of the rows of the block of this number."""
Commit = Callable[[int, pa.Table], Footer]
"""Function that writes the data file of the block of this number and these rows."""

_MAX_ACTOR_INIT_DEATHS = 5  # by default, one worker that is killed while it loads ends the run
_MAX_WAIT_KEY = "ocrray_max_wait_s"
_NO_PROGRESS_TIMEOUT_S = 6 * 3600  # the default of 30 minutes ends a run that waits for spot GPUs


def silence_ray_data() -> None:
    """Keep log messages and progress bars of Ray Data off the terminal; its log file still has the messages."""
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":
            handler.setLevel(logging.CRITICAL)
    DataContext.get_current().enable_progress_bars = False


def read_blocks(work_list: Location, blocks: Sequence[Block], monitor: MonitorHandle, choose: Choose | None = None) -> Dataset:
    """Read these blocks of a work list, or the rows of them that `choose` returns, a task each, in the order given."""
    silence_ray_data()
    context = DataContext.get_current()
    context.max_consecutive_actor_init_deaths = _MAX_ACTOR_INIT_DEATHS
    context.execution_no_progress_timeout_s = _NO_PROGRESS_TIMEOUT_S
    context.set_config(_MAX_WAIT_KEY, faults.max_wait_s())  # Ray Data sends its context to the workers
    positions = ray.data.range(len(blocks), override_num_blocks=len(blocks))
    return _in_tasks(positions, _Read(work_list, blocks, monitor, choose))


def map_in_tasks(rows: Dataset, function: Map) -> Dataset:
    """Apply `function`, which is pickled, to every block, in as many tasks as there are free CPUs."""
    return _in_tasks(rows, _OnRows(function))


def map_in_pool(
    rows: Dataset,
    worker: Callable[..., Map],
    arguments: tuple[Any, ...],
    *,
    workers: int | None,
    on_cluster: bool,
    num_cpus: float,
    num_gpus: float = 0,
    blocks_at_once: int = 1,
) -> Dataset:
    """Apply `worker(*arguments)`, a class opened once in each actor of a pool, to every block.

    `workers` is the greatest number of actors, None as many as fit. On a cluster the pool grows and shrinks with it; on one
    machine it has a fixed size. An actor is called with `blocks_at_once` blocks from as many threads, so that it has enough to do
    while one of them ends.
    """
    pool = ActorPoolStrategy(
        size=None if on_cluster else local_workers(workers, num_gpus),
        min_size=1 if on_cluster else None,
        max_size=workers if on_cluster else None,
        max_concurrent_calls_per_actor=blocks_at_once if blocks_at_once > 1 else None,
        enable_true_multi_threading=blocks_at_once > 1 or None,
    )
    resources = {"num_cpus": num_cpus, "num_gpus": num_gpus or None}
    # Ray Data wants a batch size where there are GPUs; a batch is one block.
    return _mapped(rows, _WorkerOnRows, batch_size=1, fn_constructor_args=(worker, arguments), compute=pool, **resources)


def write_blocks(rows: Dataset, last: Map, commit: Commit, monitor: MonitorHandle) -> Iterator[Footer]:
    """Run the plan: apply `last` to each block, `commit` it, and yield its footer as soon as it is written.

    Raises:
        EngineError: when the run ends early, with the error that a worker reported to the monitor.
    """
    written = _in_tasks(rows, _Write(last, commit, monitor))
    try:
        batches = written.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        for batch in cast("Iterator[pa.Table]", batches):
            yield from (Footer(**row) for row in batch.to_pylist())
    except ray.exceptions.RayError as error:
        reason = ""
        with suppress(ray.exceptions.RayError):
            reported: ray.ObjectRef[str] = monitor.reported_error.remote()
            reason = ray.get(reported)
        of_ray = f"Ray ended the run: {cluster.last_line(error)} (its logs are in {cluster.log_folder()})"
        raise EngineError(reason or of_ray) from None


@contextmanager
def reporting_errors(monitor: MonitorHandle) -> Iterator[None]:
    """Report the message of an error that ends the run to the monitor; Ray Data would pass on only a traceback.

    Within it a worker waits for stores as long as the driver does, and tells the monitor.
    """
    limit_s = DataContext.get_current().get_config(_MAX_WAIT_KEY, faults.DEFAULT_MAX_WAIT_S)
    faults.wait_for_stores(limit_s, monitor.report_waiting.remote)
    try:
        yield
    except OcrrayError as error:
        with suppress(ray.exceptions.RayError):  # a monitor that is gone must not replace the error
            ray.get(monitor.report_error.remote(str(error)))
        raise


def _in_tasks(rows: Dataset, function: Any) -> Dataset:
    # With a batch size it would not be fused with the read before it.
    return _mapped(rows, function, batch_size=None)


def _mapped(rows: Dataset, function: Any, **options: Any) -> Dataset:
    return rows.map_batches(function, batch_format="pyarrow", zero_copy_batch=True, **options)


class _Read:
    """First map: the rows of the block at each position of the range."""

    def __init__(self, work_list: Location, blocks: Sequence[Block], monitor: MonitorHandle, choose: Choose | None) -> None:
        self.work_list, self.monitor, self.choose = work_list, monitor, choose
        # Pickled with every task: as arrays, 20,000 blocks cost a fraction of a millisecond.
        self.parts = list(dict.fromkeys(block.part for block in blocks))
        place = {part: i for i, part in enumerate(self.parts)}
        rows = [(block.number, place[block.part], block.start, block.rows) for block in blocks]
        self.blocks = np.array(rows, dtype=np.int64).reshape(-1, 4)

    def __call__(self, batch: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            return pa.concat_tables(map(self._read, batch["id"].to_pylist()))

    def _read(self, position: int) -> pa.Table:
        number, part, start, rows = self.blocks[position].tolist()
        work = read_rows(self.work_list, Block(number, self.parts[part], start, rows))
        return _packed(number, self.choose(number, work) if self.choose else work)


class Chain:
    """Map that applies functions one after the other."""

    def __init__(self, functions: Sequence[Map]) -> None:
        self.functions = functions

    def __call__(self, rows: pa.Table) -> pa.Table:
        for function in self.functions:
            rows = function(rows)
        return rows


class _OnRows:
    """Map of blocks that applies a function to the rows of each."""

    def __init__(self, function: Map) -> None:
        self.function = function

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables(_packed(number, self.function(rows)) for number, rows in _unpacked(batch))


class _WorkerOnRows(_OnRows):
    """Map of blocks whose function is opened in the actor."""

    def __init__(self, worker: Callable[..., Map], arguments: tuple[Any, ...]) -> None:
        super().__init__(worker(*arguments))


class _Write:
    """Last map: apply a function to the rows of the block, commit it, and pass on its footer."""

    def __init__(self, function: Map, commit: Commit, monitor: MonitorHandle) -> None:
        self.function, self.commit, self.monitor = function, commit, monitor

    def __call__(self, batch: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            footers = [asdict(self.commit(number, self.function(rows))) for number, rows in _unpacked(batch)]
        return pa.Table.from_pylist(footers)


def _packed(number: int, rows: pa.Table) -> pa.Table:
    measure = pa.MockOutputStream()  # copies nothing; a buffer that grows would copy everything several times
    _write_stream(measure, rows)
    data = pa.allocate_buffer(measure.size())
    _write_stream(pa.FixedSizeBufferWriter(data), rows)
    offsets = pa.py_buffer(np.array([0, data.size], dtype=np.int64))
    values = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, offsets, data])  # without a copy
    return pa.table({"number": pa.array([number], pa.int64()), "rows": values})


def _write_stream(sink: pa.NativeFile, rows: pa.Table) -> None:
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)


def _unpacked(batch: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    for number, rows in zip(batch["number"].to_pylist(), batch["rows"], strict=True):
        with pa.ipc.open_stream(rows.as_buffer()) as reader:
            yield number, reader.read_all()
