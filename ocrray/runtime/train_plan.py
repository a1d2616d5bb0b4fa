"""What a run of `train` will do, found out without starting anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from pyarrow import fs as pafs
from rich.console import Console
from rich.table import Table

from ocrray.config import fingerprint
from ocrray.errors import ConfigError, Problems
from ocrray.folder import Folder
from ocrray.models.folders import weights_revision
from ocrray.runtime import output as output_folder
from ocrray.runtime.output import Run
from ocrray.runtime.resources import gpu_problems
from ocrray.sources.files import open_binary
from ocrray.sources.walk import Found
from ocrray.training import data, deepspeed
from ocrray.training.config import TrainConfig
from ocrray.training.tasks import open_task

CHECKPOINTS = "checkpoints"
_FREE = {"workers", "output", "resume"}  # may differ when a run goes on
_FILES_SHOWN = 20


@dataclass(frozen=True)
class Plan:
    """A run that was found to be possible: on which files, under which fingerprint."""

    config: TrainConfig
    limit: int | None
    files: Mapping[str, Sequence[Found]]
    """Of `train` and, where it is given, `validation`."""
    settings: dict[str, Any]
    previous: Run | None
    """The run that this output was made for."""
    goes_on: bool
    """Whether that run wrote a checkpoint; else there is nothing to lose, and this one begins anew."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.settings)


def make_plan(config: TrainConfig, limit: int | None, *, known_problems: Sequence[str] = ()) -> Plan:
    """Check everything that can be checked before a process is started.

    Raises ConfigError with a line for every problem found, `known_problems` first.
    """
    problems = Problems(known_problems)
    folder = problems.checked(lambda: _local(config.output.path))
    previous = problems.checked(lambda: output_folder.read_run(folder)) if folder else None
    goes_on = previous is not None and any((Path(folder.path) / CHECKPOINTS).glob("step-*"))
    if goes_on and not config.resume:
        problems.append(
            f"output.path: {folder.path} already holds a run; add --set resume=true to go on, or choose another output"
        )
    num = config.workers.num
    problems += gpu_problems("workers.gpus", num if isinstance(num, int) else min(num), config.workers.gpus)
    task = problems.checked(lambda: open_task(config))
    if task:
        problems += task.problems()
    files = problems.checked(lambda: data.find_files(config.data, task.columns())) if task else None
    problems.raise_if_any()
    settings = {
        **config.model_dump(mode="json", exclude=_FREE),
        "model_revision": config.model.name and weights_revision(config.model.name, config.model.revision),
        "files": {part: [[file.name, file.stat.size, file.stat.etag] for file in found] for part, found in files.items()},
        "limit": limit,
    }
    plan = Plan(config, limit, files, settings, previous, goes_on)
    if goes_on:
        output_folder.require_same(folder, previous, plan.fingerprint, settings)
    return plan


def print_plan(plan: Plan) -> None:
    """Print what a run of this plan would do."""
    config = plan.config
    table = Table(show_header=False, box=None, pad_edge=False)
    for part, files in plan.files.items():
        for file in files[:_FILES_SHOWN]:
            table.add_row(f"data: {part}", f"{file.name}  ({_extent(file)})")
        if len(files) > _FILES_SHOWN:
            table.add_row("", f"and {len(files) - _FILES_SHOWN:,} more")
    table.add_row("task", config.task.kind)
    table.add_row("method", f"{config.method.kind} of {config.model.name or config.model.architecture['model_type']}")
    table.add_row("steps", f"{config.max_steps:,}" if config.max_steps else f"{config.epochs:g} epochs")
    table.add_row("workers", f"{_workers(config)}, on {'GPUs' if config.workers.gpus else 'CPUs'}")
    table.add_row("output", f"{config.output.path}  ({'goes on with an earlier run' if plan.goes_on else 'new'})")
    table.add_row("fingerprint", plan.fingerprint)
    console = Console(soft_wrap=True)
    console.print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), markup=False)
    if rendered := deepspeed.render(config):
        console.print(yaml.safe_dump({"deepspeed_json": rendered}, sort_keys=False), markup=False)
    console.print(table)


def _local(path: str) -> Folder:
    """The output, which workers, Ray Data and the export all write with ordinary file calls."""
    folder = Folder.at(path)
    if not isinstance(folder.filesystem, pafs.LocalFileSystem):
        raise ConfigError(
            f"output.path: {path} is an object store; train needs a folder (on a cluster: one that all machines share)"
        )
    output_folder.require_writable(folder)
    return folder


def _extent(file: Found) -> str:
    """How many rows, where that is known without reading them, else how many bytes."""
    if not file.name.lower().endswith(".parquet"):
        return f"{file.stat.size:,} bytes"
    with open_binary(file.location) as stream:
        return f"{pq.read_metadata(stream).num_rows:,} rows"


def _workers(config: TrainConfig) -> str:
    num = config.workers.num
    return str(num) if isinstance(num, int) else f"{num[0]} to {num[1]}"
