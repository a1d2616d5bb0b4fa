"""Check that all machines of a cluster see the output and the input: a path may name another folder on each of them."""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ocrray.errors import OcrrayError, Problems, RecordError
from ocrray.runtime.cluster import last_line
from ocrray.storage import Location, files

_FOLDER_NAME = "_probe"
_TIMEOUT_S = 120.0  # the first task on a machine may have to wait until the job's package is there
_VISIBLE_AFTER_S = 5.0  # shared file systems cache listings
_SHARED = "use a folder that all machines share, or an object store"


def require_shared(output: Location, inputs: Callable[[], Sequence[Location]]) -> None:
    """Write a file into `output` on this machine; every other one reads it, writes one, and looks at each of the `inputs`.

    A machine that does not answer in time, or goes away, is not judged, nor is one that joins later.

    Raises: ConfigError: with one line for each machine and place; OSError, StoreError: when this machine cannot write.
    """
    here = ray.get_runtime_context().get_node_id()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # a decorator of Ray's hides its type
    others = [node for node in nodes if node["Alive"] and node["NodeID"] != here and node["Resources"].get("CPU")]
    if not others:
        return
    probe, token = output.child(_FOLDER_NAME), uuid.uuid4().hex
    problems = Problems()
    try:
        probe.write_text(token, token)
        samples = [location for location in inputs() if _input_problem(location) is None]
        tasks = {_start(node["NodeID"], probe, token, samples): node for node in others}
        for task in ray.wait(list(tasks), num_returns=len(tasks), timeout=_TIMEOUT_S)[0]:
            node, answer = tasks[task], _answer(task)
            if answer == [] and _seen(probe, node["NodeID"], token) is not None:
                answer = [f"output.path: {output.uri} is another folder"]
            problems += [f"{problem} on node {node['NodeManagerAddress']}; {_SHARED}" for problem in answer or ()]
    finally:
        with suppress(OSError, OcrrayError):
            output.filesystem.delete_dir(probe.path)
    problems.raise_if_any()


def _start(node_id: str, probe: Location, token: str, samples: Sequence[Location]) -> Any:
    here = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return _look.options(scheduling_strategy=here).remote(probe, node_id, token, samples)


def _answer(task: Any) -> list[str] | None:
    """Return what a machine does not see, None where it went away."""
    try:
        return list(ray.get(task))
    except RayTaskError as error:  # ocrray cannot be imported there, for instance
        return [f"a task fails ({last_line(error)})"]
    except RayError:
        return None


@ray.remote(num_cpus=0, max_retries=0)
def _look(probe: Location, node_id: str, token: str, samples: Sequence[Location]) -> list[str]:
    """Return what this machine does not see."""
    problems = [problem for location in samples if (problem := _input_problem(location))]
    cause = _seen(probe, token, token)
    if cause is None:
        try:
            probe.write_text(node_id, token)
        except (OSError, OcrrayError) as error:
            cause = " ".join(str(error).split())
    return [*problems, f"output.path: {probe.parent().uri} cannot be used ({cause})"] if cause else problems


def _seen(probe: Location, name: str, token: str) -> str | None:
    """Return why the file `name` cannot be read or holds something else than `token`; None if all is well."""
    begun = time.monotonic()
    while True:
        try:
            return None if probe.read_text(name) == token else "it holds other files"
        except (OSError, OcrrayError) as error:
            cause = "what another machine writes is not there" if isinstance(error, FileNotFoundError) else str(error)
        if time.monotonic() - begun > _VISIBLE_AFTER_S:
            return " ".join(cause.split())
        time.sleep(0.5)


def _input_problem(location: Location) -> str | None:
    try:
        files.stat(location)
    except RecordError as error:
        return f"input: {error}"
    except OcrrayError as error:
        return f"input: {location.uri}: {' '.join(str(error).split())}"
    return None
