"""Listing of an input in Ray tasks, each of which reads the rows of a group of files; the driver keeps counts only."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import ray
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ocrray.corpus.blocks import read_update
from ocrray.corpus.update import Updated, update_work_list
from ocrray.errors import EngineError, OcrrayError
from ocrray.runtime import cluster
from ocrray.runtime.monitor import clock
from ocrray.sources.file_record import Part
from ocrray.sources.input import InputConfig
from ocrray.sources.input_changes import InputChanges
from ocrray.sources.input_files import InputFiles, file_weight
from ocrray.sources.listing import ListingJob, list_input
from ocrray.sources.worklist import Listing
from ocrray.storage import Location, faults

A = TypeVar("A")
B = TypeVar("B")

_TASKS_PER_CPU = 2  # one that runs, and one that waits for it to end
_LEAST_TASKS = 8  # the first in order may take longer than those behind it
_MAX_RETRIES = 20  # spot nodes come and go
_QUIET_S = 3.0
_LOG_EVERY_S = 10.0  # as the display of a run


def list_rows(
    files: InputFiles, config: InputConfig, work_list: Location, *, images: bool, limit: int | None = None
) -> tuple[Listing, list[Part]]:
    """List the files into `work_list`, and return the counts and the parts in their order.

    `images` is True if scans can be recognized; `limit`: take only the first so many records.

    Raises:
        ConfigError: when a table lacks a column.
        EngineError: when Ray gives up.
    """
    with _progress(files.weight) as on_group:
        job = ListingJob(config=config, work_list=work_list, images=images, limit=limit, in_order=in_tasks, on_group=on_group)
        return list_input(files, job)


def update_rows(
    files: InputFiles, config: InputConfig, output: Location, *, images: bool, pass_number: int, redo_all: bool
) -> Updated | None:
    """Take the changes of the input into the work list of `output`; see `corpus.update.update_work_list`.

    Raises:
        ConfigError: when a table lacks a column.
        EngineError: when Ray gives up.
    """
    work_list = output.child("_work_list")
    changes = InputChanges(files, work_list, read_update(work_list).version)
    with _progress(sum(map(file_weight, changes.new_or_changed))) as on_group:
        job = ListingJob(config=config, work_list=work_list, images=images, in_order=in_tasks, on_group=on_group)
        return update_work_list(files, job, output, pass_number, redo_all=redo_all)


def in_tasks(function: Callable[[A], B], arguments: Iterable[A], /) -> Iterator[B]:
    """Apply `function` to the arguments in Ray tasks, a bounded number at a time, and yield the results in order.

    Raises:
        OcrrayError: that a task raised.
        EngineError: when Ray gives up.
    """
    task: Any = ray.remote(_caught).options(num_cpus=1, max_retries=_MAX_RETRIES)
    cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    most = max(_LEAST_TASKS, _TASKS_PER_CPU * cpus)
    running: deque[Any] = deque()
    waiting = iter(arguments)
    try:
        while True:
            while len(running) < most and (argument := next(waiting, None)) is not None:
                running.append(task.remote(function, argument, faults.max_wait_s()))
            if not running:
                return
            result = ray.get(running[0])
            running.popleft()
            if isinstance(result, OcrrayError):
                raise result
            yield result
    except ray.exceptions.RayError as error:
        message = f"Ray ended the listing: {cluster.last_line(error)} (its logs are in {cluster.log_folder()})"
        raise EngineError(message) from None
    finally:
        _end(running)


def _caught(function: Callable[[A], B], argument: A, max_wait_s: float) -> B | OcrrayError:
    faults.wait_for_stores(max_wait_s)
    try:
        return function(argument)
    except OcrrayError as error:  # as a result: Ray would wrap it into one of its own
        return error


def _end(running: Iterable[Any]) -> None:
    """Kill tasks whose results are not wanted, and wait for them: they write files."""
    refs = list(running)
    with suppress(ray.exceptions.RayError):
        for ref in refs:
            ray.cancel(ref, force=True)
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=30)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    """Show records, their rate and the time to the end on standard error, where listing takes longer than a few seconds."""
    begun = shown = time.monotonic()
    done = records = 0
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("listing the input", total=total)

    def on_group(group_weight: int, group_records: int) -> None:
        nonlocal done, records, shown
        done, records = done + group_weight, records + group_records
        elapsed_s = time.monotonic() - begun
        eta_s = elapsed_s / done * max(0, total - done)
        if sys.stderr.isatty():
            if elapsed_s > _QUIET_S and not bar.live.is_started:
                bar.start()
            rate = f"{records:,} records listed · {records / elapsed_s:,.0f}/s · ETA {clock(eta_s)}"
            bar.update(task, completed=done, description=rate)
        elif time.monotonic() - shown > _LOG_EVERY_S:
            shown = time.monotonic()
            state = {"listed": records, "records_per_s": round(records / elapsed_s, 3), "eta_s": round(eta_s)}
            print(json.dumps(state), file=sys.stderr, flush=True)

    try:
        yield on_group
    finally:
        bar.stop()
