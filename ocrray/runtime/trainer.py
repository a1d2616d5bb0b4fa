"""Ray Train around the loop: workers that go on after they died, checkpoints in the output, measurements beside the training."""

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.train
from ray.train.torch import TorchTrainer

from ocrray.errors import EngineError, OcrrayError
from ocrray.runtime import cluster
from ocrray.runtime.monitor import MonitorHandle
from ocrray.runtime.train_monitor import measurements
from ocrray.training.checkpoint import CHECKPOINTS
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.history import hardware, read_state
from ocrray.training.prepared import Prepared, read_part, read_samples

_SCORE = "eval_loss"


@dataclass(frozen=True)
class Job:
    """What every worker needs to know, picklable."""

    config: TrainConfig
    folder: Path
    """Of the output; every machine sees it."""
    samples: Path
    prepared: Prepared
    """What lies in `samples`."""
    monitor: MonitorHandle

    @property
    def scratch(self) -> Path:
        """Where the workers of one machine keep what only they need; the same after a restart."""
        name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ocrray-train-{name}"


@dataclass(frozen=True, slots=True)
class Trained:
    """What training left behind."""

    best: Path
    """The checkpoint with the least validation loss."""
    hardware: str
    """Of one worker."""
    unmeasured: str
    """Why the best checkpoint could not be measured; empty where it was."""


def fit(job: Job) -> Trained:
    """Train to the end, from the last checkpoint where there is one; the best checkpoint is measured when this returns.

    Others are measured beside the training where a CPU run's spare CPU or a spare GPU does it: on the training's GPU there may be
    no room.
    Raises what a worker raised on purpose, and EngineError where it died of anything else more often than `max_restarts`.
    """
    spare_gpus = _spare_gpus(job.config)
    measures = bool(job.config.evaluation.generate_records) and (spare_gpus > 0 or not job.config.workers.gpus)
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job, "measures": measures},
        scaling_config=_scaling(job.config),
        run_config=_run_config(job),
        validation_config=ray.train.ValidationConfig(
            fn=partial(_measure, job=job), ray_remote_kwargs={"num_cpus": 1, "num_gpus": spare_gpus}
        ),
    )
    try:
        with interruptible():
            result = trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise _reason(error) from None
    finally:
        shutil.rmtree(job.scratch, ignore_errors=True)
    best = min(result.best_checkpoints, key=lambda kept: kept[1].get(_SCORE, float("inf")))[0]
    return Trained(Path(best.path), result.return_value, _measure_late(job, best))


def local_cpus(config: TrainConfig) -> int:
    """Logical CPUs that a cluster on this machine alone must offer: the workers', one to measure and one to read and write."""
    return config.workers.most * config.workers.cpus + 2


def _scaling(config: TrainConfig) -> ray.train.ScalingConfig:
    workers = config.workers
    gpus = {"GPU": workers.gpus} if workers.gpus else {}
    return ray.train.ScalingConfig(
        num_workers=workers.num, use_gpu=bool(gpus), resources_per_worker={"CPU": workers.cpus, **gpus}
    )


def _run_config(job: Job) -> ray.train.RunConfig:
    config = job.config
    return ray.train.RunConfig(
        name=CHECKPOINTS,  # what Ray finds in a folder of this name, it goes on with
        storage_path=str(job.folder),
        failure_config=ray.train.FailureConfig(max_failures=config.workers.max_restarts),
        # The last one is kept beside the best ones.
        checkpoint_config=ray.train.CheckpointConfig(
            num_to_keep=config.checkpoint.keep, checkpoint_score_attribute=_SCORE, checkpoint_score_order="min"
        ),
        callbacks=[_NoRestartOnPurpose()],
        worker_runtime_env={"env_vars": _environment(job)},
    )


def _environment(job: Job) -> dict[str, str]:
    config = job.config
    environment = {"TOKENIZERS_PARALLELISM": "false", "TENSORBOARD_LOGGING_DIR": str(job.folder / "tensorboard")}
    if config.deepspeed:
        environment["ACCELERATE_USE_DEEPSPEED"] = "true"
        if not config.workers.gpus:
            environment["DS_ACCELERATOR"] = "cpu"
    return environment


def _work(loop_config: Mapping[str, Any]) -> str:
    """What every worker of the group does; returns what it computed on."""
    from ocrray.training.loop import train

    job = loop_config["job"]
    own = job.scratch / f"rank-{ray.train.get_context().get_world_rank()}"
    shutil.rmtree(own, ignore_errors=True)  # of a worker that was killed
    report = _Report(job.monitor, measures=loop_config["measures"])
    checkpoint = ray.train.get_checkpoint()
    with checkpoint.as_directory() if checkpoint else nullcontext() as resume_from:
        report.begin(read_state(Path(resume_from)) if resume_from else None)
        train(
            job.config,
            task=open_task(job.config),
            facts=job.prepared.facts,
            train_data=read_samples(job.config, job.samples, "train", job.scratch / "cache"),
            validation_data=read_samples(job.config, job.samples, "validation", job.scratch / "cache"),
            folder=own,
            report=report,
            resume_from=Path(resume_from) if resume_from else None,
        )
    report.await_upload()
    shutil.rmtree(job.scratch, ignore_errors=True)  # every worker's checkpoints are in the output; what is mapped stays mapped
    return hardware()


class _Report:
    """Hands the loop's figures to the monitor and its checkpoints to Ray Train, which uploads them while training goes on."""

    def __init__(self, monitor: MonitorHandle, *, measures: bool) -> None:
        self._monitor = monitor
        self._is_first = ray.train.get_context().get_world_rank() == 0
        self._measures = measures and self._is_first
        self._logged: ray.ObjectRef | None = None

    def begin(self, state: dict[str, Any] | None) -> None:
        """Say where the run goes on, and what was logged until then."""
        if self._is_first:
            known = {"global_step": 0, "log_history": []} if state is None else state
            ray.get(self._monitor.begin.remote(known["global_step"], known["log_history"]))

    def log(self, step: int, steps: int, metrics: dict[str, float]) -> None:
        if self._is_first:
            self._logged = self._monitor.log.remote(step, steps, metrics)

    def checkpoint(self, step: int, metrics: dict[str, float], folder: Path) -> None:
        self.await_upload()  # so that there are never more than two on this machine's disk
        if self._logged:
            ray.get(self._logged)  # a checkpoint knows its losses, but the monitor alone knows after how many seconds they came
        ray.train.report(
            {"step": step, **metrics},
            checkpoint=ray.train.Checkpoint.from_directory(folder),  # each worker's part: its dice, and its share of ZeRO's state
            checkpoint_dir_name=f"step-{step:08}",
            checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,
            # One at a time: a checkpoint that comes while another is measured is not, and none waits.
            validation=self._measures and ray.get(self._monitor.may_measure.remote()),
        )

    def await_upload(self) -> None:
        """Return when the last checkpoint has reached the output, and its local copy is gone."""
        ray.train.get_all_reported_checkpoints(consistency_mode=ray.train.CheckpointConsistencyMode.COMMITTED)


class _NoRestartOnPurpose(ray.train.UserCallback):
    """What ocrray raises on purpose would come again after every restart: it ends the run at once."""

    def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:  # noqa: ARG002
        for error in worker_exceptions.values():
            if isinstance(error, OcrrayError):
                raise error


def _measure(checkpoint: ray.train.Checkpoint, *, job: Job) -> dict[str, float]:
    """How well the model in a checkpoint does on some validation samples; a Ray task, away from the training workers."""
    figures: dict[str, float] = {}
    with checkpoint.as_directory() as folder:
        step = read_state(Path(folder))["global_step"]
        try:
            figures = open_task(job.config).measure(Path(folder), _some_samples(job))
        finally:
            ray.get(job.monitor.measured.remote(step, figures))
    return figures


def _some_samples(job: Job) -> pa.Table:
    """`generate_records` validation samples, from all over them and always the same."""
    samples = read_part(job.samples, "validation")
    count = min(job.config.evaluation.generate_records, len(samples))
    return samples.take(np.linspace(0, len(samples) - 1, count).astype(np.int64))


def _measure_late(job: Job, best: ray.train.Checkpoint) -> str:
    """Measure the checkpoint that is exported, if that was not done beside the training; returns why it failed, if it did."""
    step = read_state(Path(best.path))["global_step"]
    rows = ray.get(job.monitor.snapshot.remote()).rows
    if not job.config.evaluation.generate_records or any(row["step"] == step for row in measurements(rows)):
        return ""
    measure = ray.remote(num_cpus=1, num_gpus=min(1, job.config.workers.gpus))(_measure)
    try:
        ray.get(measure.remote(best, job=job))
    except ray.exceptions.RayError as error:  # a model without figures is better than none
        return cluster.last_line(error)
    return ""


def _spare_gpus(config: TrainConfig) -> int:
    """One where the training uses GPUs and leaves one free, else none."""
    taken = config.workers.most * config.workers.gpus
    return int(taken > 0 and ray.cluster_resources().get("GPU", 0) >= taken + 1)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ray Train answers Ctrl-C by ending its workers and leaving with exit code 0, or by nothing where they have just ended.

    To us it is an interruption as any other: raises KeyboardInterrupt.
    """
    handler = signal.getsignal(signal.SIGINT)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)  # gets the number of every signal, whoever handles it
    try:
        try:
            yield
        except SystemExit:
            raise KeyboardInterrupt from None
        finally:
            signal.signal(signal.SIGINT, handler)
            signal.set_wakeup_fd(before)
        os.write(writer, b"\0")  # else reading would wait where no signal came
        if signal.SIGINT in os.read(reader, 1024):
            raise KeyboardInterrupt
    finally:
        os.close(reader)
        os.close(writer)


def _reason(error: ray.train.TrainingFailedError) -> OcrrayError:
    """What a worker raised on purpose, or the last line of what it died of, and where to read the rest."""
    if isinstance(error, ray.train.ControllerError) and isinstance(error.controller_failure, OcrrayError):
        return error.controller_failure
    return EngineError(f"training failed: {cluster.last_line(error)} (Ray's logs are in {cluster.log_folder()}/train)")
