"""Processes are killed at any moment, and the corpus comes out as if nothing had happened."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.dataset
import pytest
import yaml
from PIL import Image

from ocrray.corpus.manifest import read_manifest
from ocrray.runtime import cluster


def written_config(folder: Path, records: int, delay_s: float, rows_per_block: int = 50) -> Path:
    """A config that corrects this many lines, taking its time over each."""
    lines = [{"id": f"line-{i:05d}", "ocr": f"tbe line {i}", "gt": f"the line {i}"} for i in range(records)]
    (folder / "lines.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    config: dict[str, Any] = {
        "input": {"paths": [str(folder / "lines.jsonl")], "id_column": "id", "text_column": "ocr", "ground_truth_column": "gt"},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}, "delay_s": delay_s},
        "output": {"path": str(folder / "out")},
        "workers": {"rows_per_block": rows_per_block},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def started(config: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "ocrray", "restore", str(config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finished(config: Path) -> None:
    process = started(config)
    _, error = process.communicate(timeout=280)
    assert process.returncode == 0, error.decode()


def committed_files(folder: Path) -> int:
    return len(list(folder.glob("out/data/part-*.parquet")))


def wait_for_commits(process: subprocess.Popen, folder: Path, at_least: int) -> None:
    deadline = time.monotonic() + 120
    while committed_files(folder) < at_least and process.poll() is None:
        assert time.monotonic() < deadline, "the run commits nothing"
        time.sleep(0.05)


def assert_whole(folder: Path, records: int) -> None:
    """Every id is in the corpus once, with the text and status of an uninterrupted run."""
    rows = (
        pyarrow.dataset.dataset(folder / "out" / "data").to_table(columns=["record_id", "corrected_text", "status"]).to_pylist()
    )
    expected = [{"record_id": f"line-{i:05d}", "corrected_text": f"the line {i}", "status": "corrected"} for i in range(records)]
    assert sorted(rows, key=lambda row: row["record_id"]) == expected
    assert read_manifest(folder / "out").counts.listed == records


@pytest.mark.slow  # test_chaos_short kills drivers too
def test_resume_after_driver_is_killed_completes_the_corpus(tmp_path: Path):
    """The driver gets SIGKILL in mid-run; the same command goes on from the committed rows, and each is there once."""
    config = written_config(tmp_path, records=600, delay_s=0.02)
    process = started(config)
    wait_for_commits(process, tmp_path, at_least=3)
    process.kill()
    process.wait()
    assert not (tmp_path / "out" / "manifest.json").exists()
    committed = committed_files(tmp_path)

    finished(config)

    assert_whole(tmp_path, records=600)
    assert 3 <= committed < 12


def test_interrupt_stops_cleanly_and_says_how_to_go_on(tmp_path: Path):
    """Ctrl-C ends the run with 130, a hint and no traceback; the same command then finishes it."""
    config = written_config(tmp_path, records=400, delay_s=0.02)
    process = started(config)
    wait_for_commits(process, tmp_path, at_least=2)

    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)

    assert process.returncode == 130
    assert f"restore {config}" in error.decode()
    assert "Traceback" not in error.decode()
    finished(config)
    assert_whole(tmp_path, records=400)


@pytest.mark.usefixtures("on_cluster")
def test_sigterm_while_connected_to_ray_is_an_interruption():
    """`ray job stop` and batch schedulers send SIGTERM, for which Ray installs a handler that exits without a word."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), cluster.connected(1):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_resume_with_fixed_pools_on_two_cores_completes_the_corpus(tmp_path: Path):
    """Two cores, Ray of its own, and a full pool for recognition and for correction beside tasks and Ray Data's resume filter."""
    scans = tmp_path / "scans"
    scans.mkdir()
    for number in range(40):
        Image.new("L", (8, 8), 255).save(scans / f"{number:02d}.png")
    config = tmp_path / "config.yaml"
    settings = {
        "input": {"paths": [str(scans)]},
        "recognize": {"engine": "fake", "lines": ["tbe line"], "delay_s": 0.2},
        "correct": {"engine": "tagger", "num_threads": 1},
        "output": {"path": str(tmp_path / "out")},
        "workers": {"rows_per_block": 4},
    }
    config.write_text(yaml.safe_dump(settings))
    two_cores = "import os, sys; os.cpu_count = lambda: 2; from ocrray.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", two_cores, "restore", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_commits(process, tmp_path, at_least=2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert committed_files(tmp_path) < 10

    resumed = subprocess.run(command, capture_output=True, timeout=200)

    assert resumed.returncode == 0, resumed.stderr.decode()
    rows = pyarrow.dataset.dataset(tmp_path / "out" / "data").to_table().to_pylist()
    assert sorted(Path(row["source_uri"]).stem for row in rows) == [f"{number:02d}" for number in range(40)]
    assert {(row["recognizer"].split()[0], row["corrector"]) for row in rows} == {("fake", "tagger")}
    assert {row["corrected_text"] for row in rows} == {"the line"}


def test_two_runs_on_one_output_the_second_is_refused(tmp_path: Path):
    """A run that finds its output held by another one says so, and leaves it alone."""
    config = written_config(tmp_path, records=400, delay_s=0.02)
    first = started(config)
    wait_for_commits(first, tmp_path, at_least=1)

    second = started(config)
    _, error = second.communicate(timeout=60)

    assert second.returncode == 2
    assert "another run" in error.decode()
    first.communicate(timeout=200)
    assert first.returncode == 0
    assert_whole(tmp_path, records=400)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_resume_after_ten_kills_at_random_moments_completes_the_corpus(tmp_path: Path):
    """2,000 records, ten drivers killed at random moments (start-up and listing too), and a worker or actor before each."""
    rng = random.Random(0)
    config = written_config(tmp_path, records=2000, delay_s=0.15, rows_per_block=20)
    workers_killed = 0
    for _ in range(10):
        process = started(config)
        deadline = time.monotonic() + rng.uniform(1, 25)
        while time.monotonic() < deadline:
            time.sleep(rng.uniform(0.5, 4))
            workers_killed += kill_one_worker(process, rng)
        assert process.poll() is None, "the run ended before it could be killed; slow it down"
        process.kill()
        process.wait()
    assert workers_killed >= 5

    finished(config)

    assert_whole(tmp_path, records=2000)


def kill_one_worker(driver: subprocess.Popen, rng: random.Random) -> bool:
    """SIGKILL one Ray worker process of this driver, be it an actor or a task; returns whether there was one."""
    try:
        workers = [
            process
            for process in psutil.Process(driver.pid).children(recursive=True)
            if process.cmdline() and process.cmdline()[0].startswith("ray::Map")
        ]
        for worker in rng.sample(workers, k=min(1, len(workers))):
            worker.kill()
    except psutil.NoSuchProcess:
        return False
    return bool(workers)
