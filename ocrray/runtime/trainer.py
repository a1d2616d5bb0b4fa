"""Ray Train around the loop: restarts after a worker died, checkpoints in the output, evaluation beside the training."""

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import ray
import ray.train

# `ray.train` hands these out too, but its annotations are those of Ray Train v1.
from ray.train.v2.api.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.result import Result
from ray.train.v2.torch.torch_trainer import TorchTrainer

from ocrray.errors import EngineError, OcrrayError
from ocrray.runtime import cluster
from ocrray.runtime.monitor import MonitorHandle
from ocrray.runtime.train_monitor import Snapshot, measurements
from ocrray.training.checkpoint import CHECKPOINTS
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.history import hardware, read_state
from ocrray.training.prepared import Prepared, read_part, read_samples
from ocrray.training.space import full_disk

_SCORE = "eval_loss"


@dataclass(frozen=True)
class Job:
    """Inputs of every worker, picklable."""

    config: TrainConfig
    folder: Path
    """Output folder, shared by all machines."""
    samples: Path
    """Folder of the prepared samples."""
    prepared: Prepared
    """Summary of `samples`."""
    monitor: MonitorHandle

    @property
    def scratch(self) -> Path:
        """Local folder of the workers of one machine; the same after a restart."""
        name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ocrray-train-{name}"


@dataclass(frozen=True, slots=True)
class Trained:
    """Result of training."""

    best: Path
    """Checkpoint with the least validation loss."""
    hardware: str
    """Hardware of one worker."""
    unmeasured: str
    """Reason why the best checkpoint could not be evaluated; empty where it was."""


def fit(job: Job) -> Trained:
    """Train to the end, from the last checkpoint where there is one, and evaluate the best checkpoint.

    Other checkpoints are evaluated during training on a spare CPU of a CPU run, or on a spare GPU: GPUs that train may have no
    memory left.

    Raises:
        OcrrayError: what a worker raised on purpose.
        EngineError: when workers died of anything else more than `max_restarts` times.
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
            result = cast(Result, trainer.fit())  # annotated as v1's
    except ray.train.TrainingFailedError as error:
        raise _reason(error) from None
    finally:
        shutil.rmtree(job.scratch, ignore_errors=True)
    best = min(result.best_checkpoints or (), key=lambda kept: kept[1].get(_SCORE, float("inf")))[0]
    return Trained(Path(best.path), str(result.return_value), _measure_late(job, best))


def local_cpus(config: TrainConfig) -> int:
    """Return the logical CPUs that a local cluster needs: the workers', one to evaluate, one to read and write."""
    return config.workers.most * config.workers.cpus + 2


def _scaling(config: TrainConfig) -> ScalingConfig:
    workers = config.workers
    gpus = {"GPU": workers.gpus} if workers.gpus else {}
    return ScalingConfig(num_workers=workers.num, use_gpu=bool(gpus), resources_per_worker={"CPU": workers.cpus, **gpus})


def _run_config(job: Job) -> RunConfig:
    config = job.config
    return RunConfig(
        name=CHECKPOINTS,  # Ray resumes what it finds in a folder of this name
        storage_path=str(job.folder),
        failure_config=FailureConfig(max_failures=config.workers.max_restarts),
        # The last one is kept beside the best ones.
        checkpoint_config=CheckpointConfig(
            num_to_keep=config.checkpoint.keep, checkpoint_score_attribute=_SCORE, checkpoint_score_order="min"
        ),
        callbacks=[_NoUselessRestart(job.folder / CHECKPOINTS)],
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
    """Train as one worker of the group; return its hardware."""
    from ocrray.training.loop import train

    job = loop_config["job"]
    own = job.scratch / f"rank-{ray.train.get_context().get_world_rank()}"
    shutil.rmtree(own, ignore_errors=True)  # left by a worker that was killed
    report = _Report(job.monitor, measures=loop_config["measures"])
    checkpoint = ray.train.get_checkpoint()
    with (
        _full_disk_in_one_line((own, job.folder)),
        checkpoint.as_directory() if checkpoint else nullcontext() as resume_from,
    ):
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
    shutil.rmtree(job.scratch, ignore_errors=True)  # all checkpoints are in the output; mapped files stay mapped
    return hardware()


@contextmanager
def _full_disk_in_one_line(folders: Sequence[Path]) -> Iterator[None]:
    """Convert an error that comes of a full disk into an EngineError, after which nothing is restarted."""
    try:
        yield
    except Exception as error:  # torch, safetensors and pyarrow raise exceptions of any class
        if not isinstance(error, OcrrayError) and (line := full_disk(error, folders)):
            raise EngineError(line) from error
        raise


class _Report:
    """Passes metrics to the monitor and checkpoints to Ray Train, which uploads them while training goes on."""

    def __init__(self, monitor: MonitorHandle, *, measures: bool) -> None:
        self._monitor = monitor
        self._is_first = ray.train.get_context().get_world_rank() == 0
        self._measures = measures and self._is_first
        self._logged: ray.ObjectRef[Any] | None = None

    def begin(self, state: dict[str, Any] | None) -> None:
        """Report the step that training starts from, and the log until then."""
        if self._is_first:
            known = {"global_step": 0, "log_history": []} if state is None else state
            ray.get(self._monitor.begin.remote(known["global_step"], known["log_history"]))

    def log(self, step: int, steps: int, metrics: dict[str, float]) -> None:
        """Send metrics to the monitor, from rank 0 alone."""
        if self._is_first:
            self._logged = self._monitor.log.remote(step, steps, metrics)

    def checkpoint(self, step: int, metrics: dict[str, float], folder: Path) -> None:
        """Start the upload of this worker's part of a checkpoint, once the one before is complete."""
        self.await_upload()  # so that there are never more than two on this machine's disk
        if self._logged:
            ray.get(self._logged)  # the times of logged steps are not in the checkpoint, only in the monitor
        ray.train.report(
            {"step": step, **metrics},
            checkpoint=ray.train.Checkpoint.from_directory(folder),  # each worker's random states and its share of ZeRO's state
            checkpoint_dir_name=f"step-{step:08}",
            checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,
            # One at a time: a checkpoint is not evaluated while another one is, and none waits.
            validation=self._measures and ray.get(self._monitor.may_measure.remote()),
        )

    def await_upload(self) -> None:
        """Wait until the last checkpoint is in the output and its local copy is deleted."""
        ray.train.get_all_reported_checkpoints(consistency_mode=ray.train.CheckpointConsistencyMode.COMMITTED)


class _NoUselessRestart(ray.train.UserCallback):
    """End the run at an error that would come again after every restart.

    That is one that ocrray raises on purpose, or one that came before, word for word, when training stood at the same checkpoint.
    """

    def __init__(self, checkpoints: Path) -> None:
        self._checkpoints = checkpoints
        self._seen: set[tuple[str, str]] = set()

    def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:  # noqa: ARG002
        """Raise the first such error."""
        for error in worker_exceptions.values():
            if isinstance(error, OcrrayError):
                raise error
        newest = max((folder.name for folder in self._checkpoints.glob("step-*")), default="")
        for error in worker_exceptions.values():
            found = newest, cluster.last_line(error)
            if found in self._seen:
                raise EngineError(f"training failed twice at the same place: {found[1]} ({_logs()})")
        self._seen |= {(newest, cluster.last_line(error)) for error in worker_exceptions.values()}


def _measure(checkpoint: ray.train.Checkpoint, *, job: Job) -> dict[str, float]:
    """Evaluate a checkpoint on some validation samples; a Ray task of its own, apart from the training workers."""
    figures: dict[str, float] = {}
    with checkpoint.as_directory() as folder:
        step = read_state(Path(folder))["global_step"]
        try:
            figures = open_task(job.config).measure(Path(folder), _some_samples(job))
        finally:
            ray.get(job.monitor.measured.remote(step, figures))
    return figures


def _some_samples(job: Job) -> pa.Table:
    """Return `generate_records` evenly spaced validation samples."""
    samples = read_part(job.samples, "validation")
    count = min(job.config.evaluation.generate_records, len(samples))
    return samples.take(np.linspace(0, len(samples) - 1, count).astype(np.int64))


def _measure_late(job: Job, best: ray.train.Checkpoint) -> str:
    """Evaluate the exported checkpoint unless that is done; return the reason of a failure, else an empty string."""
    step = read_state(Path(best.path))["global_step"]
    state: ray.ObjectRef[Snapshot] = job.monitor.snapshot.remote()
    rows = ray.get(state).rows
    if not job.config.evaluation.generate_records or any(row["step"] == step for row in measurements(rows)):
        return ""
    measure = ray.remote(num_cpus=1, num_gpus=min(1, job.config.workers.gpus))(_measure)
    try:
        ray.get(measure.remote(best, job=job))
    except ray.exceptions.RayError as error:  # a model that was not evaluated is better than none
        return cluster.last_line(error)
    return ""


def _spare_gpus(config: TrainConfig) -> int:
    """Return 1 when the run uses GPUs and the cluster has one left, else 0."""
    taken = config.workers.most * config.workers.gpus
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray has no type here
    return int(taken > 0 and resources.get("GPU", 0) >= taken + 1)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end when SIGINT arrived within the block.

    Ray Train answers Ctrl-C by ending its workers and exiting with code 0, or not at all when they have just ended.
    """
    handler = signal.getsignal(signal.SIGINT)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)  # receives the number of every signal, whatever the handler
    try:
        try:
            yield
        except SystemExit:
            raise KeyboardInterrupt from None
        finally:
            signal.signal(signal.SIGINT, handler)
            signal.set_wakeup_fd(before)
        os.write(writer, b"\0")  # else reading would block when no signal came
        if signal.SIGINT in os.read(reader, 1024):
            raise KeyboardInterrupt
    finally:
        os.close(reader)
        os.close(writer)


def _reason(error: ray.train.TrainingFailedError) -> OcrrayError:
    """Return the error that a worker raised on purpose, or the last line of another one with the path of the logs."""
    if isinstance(error, ray.train.ControllerError) and isinstance(error.controller_failure, OcrrayError):
        return error.controller_failure
    return EngineError(f"training failed: {cluster.last_line(error)} ({_logs()})")


def _logs() -> str:
    return f"Ray's logs are in {cluster.log_folder()}/train"
