"""Maps a work list block by block on Ray Data and writes the rows of each block once; used by every verb that writes Parquet.

A block is the unit of work, commit and resume: Ray Data commits its rows and their ids in two phases, so a row is in the output
once however often a process dies (`ray.data.checkpoint`, Ray 2.60). This holds for plans of reads, maps and one write in which
every row that is read is also written.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.data.checkpoint import CheckpointConfig

from ocrray.errors import EngineError, OcrrayError
from ocrray.runtime import cluster
from ocrray.runtime.monitor import MonitorHandle
from ocrray.runtime.resources import local_workers
from ocrray.storage import Location

Map = Callable[[pa.Table], pa.Table]
"""Function that maps a block of rows to the same rows."""

_MAX_BLOCK_BYTES = 16 << 20  # Ray's default is 128 MiB; a stage needs only some rows at a time
_MAX_ACTOR_INIT_DEATHS = 5  # by default, one worker that is killed while it loads ends the run
_NO_PROGRESS_TIMEOUT_S = 6 * 3600  # the default of 30 minutes ends a run that waits for spot GPUs


def silence_ray_data() -> None:
    """Keep log messages and progress bars of Ray Data off the terminal; its log file still has the messages."""
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":
            handler.setLevel(logging.CRITICAL)
    DataContext.get_current().enable_progress_bars = False


@contextmanager
def committed(checkpoint: Location) -> Iterator[None]:
    """Commit what is written to `checkpoint`, and read only rows whose `record_id` is not committed there."""
    silence_ray_data()
    context = DataContext.get_current()
    context.use_datasource_v2 = False  # the newer reader reads half of the files at once: 830 MB per process, not 200
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


def committed_records(checkpoint: Location) -> int:
    """Return the number of records that earlier runs committed to this checkpoint."""
    files = checkpoint.files(".parquet")
    return sum(
        pq.read_metadata(info.path, filesystem=checkpoint.filesystem).num_rows
        for info in files
        if not info.base_name.endswith(".pending.parquet")
    )


def read_blocks(work_list: Location, rows_per_block: int) -> Dataset:
    """Read the Parquet files of a work list in blocks of `rows_per_block` rows."""
    parts = sum(1 for _ in work_list.files(".parquet"))
    rows = ray.data.read_parquet(work_list.path, filesystem=work_list.filesystem, override_num_blocks=parts)
    return rows.repartition(target_num_rows_per_block=rows_per_block)


def map_in_tasks(rows: Dataset, function: Map) -> Dataset:
    """Apply `function`, which is pickled, to every block, in as many tasks as there are free CPUs."""
    return rows.map_batches(function, batch_format="pyarrow", batch_size=None, zero_copy_batch=True)


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
    rows_per_block: int | None = None,
) -> Dataset:
    """Apply `worker(*arguments)`, a class opened once in each actor of a pool, to every block.

    `workers` is the greatest number of actors, None as many as fit. On a cluster the pool grows and shrinks with it; on one
    machine it has a fixed size. An actor is called with `blocks_at_once` blocks from as many threads, so that it has enough to do
    while one of them ends. With GPUs Ray Data requires `rows_per_block`; smaller blocks of a resumed run are then combined.
    """
    pool = ActorPoolStrategy(
        size=None if on_cluster else local_workers(workers, num_gpus),
        min_size=1 if on_cluster else None,
        max_size=workers if on_cluster else None,
        max_concurrent_calls_per_actor=blocks_at_once if blocks_at_once > 1 else None,
        enable_true_multi_threading=blocks_at_once > 1 or None,
    )
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


def write_blocks(rows: Dataset, folder: Location, monitor: MonitorHandle) -> None:
    """Run the plan and write its rows into `folder`.

    Raises:
        EngineError: when the run ends early, with the error that a worker reported to the monitor.
    """
    try:
        rows.write_parquet(folder.path, filesystem=folder.filesystem)
    except ray.exceptions.RayError as error:
        reason = ""
        with suppress(ray.exceptions.RayError):
            reported: ray.ObjectRef[str] = monitor.reported_error.remote()
            reason = ray.get(reported)
        of_ray = f"Ray ended the run: {cluster.last_line(error)} (its logs are in {cluster.log_folder()})"
        raise EngineError(reason or of_ray) from None


@contextmanager
def reporting_errors(monitor: MonitorHandle) -> Iterator[None]:
    """Report the message of an error that ends the run to the monitor; Ray Data would pass on only a traceback."""
    try:
        yield
    except OcrrayError as error:
        with suppress(ray.exceptions.RayError):  # a monitor that is gone must not replace the error
            ray.get(monitor.report_error.remote(str(error)))
        raise
