"""Progress of training: rank 0 reports to one small actor, and the driver shows and stores its metrics."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray

from ocrray.errors import ConfigError
from ocrray.runtime.monitor import Display, MonitorHandle, clock
from ocrray.storage import Location

METRICS_NAME = "metrics.jsonl"
_LOGGED = ("epoch", "loss", "eval_loss", "grad_norm", "learning_rate", "tokens_per_s")  # of all that the trainer logs
_SHOWN = {"tokens_per_s": "{:,.0f} tokens/s", "loss": "loss {:.4f}", "eval_loss": "validation {:.4f}", "cer": "CER {:.2%}"}

Row = dict[str, Any]
"""Metrics of one step: `step`, `seconds` of training until then where known, logged and evaluated values."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of a run."""

    rows: list[Row]
    """One a step, ascending."""
    steps: int | None
    """Steps of the whole run; None before the first one."""
    begun_at: int
    """Step that the present workers started from."""
    restarts: int
    """Restarts of all workers since the driver started: after a worker died, or when an elastic group was resized."""


@ray.remote(num_cpus=0)
class TrainMonitor:
    """Keeps one row of metrics for each logged step, across restarts of the workers."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {row["step"]: dict(row) for row in rows}
        self.steps: int | None = None
        self.begun_at = 0
        self.starts = 0
        self.measuring = False

    def begin(self, step: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Start from the checkpoint of `step` (0: none), whose log until then is `history`."""
        self.rows = {logged: row for logged, row in self.rows.items() if logged <= step}
        for entry in history:
            self._add(entry["step"], entry)
        self.begun_at = step
        self.seconds_before = max((row.get("seconds", 0.0) for row in self.rows.values()), default=0.0)
        self.begun = time.monotonic()
        self.starts += 1
        self.measuring = False

    def log(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        """Add the trainer's log of a step."""
        self.steps = steps
        self._add(step, figures)
        self.rows[step].setdefault("seconds", round(self.seconds_before + time.monotonic() - self.begun, 3))

    def _add(self, step: int, figures: Mapping[str, float]) -> None:
        self.rows.setdefault(step, {"step": step}).update({name: figures[name] for name in _LOGGED if name in figures})

    def may_measure(self) -> bool:
        """Return True, and reserve the evaluation for the caller, unless a checkpoint is being evaluated."""
        free, self.measuring = not self.measuring, True
        return free

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        """Add the evaluation of a step's checkpoint; empty where it failed."""
        self.measuring = False
        if figures and step in self.rows:
            self.rows[step] |= figures

    def snapshot(self) -> Snapshot:
        """Return the state of the run."""
        rows = [self.rows[step] for step in sorted(self.rows)]
        return Snapshot(rows, self.steps, self.begun_at, max(0, self.starts - 1))


class TrainDisplay(Display):
    """Shows the newest metrics, and keeps `<output>/metrics.jsonl` up to date."""

    def __init__(self, monitor: MonitorHandle, folder: Location) -> None:
        super().__init__(monitor)
        self.folder = folder
        self.rows: list[Row] = []
        self.restarts = 0

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        with suppress(ray.exceptions.RayError):  # the error that ended the run is raised elsewhere
            state: ray.ObjectRef[Snapshot] = self.monitor.snapshot.remote()
            self._store(ray.get(state))

    def state(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return the newest metrics, and store all."""
        with suppress(OSError):  # it is written again at the end, where an error is reported
            self._store(snapshot)
        newest = {name: value for row in snapshot.rows for name, value in row.items()}
        done = newest.get("step", 0)
        shown = {name: newest[name] for name in _SHOWN if name in newest}
        return {"done": done, "total": snapshot.steps, **shown, "eta_s": _eta_s(snapshot), "restarts": snapshot.restarts}

    def describe(self, state: Mapping[str, Any]) -> str:
        """Return the metrics in one line."""
        if state["total"] is None:
            return self.starting
        parts = [text.format(state[name]) for name, text in _SHOWN.items() if name in state]
        if state["eta_s"] is not None:
            parts.append(f"ETA {clock(state['eta_s'])}")
        if state["restarts"]:
            parts.append(f"{state['restarts']} restarts")
        return " · ".join(parts)

    def _store(self, snapshot: Snapshot) -> None:
        self.restarts = snapshot.restarts
        if snapshot.rows != self.rows:
            self.folder.write_text(METRICS_NAME, "".join(json.dumps(row) + "\n" for row in snapshot.rows))
            self.rows = snapshot.rows


def read_metrics(folder: Location) -> list[Row]:
    """Read the rows of an earlier run; none for a new one.

    Raises:
        ConfigError: when they cannot be read.
    """
    try:
        return [json.loads(line) for line in folder.read_text(METRICS_NAME).splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ConfigError(f"output.path: {folder.path}/{METRICS_NAME} cannot be read: {' '.join(str(error).split())}") from None


def measurements(rows: Sequence[Row]) -> list[Row]:
    """Return the evaluations of checkpoints, each with its `step`."""
    logged = {"seconds", *_LOGGED}
    measured = ({name: value for name, value in row.items() if name not in logged} for row in rows)
    return [row for row in measured if len(row) > 1]


def _eta_s(snapshot: Snapshot) -> int | None:
    """Estimate from the pace since the first log of the present workers, which excludes their start."""
    rows = [row for row in snapshot.rows if row["step"] > snapshot.begun_at]
    if len(rows) < 2 or snapshot.steps is None:
        return None
    steps_per_s: float = (rows[-1]["step"] - rows[0]["step"]) / max(rows[-1]["seconds"] - rows[0]["seconds"], 1e-3)
    remaining: int = snapshot.steps - rows[-1]["step"]
    return round(remaining / steps_per_s)
