"""The actor that workers report to: its death costs no record."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ocrray.errors import EngineError
from ocrray.records import SCHEMA
from ocrray.stages.base import CountAttempt, RowStage
from ocrray.storage import Location


class Counting(RowStage):
    """Counts the attempt at each row, as recognition does, and changes nothing."""

    name = "counting"
    reads = ()
    writes = ("error_kind",)

    def __init__(self, count_attempt: CountAttempt) -> None:
        self.count_attempt = count_attempt

    def process_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        self.count_attempt(row["record_id"])
        return {}


@pytest.fixture
def connected(on_cluster: None) -> Iterator[None]:  # noqa: ARG001 - the cluster of the session
    """This process, connected to the session's cluster."""
    from ocrray.runtime import cluster

    with cluster.connected(1):
        yield


@pytest.mark.usefixtures("connected")
def test_monitor_whose_process_is_killed_goes_on_counting(tmp_path: Path):
    """Ray restarts it, as it does after the out-of-memory killer or a lost node; who asks gets an answer."""
    import ray

    from ocrray.runtime.monitor import monitored

    with monitored(Location.at(tmp_path)) as monitor:
        assert ray.get(monitor.attempt.remote("page")) == 1
        process = ray.get(monitor.__ray_call__.remote(lambda _: os.getpid()))
        os.kill(process, signal.SIGKILL)

        assert ray.get(monitor.attempt.remote("page"), timeout=60) == 1


@pytest.mark.usefixtures("connected")
def test_worker_whose_monitor_is_gone_ends_the_run_and_fails_no_record(tmp_path: Path):
    """A page that cannot be counted is no page that cannot be read: the run stops, resumably."""
    import ray

    from ocrray.runtime.monitor import monitored
    from ocrray.runtime.pipeline import Worker

    rows = pa.Table.from_pylist([{"record_id": "a", "source_uri": "page.png"}], schema=SCHEMA)
    with monitored(Location.at(tmp_path)) as monitor:
        worker = Worker(lambda count: [Counting(count)], monitor)
        ray.kill(monitor)

        with pytest.raises(EngineError, match="monitor"):
            worker(rows)


@pytest.mark.usefixtures("connected")
def test_page_is_not_blamed_for_deaths_on_other_pages_of_its_block(tmp_path: Path):
    """A worker that dies again and again on the second page, or on a machine that goes away, leaves the first page innocent."""
    import ray

    from ocrray.runtime.monitor import monitored
    from ocrray.runtime.pipeline import Worker

    rows = pa.Table.from_pylist([{"record_id": name, "source_uri": f"{name}.png"} for name in "ab"], schema=SCHEMA)
    with monitored(Location.at(tmp_path)) as monitor:
        for _ in range(3):  # three processes, each of which dies before its block ends
            Worker(lambda count: [Counting(count)], monitor)(rows)

        assert ray.get(monitor.attempt.remote("a")) == 1
        assert ray.get(monitor.attempt.remote("b")) == 4
