"""A work list mapped block by block on Ray Data, and each block's rows written once: what every verb that makes Parquet shares.

A block is the unit of work, of commit and of resume: Ray Data writes its rows and their ids in two phases, so that a row is in
the output once however often a process dies (`ray.data.checkpoint`, Ray 2.60). That holds for a plan of reads, maps and one write
in which every row that is read is written.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.data.checkpoint import CheckpointConfig

from ocrray.errors import EngineError, OcrrayError
from ocrray.folder import Folder
from ocrray.runtime import cluster

_MAX_BLOCK_BYTES = 16 << 20  # Ray's default of 128 MiB is more than a stage needs at hand
_MAX_ACTOR_INIT_DEATHS = 5  # a worker killed while it loads is not yet a reason to end the run, which is Ray's default
_NO_PROGRESS_TIMEOUT_S = 6 * 3600  # Ray's default of 30 minutes ends a run that waits for spot GPUs


def quieten() -> None:
    """Keep Ray Data's news off the terminal: we say in one line what went wrong, and Ray's log file still has all of it."""
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":
            handler.setLevel(logging.CRITICAL)
    DataContext.get_current().enable_progress_bars = False


@contextmanager
def committed(checkpoint: Folder) -> Iterator[None]:
    """Within this, what is written is committed to `checkpoint`, and rows whose `record_id` is committed there are not read."""
    quieten()
    context = DataContext.get_current()
    context.use_datasource_v2 = False  # the newer reader takes half of the parts at once: 830 MB a process instead of 200
    context.target_max_block_size = _MAX_BLOCK_BYTES
    context.max_consecutive_actor_init_deaths = _MAX_ACTOR_INIT_DEATHS
    context.execution_no_progress_timeout_s = _NO_PROGRESS_TIMEOUT_S
    context.checkpoint_config = CheckpointConfig(
        id_column="record_id",
        checkpoint_path=checkpoint.path,
        override_filesystem=checkpoint.filesystem,
        delete_checkpoint_on_success=False,
    )
    try:
        yield
    finally:
        context.checkpoint_config = None


def committed_records(checkpoint: Folder) -> int:
    """Return the number of records that earlier runs committed to this checkpoint."""
    files = checkpoint.files(".parquet")
    return sum(
        pq.read_metadata(info.path, filesystem=checkpoint.filesystem).num_rows
        for info in files
        if not info.base_name.endswith(".pending.parquet")
    )


def read_blocks(work_list: Folder, rows_per_block: int) -> Dataset:
    """The Parquet files of a work list, in blocks of so many rows."""
    parts = sum(1 for _ in work_list.files(".parquet"))
    rows = ray.data.read_parquet(work_list.path, filesystem=work_list.filesystem, override_num_blocks=parts)
    return rows.repartition(target_num_rows_per_block=rows_per_block)


def map_blocks(rows: Dataset, stage: Callable[[pa.Table], pa.Table]) -> Dataset:
    """Every block through `stage`, in tasks."""
    return rows.map_batches(stage, batch_format="pyarrow", batch_size=None, zero_copy_batch=True)


def map_in_pool(
    rows: Dataset,
    worker: type,
    arguments: tuple,
    *,
    workers: int | None,
    on_cluster: bool,
    num_cpus: float,
    num_gpus: float = 0,
    blocks_at_once: int = 1,
    rows_per_block: int | None = None,
) -> Dataset:
    """Every block through one of `workers` processes that each hold a `worker(*arguments)`.

    On a cluster the pool grows and shrinks with it; on one machine, where all of it is ours at once, it is a fixed one.
    A worker is called with `blocks_at_once` blocks from as many threads, so that it has more at hand when one comes to its end.
    With GPUs Ray Data wants to be told `rows_per_block`; smaller blocks, left over by an earlier run, are then laid together.
    """
    size = {"min_size": 1, "max_size": workers} if on_cluster else {"size": workers or _room(num_gpus)}
    several = {"max_concurrent_calls_per_actor": blocks_at_once, "enable_true_multi_threading": True}
    pool = ActorPoolStrategy(**size, **(several if blocks_at_once > 1 else {}))
    return rows.map_batches(
        worker,
        fn_constructor_args=arguments,
        batch_format="pyarrow",
        batch_size=rows_per_block if num_gpus else None,
        zero_copy_batch=True,
        compute=pool,
        num_cpus=num_cpus,
        num_gpus=num_gpus or None,
    )


def _room(num_gpus: float) -> int:
    """How many workers there is room for on this machine: one a core, or as many as its GPUs suffice for."""
    return max(1, int(ray.cluster_resources().get("GPU", 0) // num_gpus)) if num_gpus else os.cpu_count() or 1


def write_blocks(rows: Dataset, folder: Folder, monitor: ray.actor.ActorHandle) -> None:
    """Run the plan and write its rows into `folder`; raises EngineError, with the reason that a worker left with the monitor."""
    try:
        rows.write_parquet(folder.path, filesystem=folder.filesystem)
    except ray.exceptions.RayError as error:
        reason = ray.get(monitor.reason.remote())
        raise EngineError(reason or f"Ray gave up: {cluster.last_line(error)} (its logs are in {cluster.log_folder()})") from None


@contextmanager
def telling(monitor: ray.actor.ActorHandle) -> Iterator[None]:
    """Leave the reason of an error that ends the run with the monitor: Ray Data passes on a traceback, not the exception."""
    try:
        yield
    except OcrrayError as error:
        ray.get(monitor.stop_because.remote(str(error)))
        raise
