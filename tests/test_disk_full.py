"""A disk that is full: a small one of its own (tmpfs in a mount name space of Linux)."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset
import pytest
import yaml

from ocrray.storage import Location

RESTORE_TWICE = """
mount -t tmpfs -o size=$1k none $2/out || exit 99
$3 -m ocrray restore $2/config.yaml; echo exit $?
find $2/out -name '*.tmp'
mount -o remount,size=20m $2/out
touch $2/out/data/.part-000000.parquet.0123456789abcdef0123456789abcdef.tmp
$3 -m ocrray restore $2/config.yaml; echo exit $?
cp -r $2/out $2/kept
"""


def test_restore_onto_a_full_disk_ends_in_one_line_and_goes_on_when_there_is_space(tmp_path: Path):
    """The work list fits, the corpus does not; nothing stays of files that could not be finished, or not because of a SIGKILL."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow name spaces")
    chance = random.Random(1)
    lines = [{"text": "tbe " + "".join(chance.choices("abcdefghij klmn", k=1000))} for _ in range(1000)]
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = {
        "input": {"paths": [str(tmp_path / "lines.jsonl")]},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}},
        "guard": None,
        "output": {"path": str(tmp_path / "out")},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "out").mkdir()
    script = ["bash", "-c", RESTORE_TWICE, "bash", "1700", str(tmp_path), sys.executable]

    ended = subprocess.run(["unshare", "-rm", *script], capture_output=True, text=True, check=False, timeout=250)

    assert [line for line in ended.stdout.splitlines() if line.startswith(("exit", "/"))] == ["exit 2", "exit 0"]
    stopped, hint = (line for line in ended.stderr.splitlines() if line and not line.startswith("{"))
    assert "No space left on device" in stopped
    assert stopped.startswith(f"ocrray: stopped: {tmp_path}/out/data/")
    assert "to go on" in hint
    rows = pyarrow.dataset.dataset(tmp_path / "kept" / "data").to_table(columns=["record_id", "corrected_text"]).to_pydict()
    assert len(set(rows["record_id"])) == len(rows["record_id"]) == 1000
    assert all(text.startswith("the") for text in rows["corrected_text"])
    assert not list((tmp_path / "kept").rglob("*.tmp"))


def test_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path):
    """Neither half of the new content nor a file beside it."""
    folder = Location.at(tmp_path)
    folder.write_text("a.json", "before")
    (tmp_path / "b.json").mkdir()

    with pytest.raises(OSError, match="irectory"):
        folder.write_text("b.json", "after")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
    assert folder.read_text("a.json") == "before"
