"""What a run is doing: workers report to one small actor, and the driver shows it."""

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
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ocrray.errors import ConfigError
from ocrray.folder import Folder
from ocrray.records import STATUSES

MonitorHandle: TypeAlias = "ray.actor.ActorHandle[Any]"
"""A running RunMonitor or TrainMonitor."""

_SHOW_EVERY_S = 1.0
_LOG_EVERY_S = 10.0  # one JSON line; a log file of a run of days stays readable


@ray.remote(num_cpus=0, max_concurrency=1)
class RunMonitor:
    """Counts finished records per status, and how often each page was begun.

    Its name is derived from the output, so that a second run on the same output in the same cluster cannot start.
    """

    def __init__(self) -> None:
        self.finished: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.stop_reason = ""

    def finish(self, counts: Mapping[str, int], record_ids: list[str]) -> None:
        """Add a batch that went through every stage; its pages can no longer kill anybody and are forgotten."""
        self.finished.update(counts)
        for record_id in record_ids:
            self.attempts.pop(record_id, None)

    def begin_phase(self) -> None:
        """Count from nothing again: another work list of the same run is begun."""
        self.finished.clear()

    def attempt(self, record_id: str) -> int:
        """Count one more begin of this page, and return how many there were."""
        self.attempts[record_id] += 1
        return self.attempts[record_id]

    def stop_because(self, reason: str) -> None:
        """Keep why a worker ends the run; the first one to say so is heard."""
        self.stop_reason = self.stop_reason or reason

    def reason(self) -> str:
        """What a worker left with `stop_because`, empty if none did."""
        return self.stop_reason

    def snapshot(self) -> tuple[dict[str, int], int]:
        """Finished records per status, and how many pages are begun and not finished."""
        return dict(self.finished), len(self.attempts)


class Display(ABC):
    """Shows a run in the terminal, or as one JSON line every ten seconds where standard error is no terminal.

    A subclass says what is shown of the snapshots that it gets of its monitor; `done` and `total` (None: unknown) make the bar.
    """

    starting = "starting workers"

    def __init__(self, monitor: ray.actor.ActorHandle) -> None:
        self.monitor = monitor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    @abstractmethod
    def state(self, snapshot: Any) -> dict[str, Any]:
        """What is known now, as it is logged."""

    @abstractmethod
    def describe(self, state: Mapping[str, Any]) -> str:
        """What stands beside the bar."""

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
                snapshot = ray.get(self.monitor.snapshot.remote(), timeout=every_s * 5)
            except (ray.exceptions.RayError, TimeoutError):
                continue  # a display must never end the run that it shows
            if not self._stop.is_set():  # an answer that came too late is older than what is taken at the end
                yield self.state(snapshot)


class ProgressDisplay(Display):
    """Shows how many records are finished, by status."""

    def __init__(
        self, monitor: ray.actor.ActorHandle, total: int, already_done: int, unit: str, statuses: Sequence[str] = STATUSES
    ) -> None:
        super().__init__(monitor)
        self.statuses = statuses
        self.total = total
        self.already_done = already_done
        self.unit = unit
        self.started = time.monotonic()

    def state(self, snapshot: tuple[dict[str, int], int]) -> dict[str, int | float | None]:
        counts, in_flight = snapshot
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
        }

    def describe(self, state: Mapping[str, Any]) -> str:
        counts = " · ".join(f"{state[status]} {status}" for status in self.statuses if state[status])
        rate = f"{state['records_per_s']:.1f} {self.unit}/s" if state["records_per_s"] else self.starting
        eta = f" · ETA {clock(state['eta_s'])}" if state["eta_s"] is not None else ""
        flight = f" · {state['in_flight']} in flight" if state["in_flight"] else ""
        return f"{rate}{eta}{flight}  {counts}"


@contextmanager
def monitored(output: Folder, actor: Any = RunMonitor, *arguments: Any) -> Iterator[ray.actor.ActorHandle]:
    """An `actor(*arguments)` for the time of a run on this folder; raises ConfigError when one lives already in this cluster."""
    name = hashlib.sha256(f"{output.filesystem.type_name}:{output.path}".encode()).hexdigest()
    try:
        monitor = actor.options(name=name, namespace="ocrray").remote(*arguments)
    except ValueError:
        raise ConfigError(f"output.path: another job of this cluster writes to {output.path}; wait for it or stop it") from None
    try:
        yield monitor
    finally:
        ray.kill(monitor)


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
