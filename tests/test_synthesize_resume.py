"""A run of `synthesize` is killed in each of its phases, and the pairs come out as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.dataset
import pytest

ROOT = Path(__file__).parents[1]


def started(out: Path, log: Path) -> subprocess.Popen:
    """The demo's config with more pairs, in a process of its own."""
    settings = (f"output.path={out}", "pages.count=64", "pages.chars=[60, 120]", "noise.count=3000", "workers=2")
    command = [sys.executable, "-m", "ocrray", "synthesize", "configs/synthesize/demo.yaml"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*command, *(part for setting in settings for part in ("--set", setting))],
            stdout=stream, stderr=stream, cwd=ROOT, env=environment,
        )  # fmt: skip


def finished(out: Path, log: Path) -> None:
    assert started(out, log).wait(timeout=400) == 0, log.read_text()


def committed(out: Path, phase: str) -> int:
    return len(list((out / "_made" / phase).glob("part-*.parquet")))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_resume_after_kills_in_both_phases_gives_the_same_pairs(tmp_path: Path) -> None:
    """SIGKILL while pages are made, Ctrl-C while noise is: the third run finishes, with the pairs of a run left alone."""
    log, out = tmp_path / "log", tmp_path / "killed"
    for phase, kill in (("pages", signal.SIGKILL), ("noise", signal.SIGINT)):
        process = started(out, log)
        deadline = time.monotonic() + 300
        while committed(out, phase) < 2 and process.poll() is None:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        process.send_signal(kill)
        assert process.wait(timeout=60) == (130 if kill == signal.SIGINT else -kill)
        assert 2 <= committed(out, phase) < 16
        assert not (out / "manifest.json").exists()

    finished(out, log)
    finished(tmp_path / "alone", log)

    killed, alone = (
        pyarrow.dataset.dataset(folder / "data").to_table().sort_by("record_id") for folder in (out, tmp_path / "alone")
    )
    assert killed.num_rows > 3000
    assert killed.equals(alone)
    assert (out / "noise.json").read_text() == (tmp_path / "alone" / "noise.json").read_text()
