"""Standard streams that are closed, or are lost while a run goes on."""

import json
import subprocess
import sys
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
@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "2>&-", "> /dev/full 2> /dev/full"])
def test_restore_without_standard_streams_succeeds(command: str, streams: str, tmp_path: Path):
    """A job of a scheduler may have none, and the disk of its log file may be full."""
    assert subprocess.run(["bash", "-c", f"{command} {streams}"], check=False, timeout=200).returncode == 0
    assert (tmp_path / "out" / "manifest.json").exists()


def test_output_whose_reader_is_gone_does_not_end_the_run(command: str):
    """As in `ocrray ... | head -1`."""
    ended = subprocess.run(
        ["bash", "-c", f"{command} --dry-run | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
