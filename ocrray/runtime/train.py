"""The verb `train`: pairs in, a fine-tuned model with its card out."""

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ocrray.folder import Folder
from ocrray.runtime import output as output_folder
from ocrray.runtime import terminal
from ocrray.runtime.output import Run
from ocrray.runtime.train_plan import Plan, make_plan
from ocrray.training.config import TrainConfig
from ocrray.training.history import TrainedRun, read_state

if TYPE_CHECKING:
    from ocrray.runtime.trainer import Trained

_SUMMARY = "summary.json"


def train(config: TrainConfig, limit: int | None) -> int:
    """Run `config` to its end, or go on with it where an earlier run stopped; returns the exit code 0.

    A finished run is written out again where `output` asks for something else than it did then.
    """
    folder = Folder.at(config.output.path)
    with output_folder.locked(folder, lambda problem: make_plan(config, limit, known_problems=[problem])):
        plan = make_plan(config, limit)
        summary = _read_summary(folder) if plan.goes_on else None
        if summary is None or summary["output"] != config.output.model_dump(mode="json"):
            summary = _run(plan, folder)
            folder.write_text(_SUMMARY, json.dumps(summary, indent=1))
    _print_summary(summary, config.output.path)
    return 0


def _run(plan: Plan, folder: Folder) -> dict[str, Any]:
    # Late, because Ray takes a second to import and a plan needs none of it.
    from ocrray.runtime import cluster, trainer
    from ocrray.runtime.monitor import monitored
    from ocrray.runtime.samples import prepare
    from ocrray.runtime.train_monitor import TrainDisplay, TrainMonitor, measurements, read_metrics
    from ocrray.training.export import export
    from ocrray.training.prepared import read_part

    config, previous, path = plan.config, plan.previous, Path(folder.path)
    if previous:
        cluster.end_session(previous.session)
    started_at = previous.started_at if plan.goes_on else datetime.now(UTC).isoformat(timespec="seconds")
    with (
        cluster.connected(trainer.local_cpus(config)) as session,
        monitored(folder, TrainMonitor, read_metrics(folder)) as monitor,
    ):
        output_folder.write_run(folder, Run(plan.fingerprint, plan.settings, started_at, session))
        with terminal.working("Preparing the samples"):
            prepared = prepare(config, path / "prepared", plan.limit)
        with TrainDisplay(monitor, folder) as display:
            trained = trainer.fit(trainer.Job(config, path, path / "prepared", prepared, monitor))
    rows = display.rows
    seconds = max(row.get("seconds", 0.0) for row in rows)
    run = TrainedRun(rows, measurements(rows), prepared.parts, trained.hardware, seconds)
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # the model is written on the CPU, and DeepSpeed would complain of that
    with terminal.working("Writing the model"):
        export(config, trained.best, path / "model", run=run, held_out=read_part(path / "prepared", "validation"))
    return _summary(run, trained) | {"restarts": display.restarts, "output": config.output.model_dump(mode="json")}


def _summary(run: TrainedRun, trained: "Trained") -> dict[str, Any]:
    """What the user is told at the end, and again by a command that finds the run finished."""
    losses, held_out = list(run.training_losses().values()), run.validation_losses()
    best = read_state(trained.best)["global_step"]
    return {
        "steps": run.log[-1]["step"],
        "seconds": run.seconds,
        "samples": {part.name: part.samples for part in run.data},
        "dropped": dict(sum((Counter(part.dropped) for part in run.data), Counter())),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "best_step": best,
        "best_eval_loss": held_out.get(best),
        "measured": next((row for row in run.measured if row["step"] == best), {}),
        "unmeasured": trained.unmeasured,
    }


def _read_summary(folder: Folder) -> dict[str, Any] | None:
    try:
        return json.loads(folder.read_text(_SUMMARY))
    except FileNotFoundError:
        return None


def _print_summary(summary: dict[str, Any], output: str) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("steps", f"{summary['steps']:,} in {summary['seconds']:,.0f} s of training")
    for part, samples in summary["samples"].items():
        table.add_row(f"{part} samples", f"{samples:,}")
    for reason, count in summary["dropped"].items():
        table.add_row(f"dropped: {reason}", f"{count:,}")
    table.add_row("loss, first and last", f"{summary['first_loss']:.4f}  {summary['last_loss']:.4f}")
    table.add_row("validation loss, best", f"{summary['best_eval_loss']:.4f} at step {summary['best_step']:,}")
    for name, value in summary["measured"].items():
        if name != "step":
            table.add_row(name.replace("_", " "), f"{value:.2%}")
    if summary["unmeasured"]:
        table.add_row("not measured", summary["unmeasured"])
    if summary["restarts"]:
        table.add_row("restarts", f"{summary['restarts']:,}, after a worker died or their number changed")
    table.add_row("model", f"{output}/model")
    Console(soft_wrap=True).print(table)
