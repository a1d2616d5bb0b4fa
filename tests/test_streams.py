"""Standard streams that are closed, or are lost while a run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def command(tmp_path: Path) -> str:
    """Shell command that restores ten lines into `<tmp_path>/out`."""
    (tmp_path / "lines.jsonl").write_text("\n".join(json.dumps({"text": f"tbe {i}"}) for i in range(10)))
    config = {
        "input": {"paths": [str(tmp_path / "lines.jsonl")]},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}},
        "output": {"path": str(tmp_path / "out")},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return f"{sys.executable} -m ocrray restore {tmp_path / 'config.yaml'}"


@pytest.mark.usefixtures("on_cluster")
@pytest.mark.parametrize(
    "streams",
    [
        "<&- >&- 2>&-",
        pytest.param("2>&-", marks=pytest.mark.slow),
        pytest.param("> /dev/full 2> /dev/full", marks=pytest.mark.slow),
    ],
)
def test_restore_without_standard_streams_succeeds(command: str, streams: str, tmp_path: Path):
    """A job of a scheduler may have none, and the disk of its log file may be full."""
    assert subprocess.run(["bash", "-c", f"{command} {streams}"], check=False, timeout=200).returncode == 0
    assert (tmp_path / "out" / "manifest.json").exists()


def opened_when_read(fifo: Path) -> int:
    """The writing end of a named pipe, once somebody has opened it to read."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < deadline, "nobody reads the pipe"
            time.sleep(0.05)


@pytest.mark.parametrize(("prefix", "expected"), [("", 130), ("nohup ", 2)])
def test_lost_terminal_interrupts_unless_nohup_was_asked_for(prefix: str, expected: int, tmp_path: Path):
    """A dropped connection sends SIGHUP: the run stops as at Ctrl-C; under nohup it goes on, and finds its config empty."""
    config = tmp_path / "config.yaml"
    os.mkfifo(config)
    arguments = [*prefix.split(), sys.executable, "-m", "ocrray", "restore", str(config)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer = opened_when_read(config)
    process.send_signal(signal.SIGHUP)
    if expected == 2:
        os.close(writer)

    _, error = process.communicate(timeout=60)

    assert process.returncode == expected, error.decode()


def test_output_whose_reader_is_gone_does_not_end_the_run(command: str):
    """As in `ocrray ... | head -1`."""
    ended = subprocess.run(
        ["bash", "-c", f"{command} --dry-run | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
