"""Progress of a run: workers report to one actor, and the driver shows its counts."""

import hashlib
import json
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeAlias

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ocrray.errors import ConfigError
from ocrray.records import STATUSES
from ocrray.storage import Location

MonitorHandle: TypeAlias = "ray.actor.ActorHandle[Any]"
"""A running RunMonitor or TrainMonitor."""

_SHOW_EVERY_S = 1.0
_WAITING_SHOWN_S = 70.0  # a worker says every minute that it still waits
_LOG_EVERY_S = 10.0  # one JSON line; a log file of a run of days stays readable


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class RunMonitor:
    """Count finished records by status, and the attempts at each page; keep the error that ends the run.

    It is restarted where its process dies: counts then begin at zero, which costs the display some records and a page that
    kills its worker some more attempts, but no record.
    """

    def __init__(self) -> None:
        self.finished: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.error = ""
        self.waiting = ""
        self.waiting_since_s = 0.0

    def finish(self, counts: Mapping[str, int], record_ids: list[str]) -> None:
        """Add a block that passed every stage, and forget the attempts at its pages."""
        self.finished.update(counts)
        for record_id in record_ids:
            self.attempts.pop(record_id, None)

    def begin_phase(self) -> None:
        """Reset the counts, for another work list of the same run."""
        self.finished.clear()

    def attempt(self, record_id: str, ended: str = "") -> int:
        """Count one more attempt at this page, and return how many there were; forget those at the page that `ended` before it.

        So a page is not blamed for the deaths of its process on other pages of the block.
        """
        self.attempts.pop(ended, None)
        self.attempts[record_id] += 1
        return self.attempts[record_id]

    def report_error(self, message: str) -> None:
        """Keep the error with which a worker ends the run, unless another one came first."""
        self.error = self.error or message

    def reported_error(self) -> str:
        """Return the first message of `report_error`, empty if there was none."""
        return self.error

    def report_waiting(self, line: str) -> None:
        """Keep the line with which a worker says that it waits for a store."""
        self.waiting, self.waiting_since_s = line, time.monotonic()

    def snapshot(self) -> tuple[dict[str, int], int, str]:
        """Return the finished records by status, the number of pages begun and not finished, and what a worker waits for."""
        is_old = time.monotonic() - self.waiting_since_s > _WAITING_SHOWN_S
        return dict(self.finished), len(self.attempts), "" if is_old else self.waiting


class Display(ABC):
    """Show the progress of a run as a bar, or as one JSON line every ten seconds if standard error is no terminal.

    Subclasses convert the monitor's snapshots into a state; its `done` and `total` (None: unknown) set the bar.
    """

    starting = "starting workers"

    def __init__(self, monitor: MonitorHandle) -> None:
        self.monitor = monitor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    @abstractmethod
    def state(self, snapshot: Any) -> dict[str, Any]:
        """Convert a snapshot of the monitor into the values of a log line."""

    @abstractmethod
    def describe(self, state: Mapping[str, Any]) -> str:
        """Return the text beside the bar."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _show(self) -> None:
        if sys.stderr.isatty():
            self._show_bar()
        else:
            for state in self._states(_LOG_EVERY_S):
                print(json.dumps(state), file=sys.stderr, flush=True)

    def _show_bar(self) -> None:
        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(self.starting, total=None)
            for state in self._states(_SHOW_EVERY_S):
                progress.update(task, total=state["total"], completed=state["done"], description=self.describe(state))

    def _states(self, every_s: float) -> Iterator[dict[str, Any]]:
        while not self._stop.wait(every_s):
            try:
                answer: ray.ObjectRef[Any] = self.monitor.snapshot.remote()
                snapshot = ray.get(answer, timeout=every_s * 5)
            except (ray.exceptions.RayError, TimeoutError):
                continue  # an error of the display must not end the run
            if not self._stop.is_set():  # a late answer is older than the state at the end
                yield self.state(snapshot)


class ProgressDisplay(Display):
    """Show the number of finished records by status."""

    def __init__(
        self, monitor: MonitorHandle, total: int, already_done: int, unit: str, statuses: Sequence[str] = STATUSES
    ) -> None:
        super().__init__(monitor)
        self.statuses = statuses
        self.total = total
        self.already_done = already_done
        self.unit = unit
        self.started = time.monotonic()

    def state(self, snapshot: tuple[dict[str, int], int, str]) -> dict[str, int | float | str | None]:
        counts, in_flight, waiting = snapshot
        finished = sum(counts.values())
        rate = finished / (time.monotonic() - self.started)
        remaining = self.total - self.already_done - finished
        return {
            "done": self.already_done + finished,
            "total": self.total,
            "records_per_s": round(rate, 3),
            "eta_s": round(remaining / rate) if rate else None,
            "in_flight": in_flight,
            **{status: counts.get(status, 0) for status in self.statuses},
            **({"waiting": waiting} if waiting else {}),
        }

    def describe(self, state: Mapping[str, Any]) -> str:
        counts = " · ".join(f"{state[status]} {status}" for status in self.statuses if state[status])
        rate = f"{state['records_per_s']:.1f} {self.unit}/s" if state["records_per_s"] else self.starting
        eta = f" · ETA {clock(state['eta_s'])}" if state["eta_s"] is not None else ""
        flight = f" · {state['in_flight']} in flight" if state["in_flight"] else ""
        waiting = f" · {state['waiting']}" if "waiting" in state else ""
        return f"{rate}{eta}{flight}  {counts}{waiting}"


@contextmanager
def monitored(output: Location, actor: Any = RunMonitor, *arguments: Any) -> Iterator[MonitorHandle]:
    """Start `actor(*arguments)` for the time of a run on this folder, under a name that is derived from the folder.

    Raises:
        ConfigError: when this cluster already has an actor of that name: another run writes to the same folder.
    """
    name = hashlib.sha256(f"{output.filesystem.type_name}:{output.path}".encode()).hexdigest()
    try:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)  # other nodes come and go
        monitor = actor.options(name=name, namespace="ocrray", scheduling_strategy=here).remote(*arguments)
    except ValueError:
        raise ConfigError(f"output.path: another job of this cluster writes to {output.path}; wait for it or stop it") from None
    try:
        yield monitor
    finally:
        ray.kill(monitor)


def clock(seconds: float) -> str:
    """Return `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
