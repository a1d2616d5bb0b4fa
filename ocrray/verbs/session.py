"""Ray session of a run: connect, record the run in the output folder, and start the monitor actor of its workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocrray.storage import Location
from ocrray.storage.faults import wait_for_stores
from ocrray.verbs.base import Plan
from ocrray.verbs.output import Run, read_run, write_run

if TYPE_CHECKING:
    from ocrray.runtime.monitor import MonitorHandle


@contextmanager
def ray_session(
    plan: Plan, folder: Location, local_cpus: int, monitor: Any = None, *monitor_arguments: Any
) -> Iterator["MonitorHandle"]:
    """Connect to Ray, end what an earlier driver of this run left behind, record the run in `folder`, and yield its monitor.

    `local_cpus`: logical CPUs of a cluster started on this machine. `monitor`: the actor class, RunMonitor unless given.

    Raises: ConfigError: when Ray cannot be reached, a machine does not see `folder` or the input, or another run of this cluster
        writes to `folder`.
    """
    # Late, because Ray takes a second to import and a plan needs none of it.
    from ocrray.runtime import cluster, probe
    from ocrray.runtime.monitor import RunMonitor, monitored

    wait_for_stores(plan.max_wait_s)
    before = read_run(folder)
    if before:
        cluster.end_session(before.session)
    run = plan.previous or Run(plan.fingerprint, plan.settings, datetime.now(UTC).isoformat(timespec="seconds"), "")
    with cluster.connected(local_cpus) as session:
        if cluster.is_remote():
            probe.require_shared(folder, plan.input_samples)
        with monitored(folder, monitor or RunMonitor, *monitor_arguments) as actor:
            write_run(folder, replace(run, session=session))
            try:
                yield actor
            finally:
                wait_for_stores(plan.max_wait_s)  # the workers' monitor, to whom this process may have reported, ends


def started_at(folder: Location) -> datetime:
    """Return when the run of this folder was first started; it must have been recorded."""
    run = read_run(folder)
    assert run is not None
    return datetime.fromisoformat(run.started_at)
