"""What every test may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: with tiny models a second thread only costs time

if TYPE_CHECKING:
    from faulty_s3 import FaultyS3
    from selenium import webdriver


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data beside the checkout; a newcomer's clone has none."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"development data not found at {folder}")
    return folder


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """A test that calls the command line in this process leaves no signal handler behind."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests wait for stores as while a run is planned; a run that waits longer does so until its test ends."""
    from ocrray.storage import faults

    monkeypatch.setattr(faults, "_waiting", faults.Waiting())  # restored at the end
    faults.wait_briefly()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """The one Ray cluster of the test session, with more logical CPUs than cores, and a GPU only in name; yields its address."""
    from faulty_s3 import KEYS
    from misbehaving_server import SERVER_KEY
    from ray.cluster_utils import Cluster

    os.environ.update({**KEYS, **SERVER_KEY})  # workers inherit the environment of the cluster
    head = {"num_cpus": 8, "num_gpus": 1, "object_store_memory": 512 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def on_cluster(ray_cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs started by this test join the session's cluster instead of starting one of their own."""
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster)


@pytest.fixture(scope="session")
def s3_server() -> "Iterator[FaultyS3]":
    """The one object store of the test session."""
    from faulty_s3 import FaultyS3

    server = FaultyS3()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: "FaultyS3", monkeypatch: pytest.MonkeyPatch) -> "Iterator[FaultyS3]":
    """An object store that fails on command, and keys for it in the environment."""
    from faulty_s3 import KEYS

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    yield s3_server
    s3_server.fault = None


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[webdriver.Chrome]":
    """The one browser of the test session."""
    import chromium

    chrome = chromium.start(tmp_path_factory.mktemp("chromium"))
    yield chrome
    chrome.quit()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on the development data: CI has it, and must show that they did."""
    counts = {
        outcome: sum("shared" in report.keywords for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed", "skipped")
    }
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    terminalreporter.write_line(f"Tests on the development data in ../shared: {told}")


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    """A client of an S3 server with an empty bucket `archive`, and the query options of URIs that lead there."""
    import boto3
    from moto.server import ThreadedMotoServer

    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="archive")
    yield client, f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    for entry in client.list_objects_v2(Bucket="archive").get("Contents", ()):  # servers of one process share their buckets
        client.delete_object(Bucket="archive", Key=entry["Key"])
    server.stop()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
