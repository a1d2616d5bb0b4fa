"""Running `train`: samples, training on Ray Train, then the model with its card, and the manifest."""

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ocrray
from ocrray.corpus.manifest import MANIFEST_NAME
from ocrray.storage import Location
from ocrray.training.config import TrainConfig
from ocrray.training.history import DataPart, TrainedRun, read_state
from ocrray.training.schedule import schedule_problem
from ocrray.training.stopping import stops_early
from ocrray.verbs import console
from ocrray.verbs.base import Result
from ocrray.verbs.session import ray_session, started_at
from ocrray.verbs.train.plan import TrainPlan

if TYPE_CHECKING:
    from ocrray.runtime.trainer import Trained


def run(plan: TrainPlan, folder: Location) -> Result:
    """Train to the end, from the last checkpoint where there is one, then write the model and, last, `manifest.json`."""
    manifest = {
        "ocrray_version": ocrray.__version__,
        "fingerprint": plan.fingerprint,
        **_process(plan, folder),
        "started": started_at(folder).isoformat(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": plan.resolved(),
    }
    folder.write_text(MANIFEST_NAME, json.dumps(manifest, indent=1, ensure_ascii=False))
    return _result(manifest, plan)


def show(plan: TrainPlan, folder: Location) -> Result:
    """Return the results of a finished run, after training it on if it is to be longer, and writing the model again if the
    section `output` has changed.
    """
    manifest = json.loads(folder.read_text(MANIFEST_NAME))
    if manifest["fingerprint"] != plan.fingerprint or manifest["config"]["output"] != plan.config.output.model_dump(mode="json"):
        return run(plan, folder)
    return _result(manifest, plan)


def _process(plan: TrainPlan, folder: Location) -> dict[str, Any]:
    # Late, because Ray takes a second to import and a plan needs none of it.
    from ocrray.runtime import trainer
    from ocrray.runtime.samples import prepare
    from ocrray.runtime.train_monitor import TrainDisplay, TrainMonitor, measurements, read_metrics
    from ocrray.training.export import export
    from ocrray.training.prepared import read_part

    config, path = plan.config, Path(folder.path)
    with ray_session(plan, folder, trainer.local_cpus(config), TrainMonitor, read_metrics(folder)) as monitor:
        with console.working("Preparing the samples"):
            prepared = prepare(config, path / "prepared", plan.limit)
        if problem := schedule_problem(config.optimizer, _steps(config, prepared.parts)):
            console.note(problem)
        with TrainDisplay(monitor, folder) as display:
            trained = trainer.fit(trainer.Job(config, path, path / "prepared", prepared, monitor))
    rows = display.rows
    seconds = max(row.get("seconds", 0.0) for row in rows)
    trained_run = TrainedRun(rows, measurements(rows), prepared.parts, trained.hardware, seconds)
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # the model is written on the CPU, and DeepSpeed would complain of that
    with console.working("Writing the model"):
        export(config, trained.best, path / "model", run=trained_run, held_out=read_part(path / "prepared", "validation"))
    return _summary(config, trained_run, trained) | {"restarts": display.restarts}


def _steps(config: TrainConfig, parts: Sequence[DataPart]) -> int:
    """Return the optimizer steps of the run; packed samples are counted by their tokens, so that it may be a few more."""
    train = next(part for part in parts if part.name == "train")
    is_packed = config.data.grouping == "packed"
    samples = -(-train.tokens // config.data.max_length_tokens) if is_packed else train.samples
    step_samples = config.batch.size * config.batch.accumulation * config.workers.most
    return config.steps(math.ceil(samples / step_samples))


def _summary(config: TrainConfig, run: TrainedRun, trained: "Trained") -> dict[str, Any]:
    """Return the results that are printed, as JSON types."""
    losses, held_out = list(run.training_losses().values()), run.validation_losses()
    best = read_state(trained.best)["global_step"]
    return {
        "steps": run.log[-1]["step"],
        "stopped_early": stops_early(run.log, config.evaluation.early_stopping),
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


def _result(manifest: dict[str, Any], plan: TrainPlan) -> Result:
    rows = [("steps", f"{manifest['steps']:,} in {manifest['seconds']:,.0f} s of training")]
    if manifest.get("stopped_early"):  # manifests of earlier versions do not say
        rows.append(("stopped early", "the validation loss no longer fell (evaluation.early_stopping)"))
    rows += [(f"{part} samples", f"{samples:,}") for part, samples in manifest["samples"].items()]
    rows += [(f"dropped: {reason}", f"{count:,}") for reason, count in manifest["dropped"].items()]
    rows += [
        ("loss, first and last", f"{manifest['first_loss']:.4f}  {manifest['last_loss']:.4f}"),
        ("validation loss, best", f"{manifest['best_eval_loss']:.4f} at step {manifest['best_step']:,}"),
    ]
    rows += [(name.replace("_", " "), f"{value:.2%}") for name, value in manifest["measured"].items() if name != "step"]
    if manifest["unmeasured"]:
        rows.append(("not measured", manifest["unmeasured"]))
    if manifest["restarts"]:
        rows.append(("restarts", f"{manifest['restarts']:,}, after a worker died or their number changed"))
    return Result([console.two_columns([*rows, ("model", f"{plan.config.output.path}/model")])])
