"""Machines of a cluster that do not see the output or the input of a run."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.cluster_utils import Cluster

NODES_WAIT = """
import ray, sys, time
ray.init(sys.argv[1], log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < 2:
    time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in whose place the second machine has another, empty one."""
    return tmp_path_factory.mktemp("private")


@pytest.fixture(scope="module")
def two_machines(private: Path) -> Iterator[str]:
    """The address of a cluster of two nodes; the second has its own disk at `private` (a mount name space of Linux)."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow name spaces")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    start = f"ray start --address={cluster.address} --num-cpus=1 --block"
    mounted = f"mount -t tmpfs none {private} && exec {Path(sys.executable).parent}/{start}"
    log = (private.parent / "node.log").open("wb")
    command = ["unshare", "-m" if os.getuid() == 0 else "-rm", "bash", "-c", mounted]
    node = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    subprocess.run([sys.executable, "-c", NODES_WAIT, cluster.address], check=True, timeout=60, capture_output=True)
    yield cluster.address
    os.killpg(node.pid, signal.SIGTERM)
    node.wait(30)
    cluster.shutdown()


def restore(address: str, folder: Path, lines: Path, output: str) -> "subprocess.CompletedProcess[str]":
    """Restore one line of a file on the cluster."""
    lines.parent.mkdir(exist_ok=True, parents=True)
    lines.write_text(json.dumps({"text": "tbe"}))
    config: dict[str, Any] = {
        "input": {"paths": [str(lines)]},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}},
        "output": {"path": output},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "ocrray", "restore", str(folder / "config.yaml")]
    environment = {**os.environ, "RAY_ADDRESS": address}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=200)


def test_restore_output_that_one_machine_does_not_see_is_refused(two_machines: str, private: Path, tmp_path: Path):
    """Half of the corpus would be on its disk."""
    ended = restore(two_machines, tmp_path, tmp_path / "lines.jsonl", f"{private}/out")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()[1:]
    assert f"output.path: {private}/out" in line
    assert "another machine" in line
    assert not [path for path in (private / "out").iterdir() if path.name[0] != "." and path.name != "_work_list"]


def test_restore_input_that_one_machine_does_not_see_is_refused(two_machines: str, private: Path, tmp_path: Path):
    """Half of the records would be failed ones."""
    ended = restore(two_machines, tmp_path, private / "in" / "lines.jsonl", f"{tmp_path}/out")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()[1:]
    assert f"input: {private}/in/lines.jsonl: no such file" in line


def test_restore_on_two_machines_that_see_all_succeeds(two_machines: str, tmp_path: Path):
    """The probe leaves nothing behind."""
    ended = restore(two_machines, tmp_path, tmp_path / "lines.jsonl", f"{tmp_path}/out")
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "out" / "_probe").exists()


def test_restore_relative_output_of_a_submitted_job_is_refused(tmp_path: Path):
    """Its working directory is Ray's copy of the job on one machine, deleted when the job has ended."""
    folder = tmp_path / "session_1/runtime_resources/working_dir_files/_ray_pkg_0"
    folder.mkdir(parents=True)
    (folder / "lines.jsonl").write_text(json.dumps({"text": "tbe"}))
    (folder / "config.yaml").write_text(
        "{input: {paths: [lines.jsonl]}, recognize: null, correct: {engine: fake}, output: {path: out}}"
    )
    command = [sys.executable, "-m", "ocrray", "restore", "config.yaml"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 2
    assert "copy of the submitted job" in ended.stderr
