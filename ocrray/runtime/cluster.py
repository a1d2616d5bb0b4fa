"""Connection to the cluster a job was submitted to, or to one that is started on this machine and ended again."""

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Read when Ray is imported or starts, and inherited by its workers; the first three silence messages on the terminal.
_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about this very variable, on every start of Ray 2.60
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its C++ core warns of every actor pool that its arguments are in the object store
    "RAY_DEDUP_LOGS_SKIP_REGEX": "worker processes have been started",  # normal on a machine of 2 cores
    "RAY_USAGE_STATS_ENABLED": "0",  # else a further process sends usage statistics to Ray's developers
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in a config are relative to the working directory, in Ray Train's workers too
    "OMP_WAIT_POLICY": "PASSIVE",  # else the idle threads of one worker's torch spin on the cores that others need
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import psutil  # noqa: E402
import ray  # noqa: E402

from ocrray.errors import ConfigError  # noqa: E402

# A streaming run keeps few blocks in flight, and Ray Data fills the store; Ray's default is 30 % of the machine's memory.
_LOCAL_OBJECT_STORE_BYTES = 256 << 20


def is_remote() -> bool:
    """Return whether RAY_ADDRESS names a cluster, as it does in jobs of `ray job submit`."""
    return bool(os.environ.get("RAY_ADDRESS"))


def last_line(error: Exception) -> str:
    """Return the last line of the message of an error of Ray, which follows a traceback."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


@contextmanager
def connected(local_cpus: int) -> Iterator[str]:
    """Connect to Ray for the time of a run; a cluster started here has `local_cpus` logical CPUs.

    Yields the name of the session if it was started here, for `end_session`; empty if a cluster was joined.

    Raises:
        ConfigError: when the cluster cannot be reached or started.
    """
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with _silent_stderr():
            if is_remote():
                ray.init(log_to_driver=False, logging_level=logging.ERROR)
            else:
                ray.init(
                    "local",
                    num_cpus=local_cpus,
                    object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
    except Exception as error:  # of any class: a plain Exception where a busy machine starts Ray too slowly
        raise ConfigError(f"Ray cannot be reached or started: {' '.join(str(error).split())}") from None
    # Ray installed a Python handler that exits with 15 at a SIGTERM, and a C++ one that aborts the process three seconds later.
    signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield "" if is_remote() else ray.get_runtime_context().get_session_name()
    finally:
        ray.shutdown()


def log_folder() -> str:
    """Return the folder of this session's logs, on each machine."""
    context = ray.get_runtime_context()
    return f"{context.get_temp_dir()}/{context.get_session_name()}/logs"


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep messages of C++ code on standard error off the terminal, unless an exception follows."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            with os.fdopen(os.dup(terminal), "wb") as stream:
                shutil.copyfileobj(kept, stream)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def end_session(session: str) -> None:
    """Kill processes of this Ray session on this machine, whose driver was killed: its workers might still write."""
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
