"""Joining the cluster a job was submitted to, or starting a small one on this machine and ending it again."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import ray

from ocrray.errors import ConfigError

# A streaming run keeps little in flight, while Ray's own default is 30 % of the machine's memory.
_LOCAL_OBJECT_STORE_BYTES = 1 << 30


def is_remote() -> bool:
    """Whether this process was started by `ray job submit`, or pointed at a cluster by RAY_ADDRESS."""
    return bool(os.environ.get("RAY_ADDRESS"))


@contextmanager
def connected(local_cpus: int) -> Iterator[str]:
    """Ray for the time of a run; yields the name of its session. A cluster started here offers `local_cpus` logical CPUs.

    Raises ConfigError when the cluster cannot be reached or started.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray 2.60 prints a warning about it on every start
    local = {
        "address": "local",
        "num_cpus": local_cpus,
        "object_store_memory": _LOCAL_OBJECT_STORE_BYTES,
        "include_dashboard": False,
    }
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **({} if is_remote() else local))
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"Ray cannot be reached or started: {' '.join(str(error).split())}") from None
    try:
        yield ray.get_runtime_context().get_session_name()
    finally:
        ray.shutdown()


def end_session(session: str) -> None:
    """End what still runs on this machine of the Ray session named so, whose driver was killed; its workers might still write."""
    roots = [
        process
        for process in psutil.process_iter(["cmdline"])
        if session and any(session in argument for argument in process.info["cmdline"] or [])
    ]
    doomed = {process for root in roots for process in [root, *_descendants(root)] if process.pid != os.getpid()}
    for process in doomed:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(doomed, timeout=10)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
