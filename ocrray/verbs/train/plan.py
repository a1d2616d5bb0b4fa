"""Planning `train`: the checks that need no process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ocrray.config import fingerprint
from ocrray.errors import ConfigError, Problems
from ocrray.runtime.resources import gpu_problems
from ocrray.sources.walk import Found
from ocrray.storage import Location
from ocrray.storage.files import FileStat, open_binary
from ocrray.training import data, deepspeed
from ocrray.training.checkpoint import CHECKPOINTS
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.fingerprints import run_settings
from ocrray.training.schedule import schedule_problem
from ocrray.verbs import output
from ocrray.verbs.base import Plan
from ocrray.verbs.console import Rows

_FILES_SHOWN = 20


Config = TrainConfig


@dataclass(frozen=True, kw_only=True)
class TrainPlan(Plan):
    """Data files of a training run; `previous` is None as long as no checkpoint was written: there is nothing to lose."""

    config: TrainConfig
    limit: int | None
    files: Mapping[str, Sequence[Found]]
    """Of the parts `train` and, where it is given, `validation`."""

    def resolved(self) -> dict[str, Any]:
        """Return the config, with the JSON that DeepSpeed gets."""
        rendered = deepspeed.render(self.config)
        return super().resolved() | ({"deepspeed_json": rendered} if rendered else {})

    def input_samples(self) -> Sequence[Location]:
        """Return the first file of each part."""
        return [files[0].location for files in self.files.values() if files]

    def _schedule_rows(self) -> Rows:
        optimizer, steps = self.config.optimizer, self.config.max_steps
        problem = schedule_problem(optimizer, steps) if steps else ""
        if problem:
            return [("warning", problem)]
        return [("warm-up", f"{optimizer.warmup_steps:,} steps")] if optimizer.warmup_steps else []

    def rows(self) -> Rows:
        config, rows = self.config, []
        for part, files in self.files.items():
            rows += [(f"data: {part}", f"{file.name}  ({_extent(file)})") for file in files[:_FILES_SHOWN]]
            if len(files) > _FILES_SHOWN:
                rows.append(("", f"and {len(files) - _FILES_SHOWN:,} more"))
        model = config.model.name or (config.model.architecture or {}).get("model_type")
        return [
            *rows,
            ("task", config.task.kind),
            ("method", f"{config.method.kind} of {model}"),
            ("steps", _steps(config)),
            *self._schedule_rows(),
            ("workers", f"{_workers(config)}, on {'GPUs' if config.workers.gpus else 'CPUs'}"),
        ]


def make_plan(config: TrainConfig, limit: int | None, problems: Problems, *, dry_run: bool) -> TrainPlan:  # noqa: ARG001 - it writes nothing
    """Check the config, the model's files and the columns of the data.

    Raises: ConfigError: with one line for each problem.
    """
    folder = problems.checked(_local, config.output.path)
    begun = problems.checked(output.read_run, folder) if folder else None
    previous = begun if begun and folder and any((Path(folder.path) / CHECKPOINTS).glob("step-*")) else None
    problems += gpu_problems("workers.gpus", config.workers.least, config.workers.gpus)
    task = problems.checked(open_task, config)
    if task:
        problems += task.problems()
    files = problems.checked(data.find_files, config.data, task.layout()) if task else None
    problems.raise_if_any()
    assert files is not None
    settings = run_settings(config, files, limit)
    if previous and _only_longer(previous.settings, settings):
        previous = replace(previous, settings=settings, fingerprint=fingerprint(settings))
    return TrainPlan(config=config, limit=limit, files=files, settings=settings, previous=previous)


def _only_longer(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return True when a run differs from the one before only by more epochs, or by more steps: it goes on with it."""
    changed = output.differing(before, now)
    name = "max_steps" if now["max_steps"] else "epochs"
    was, wanted = before.get(name), now[name]
    return changed.keys() == {name} and was is not None and wanted > was


def _local(path: str) -> Location:
    """Return the output as a folder of a file system, which workers, Ray Data and the export write with ordinary file calls."""
    folder = Location.at(path)
    if not folder.is_local:
        raise ConfigError(
            f"output.path: {path} is an object store; train needs a folder (on a cluster: one that all machines share)"
        )
    output.require_writable(folder)
    return folder


def _extent(file: Found) -> str:
    """Return the number of rows where it is known without reading them, else of bytes."""
    if not file.name.lower().endswith(".parquet"):
        return f"{file.stat.size:,} bytes" if isinstance(file.stat, FileStat) else "unreadable"
    with open_binary(file.location) as stream:
        return f"{pq.read_metadata(stream).num_rows:,} rows"


def _steps(config: TrainConfig) -> str:
    steps = f"{config.max_steps:,}" if config.max_steps else f"{config.epochs:g} epochs"
    return f"{steps}, at most {config.step_limit:,}" if config.step_limit else steps


def _workers(config: TrainConfig) -> str:
    workers = config.workers
    return f"{workers.least} to {workers.most}" if workers.is_elastic else str(workers.most)
