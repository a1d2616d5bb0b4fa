"""The same command again makes what is missing, and a replay redoes only the records that it names."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import yaml

from ocrray.cli import main
from ocrray.corpus.manifest import Manifest, read_manifest

pytestmark = pytest.mark.usefixtures("on_cluster")

Restore = Callable[..., int]
RECORDS = 3000


@pytest.fixture(scope="module")
def original(ray_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 3,000 lines and their finished corpus: 20 blocks, the digits of every tenth line refused by the guard."""
    folder = tmp_path_factory.mktemp("original")
    texts = [{"ocr": f"in 1801 and {i}" if i % 10 == 0 else f"tbe line {i}"} for i in range(RECORDS)]
    (folder / "lines.jsonl").write_text("\n".join(map(json.dumps, texts)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray_cluster)
        assert restorer(folder / "lines.jsonl", folder)() == 0
    return folder


def restorer(lines: Path, folder: Path) -> Restore:
    """Return a function that restores the lines into `out` in this folder, with some keys set."""
    config = {
        "input": {"paths": [str(lines)], "text_column": "ocr"},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the", "1801": "1802"}},
        "output": {"path": str(folder / "out")},
        "workers": {"rows_per_block": 150},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))

    def restore(*overrides: str) -> int:
        arguments = [argument for override in overrides for argument in ("--set", override)]
        return main(["restore", str(folder / "config.yaml"), *arguments])

    return restore


@pytest.fixture
def lines(original: Path, tmp_path: Path) -> Restore:
    """Restores the lines into this test's own output, which does not exist."""
    return restorer(original / "lines.jsonl", tmp_path)


@pytest.fixture
def finished(original: Path, lines: Restore, tmp_path: Path) -> Restore:
    """As `lines`, into a copy of the finished corpus."""
    shutil.copytree(original / "out", tmp_path / "out")
    return lines


def corpus(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows by id, each of which must be there once, without the times, which no two runs share."""
    rows = pyarrow.dataset.dataset(folder / "out" / "data").to_table().drop_columns(["recognize_s", "correct_s"]).to_pylist()
    by_id = {row["record_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def data_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out" / "data").glob("*.parquet")}


def manifest_of(folder: Path) -> Manifest:
    manifest = read_manifest(folder / "out")
    assert manifest is not None
    return manifest


def test_restore_data_files_that_are_gone_or_cut_are_made_again(finished: Restore, tmp_path: Path):
    """Deleted after the manifest, cut after it, or both: the same command makes these files anew and touches no other."""
    before, rows = data_files(tmp_path), corpus(tmp_path)
    deleted, cut, *untouched = sorted(before)
    times = {name: (tmp_path / "out" / "data" / name).stat().st_mtime_ns for name in untouched}
    (tmp_path / "out" / "data" / deleted).unlink()
    (tmp_path / "out" / "data" / cut).write_bytes(before[cut][:100])

    assert finished() == 0

    assert corpus(tmp_path) == rows
    assert {name: (tmp_path / "out" / "data" / name).stat().st_mtime_ns for name in untouched} == times
    assert manifest_of(tmp_path).counts.listed == RECORDS
    assert sum(file.rows for file in manifest_of(tmp_path).data_files) == RECORDS


def test_restore_replay_of_refused_records_redoes_only_these(
    finished: Restore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """With other settings, in the same output: the rest stays byte for byte, and the older rows are in the history."""
    before, rows = data_files(tmp_path), corpus(tmp_path)
    refused = {record_id for record_id, row in rows.items() if row["status"] == "kept_raw"}
    assert len(refused) == 300

    assert finished("replay=kept_raw", "guard=null") == 0

    after = corpus(tmp_path)
    assert {record_id for record_id, row in after.items() if row != rows[record_id]} == refused
    assert {after[record_id]["status"] for record_id in refused} == {"corrected"}
    history = pyarrow.dataset.dataset(tmp_path / "out" / "history" / "001").to_table().to_pylist()
    assert {row["record_id"]: row["corrected_text"] for row in history} == {name: rows[name]["raw_text"] for name in refused}
    manifest = manifest_of(tmp_path)
    assert manifest.counts.model_dump() == {"listed": RECORDS, "corrected": RECORDS, "unchanged": 0, "kept_raw": 0, "failed": 0}
    assert [(entry.number, entry.replayed) for entry in manifest.passes] == [(1, "status=kept_raw")]
    assert "guard" in " ".join(manifest.passes[0].changed_settings)
    assert manifest.config["guard"] is not None
    order = [pq.read_table(path)["record_id"].to_pylist() for path in sorted((tmp_path / "out" / "data").glob("*.parquet"))]
    assert [name for names in order for name in names] == list(rows)

    # The first command still belongs to this output, and has nothing to do.
    replayed = data_files(tmp_path)
    assert replayed != before
    assert finished() == 0
    assert data_files(tmp_path) == replayed
    assert "3,000" in capsys.readouterr().out


def test_restore_replay_that_selects_nothing_changes_nothing(finished: Restore, tmp_path: Path):
    """No pass is recorded, and no worker started, where no record has this outcome."""
    before = data_files(tmp_path)

    assert finished("replay=missing") == 0

    assert data_files(tmp_path) == before
    assert manifest_of(tmp_path).passes == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["replay=failed"], "there is no earlier run"),
        (["replay=raw_text=x"], "COLUMN=VALUE"),
    ],
)
def test_restore_replay_without_a_run_or_of_an_unknown_column_is_refused(
    lines: Restore, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
):
    """One line, exit 2, before anything is written."""
    assert lines(*overrides) == 2
    assert message in capsys.readouterr().err


def test_restore_replay_with_another_input_is_refused(finished: Restore, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A replay may change the engines; which records there are is not up to it."""
    (tmp_path / "other.jsonl").write_text('{"ocr": "tbe end"}')

    assert finished("replay=kept_raw", f"input.paths=[{tmp_path / 'other.jsonl'}]") == 2

    assert "input.paths" in capsys.readouterr().err


def test_restore_replay_of_an_unfinished_run_with_other_settings_is_refused(
    finished: Restore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Records that are still to be made must not be made with the replay's settings."""
    next((tmp_path / "out" / "data").glob("*.parquet")).unlink()

    assert finished("replay=kept_raw", "guard=null") == 2

    assert "150 records are not in the corpus yet" in capsys.readouterr().err


def test_restore_files_that_were_away_for_a_while_are_read_by_the_same_command(tmp_path: Path):
    """Failed as missing, they are processed again without being asked for once they are back; another failure is not."""
    scans = tmp_path / "texts"
    scans.mkdir()
    for number in range(40):
        (scans / f"{number:02d}.txt").write_text(f"tbe page {number}" if number else "x" * 100)
    config = {
        "input": {"paths": [str(scans)], "text_unit": "file", "max_file_bytes": 50},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}, "delay_s": 0.1},
        "output": {"path": str(tmp_path / "out")},
        "workers": {"rows_per_block": 4},
        "max_failed_frac": 0.5,
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = ["restore", str(tmp_path / "config.yaml")]
    (tmp_path / "away").mkdir()

    def take_away() -> None:
        while not list((tmp_path / "out").glob("_work_list/_blocks.parquet")):
            time.sleep(0.01)
        for number in range(30, 40):
            (scans / f"{number}.txt").rename(tmp_path / "away" / f"{number}.txt")

    thief = threading.Thread(target=take_away, daemon=True)
    thief.start()
    assert main(command) == 0
    thief.join(timeout=1)
    rows = corpus(tmp_path)
    failed = {record_id: row["error_kind"] for record_id, row in rows.items() if row["status"] == "failed"}
    assert sorted(failed.values()) == ["missing"] * 10 + ["too_large"]

    for path in (tmp_path / "away").iterdir():
        path.rename(scans / path.name)
    assert main(command) == 0

    after = corpus(tmp_path)
    assert {record_id for record_id, row in after.items() if row != rows[record_id]} == {
        record_id for record_id, kind in failed.items() if kind == "missing"
    }
    assert [row["error_kind"] for row in after.values() if row["status"] == "failed"] == ["too_large"]
    assert [entry.replayed for entry in manifest_of(tmp_path).passes] == ["no result yet, for a reason that may have passed"]
