"""What a run is doing: workers report to one small actor, and the driver shows it."""

import hashlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

import ray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ocrray.corpus.folder import Folder
from ocrray.errors import ConfigError
from ocrray.records import STATUSES

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


class ProgressDisplay:
    """Shows a run in the terminal, or as one JSON line every ten seconds where standard error is no terminal."""

    def __init__(self, monitor: ray.actor.ActorHandle, total: int, already_done: int, unit: str) -> None:
        self.monitor = monitor
        self.total = total
        self.already_done = already_done
        self.unit = unit
        self.started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> "ProgressDisplay":
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
            task = progress.add_task("starting workers", total=self.total, completed=self.already_done)
            for state in self._states(_SHOW_EVERY_S):
                counts = " · ".join(f"{state[status]} {status}" for status in STATUSES if state[status])
                rate = f"{state['records_per_s']:.1f} {self.unit}/s" if state["records_per_s"] else "starting workers"
                eta = f" · ETA {_clock(state['eta_s'])}" if state["eta_s"] is not None else ""
                flight = f" · {state['in_flight']} in flight" if state["in_flight"] else ""
                progress.update(task, completed=state["done"], description=f"{rate}{eta}{flight}  {counts}")

    def _states(self, every_s: float) -> Iterator[dict[str, int | float | None]]:
        while not self._stop.wait(every_s):
            try:
                counts, in_flight = ray.get(self.monitor.snapshot.remote(), timeout=every_s * 5)
            except (ray.exceptions.RayError, TimeoutError):
                continue  # a display must never end the run that it shows
            finished = sum(counts.values())
            rate = finished / (time.monotonic() - self.started)
            remaining = self.total - self.already_done - finished
            yield {
                "done": self.already_done + finished,
                "total": self.total,
                "records_per_s": round(rate, 3),
                "eta_s": round(remaining / rate) if rate else None,
                "in_flight": in_flight,
                **{status: counts.get(status, 0) for status in STATUSES},
            }


@contextmanager
def monitored(output: Folder) -> Iterator[ray.actor.ActorHandle]:
    """A RunMonitor for the time of a run on this folder; raises ConfigError when one lives already in this cluster."""
    name = hashlib.sha256(f"{output.filesystem.type_name}:{output.path}".encode()).hexdigest()
    try:
        monitor = RunMonitor.options(name=name, namespace="ocrray").remote()
    except ValueError:
        raise ConfigError(f"output.path: another job of this cluster writes to {output.path}; wait for it or stop it") from None
    try:
        yield monitor
    finally:
        ray.kill(monitor)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
