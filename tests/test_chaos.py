"""Runs under random kills and faults of the store come out as undisturbed ones do: every record once, none failed for it."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.dataset
import pytest
import yaml
from faulty_s3 import FaultyS3

from ocrray.corpus.manifest import read_manifest
from ocrray.storage import Location

STORE_FAULTS: Sequence[dict[str, Any]] = (
    {"status": 500, "code": "InternalError", "every": 3},
    {"status": 503},
    {"status": 403, "code": "ExpiredToken", "message": "The provided token has expired."},
    {"reset": True, "every": 2},
    {"latency_s": 0.3, "match": "nothing"},
)
KINDS = ("driver", "SIGTERM", "worker", "worker", "monitor", "store", "store", "store")
RESUMABLE = (2, 130, -signal.SIGKILL)
TIMES = {"correct_s", "recognize_s"}


@pytest.fixture
def small_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray cluster of three logical CPUs: each driver that is started again starts its workers again."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 3, "object_store_memory": 256 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield
    cluster.shutdown()


@dataclass
class Chaos:
    """Runs `ocrray restore` on a cluster, again and again until it is through, and disturbs it at first."""

    s3: FaultyS3
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def complete(self, config: Path, disturbances: int) -> None:
        """Disturb the run so often, and let it end then."""
        process = self._started(config)
        kinds = [self.rng.choice(KINDS) for _ in range(disturbances)]
        deadline = time.monotonic() + 900
        while True:
            assert time.monotonic() < deadline, "the run does not end"
            with suppress(subprocess.TimeoutExpired):
                _, error = process.communicate(timeout=self.rng.uniform(0.3, 3) if kinds else 5)
                if process.returncode == 0:
                    self.s3.fault = None
                    return
                assert process.returncode in RESUMABLE, error
                assert "Traceback" not in error
                self.done[f"exit {process.returncode}"] += 1
                if process.returncode == 2:
                    print(*error.strip().splitlines()[-2:], sep="\n", flush=True)
                process = self._started(config)
                continue
            if kinds and self._disturb(process, kinds[0]):
                kinds.pop(0)

    def _started(self, config: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "ocrray", "restore", str(config)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _disturb(self, driver: "subprocess.Popen[str]", kind: str) -> bool:
        """Disturb the run in this way; returns False where that cannot be done yet."""
        if kind == "driver":
            driver.kill()
        elif kind == "SIGTERM":
            driver.terminate()
        elif kind == "store":
            fault = self.rng.choice(STORE_FAULTS)
            self.s3.fail_for(self.rng.uniform(1, 4), **fault)
            kind = f"store {fault.get('status') or ('reset' if 'reset' in fault else 'slow')}"
        else:
            victims = list(_workers("RunMonitor" if kind == "monitor" else "Read|Map|_caught"))
            if not victims:
                return False
            with suppress(psutil.NoSuchProcess):
                self.rng.choice(victims).kill()
        self.done[kind] += 1
        return True


def _workers(names: str) -> Iterator[psutil.Process]:
    """Yield the workers of this session's cluster whose task or actor has a name that begins with one of these."""
    for process in psutil.Process(os.getpid()).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if re.match(f"ray::({names})", (process.cmdline() or [""])[0]):
                yield process


def fill(s3: FaultyS3, records: int) -> list[str]:
    """Put lines of tables and, for a tenth of the records, whole files into the store; returns the paths of the input."""
    client, files = s3.client(), records // 10
    lines = [
        {"id": f"line-{number:05d}", "ocr": f"tbe line {number}", "gt": f"the line {number}"} for number in range(records - files)
    ]
    for start in range(0, len(lines), 500):
        body = "\n".join(map(json.dumps, lines[start : start + 500])).encode()
        client.put_object(Bucket=s3.bucket, Key=f"chaos-{records}/tables/{start:05d}.jsonl", Body=body)
    for number in range(files):
        client.put_object(Bucket=s3.bucket, Key=f"chaos-{records}/pages/{number:05d}.txt", Body=f"tbe page {number}".encode())
    return [s3.uri(f"{s3.bucket}/chaos-{records}/{folder}") for folder in ("tables", "pages")]


def written_config(folder: Path, paths: list[str], output: str, delay_s: float) -> Path:
    folder.mkdir()
    config = {
        "input": {"paths": paths, "id_column": "id", "text_column": "ocr", "ground_truth_column": "gt", "text_unit": "file"},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}, "delay_s": delay_s},
        "output": {"path": output},
        "workers": {"rows_per_block": 100, "correct": 3, "max_wait_s": 60},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def corpus(output: str) -> pa.Table:
    """Return all rows in the order of their ids, without times."""
    data = Location.at(output).child("data")
    rows = pyarrow.dataset.dataset(data.path, filesystem=data.filesystem).to_table().sort_by("record_id")
    return rows.drop_columns([name for name in rows.column_names if name in TIMES])


def run_chaos(s3: FaultyS3, folder: Path, *, records: int, runs: int, disturbances: int, delay_s: float, seed: int) -> None:
    paths, chaos = fill(s3, records), Chaos(s3, random.Random(seed))
    undisturbed = str(folder / "undisturbed" / "out")
    chaos.complete(written_config(folder / "undisturbed", paths, undisturbed, 0), disturbances=0)
    expected = corpus(undisturbed)
    assert expected["status"].unique().to_pylist() == ["corrected"]
    assert len(expected) == records
    assert not chaos.done
    begun = time.monotonic()
    for run in range(runs):
        output = s3.uri(f"{s3.bucket}/chaos-out-{records}-{run}") if run % 2 else str(folder / str(run) / "out")
        chaos.complete(written_config(folder / str(run), paths, output, delay_s), disturbances)

        assert corpus(output).equals(expected), f"run {run} differs"
        assert read_manifest(Location.at(output)).counts.listed == records
        print(f"run {run}: {time.monotonic() - begun:.0f} s, {dict(chaos.done)}", flush=True)


@pytest.mark.usefixtures("on_cluster")
def test_chaos_short(s3: FaultyS3, tmp_path: Path):
    """Two runs of 300 records, one into a folder and one into the store."""
    run_chaos(s3, tmp_path, records=300, runs=2, disturbances=3, delay_s=0.02, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
@pytest.mark.usefixtures("s3", "small_cluster")  # in this order: workers inherit the keys
def test_chaos_thirty_runs_of_three_thousand_records(s3: FaultyS3, tmp_path: Path):
    """Drivers, workers and monitors are killed, and the store fails, at random moments."""
    seed, runs = (int(os.environ.get(name, default)) for name, default in (("CHAOS_SEED", "0"), ("CHAOS_RUNS", "30")))
    run_chaos(s3, tmp_path, records=3000, runs=runs, disturbances=4, delay_s=0.01, seed=seed)
