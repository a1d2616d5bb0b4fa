"""A disk or store that fails in mid-run costs time, or the run stops and goes on later: it never costs a record."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
import yaml
from faulty_s3 import FaultyS3

from ocrray.cli import main
from ocrray.storage import Location

pytestmark = pytest.mark.usefixtures("on_cluster")

RECORDS = 32


@pytest.fixture
def restore(tmp_path: Path) -> Callable[[dict[str, Any]], int]:
    """Runs `ocrray restore` on text files, in blocks of four, each of which takes some time; returns the exit code."""

    def run(settings: dict[str, Any]) -> int:
        config = {
            "recognize": None,
            "correct": {"engine": "fake", "replace": {"tbe": "the"}, "delay_s": 0.05},
            **settings,
            "input": {"text_unit": "file", **settings["input"]},
            "workers": {"rows_per_block": 4, "correct": 1, **settings.get("workers", {})},
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return main(["restore", str(path)])

    return run


def local_input(folder: Path) -> Path:
    folder.mkdir()
    for number in range(RECORDS):
        (folder / f"{number:03d}.txt").write_text(f"tbe page {number}")
    return folder


def s3_input(s3: FaultyS3, prefix: str) -> str:
    client = s3.client()
    for number in range(RECORDS):
        client.put_object(Bucket=s3.bucket, Key=f"{prefix}/{number:03d}.txt", Body=f"tbe page {number}".encode())
    return s3.uri(f"{s3.bucket}/{prefix}")


def when_written(output: str | Path, act: Callable[[], object], more_than: int = 0) -> threading.Thread:
    """Do something in mid-run: when there are more data files than this."""

    def watch() -> None:
        data = Location.at(output).child("data")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if len(data.files(".parquet")) > more_than:
                    act()
                    return
            except OSError:
                pass
            time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def assert_whole(output: str | Path) -> None:
    """Every record is there once, corrected."""
    data = Location.at(output).child("data")
    rows = (
        pyarrow.dataset.dataset(data.path, filesystem=data.filesystem).to_table(columns=["status", "corrected_text"]).to_pylist()
    )
    assert sorted(row["corrected_text"] or "" for row in rows) == sorted(f"the page {number}" for number in range(RECORDS))
    assert {row["status"] for row in rows} == {"corrected"}


EXPIRED = {"status": 403, "code": "ExpiredToken", "message": "The provided token has expired."}


@pytest.mark.slow  # test_chaos_short meets 403, 500, 503 and resets too
def test_restore_credentials_that_expire_cost_no_record(
    restore, s3: FaultyS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Exit 2 with the file, the cause and how to go on, when they are not renewed in time; else the run waits for them."""
    output = tmp_path / "out"
    settings = {"input": {"paths": [s3_input(s3, "in-expired")]}, "output": {"path": str(output)}}
    when_written(output, lambda: s3.fail_for(60, **EXPIRED))

    assert restore({**settings, "workers": {"max_wait_s": 1}}) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "s3://archive/in-expired/" in told[-2]
    assert "cannot be " in told[-2]
    assert "to go on" in told[-1]
    assert not (output / "manifest.json").exists()
    s3.failed, files_before = 0, len(list((output / "data").iterdir()))
    when_written(output, lambda: s3.fail_for(2, **EXPIRED), more_than=files_before)
    s3.fault = None

    assert restore({**settings, "workers": {"max_wait_s": 30}}) == 0
    assert s3.failed
    assert_whole(output)


@pytest.mark.slow
def test_restore_store_fails_while_listing_and_while_writing_costs_no_record(restore, s3: FaultyS3):
    """Input and output in a store that answers every fifth request with an error."""
    output = s3.uri(f"{s3.bucket}/out-every")
    settings = {"input": {"paths": [s3_input(s3, "in-every")]}, "output": {"path": output}, "workers": {"max_wait_s": 30}}
    with s3.failing(status=500, code="InternalError", every=5):
        code = restore(settings)

    assert (code, s3.failed > 0) == (0, True)
    assert_whole(output)


def test_restore_share_that_goes_away_costs_no_record(restore, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Exit 2 in one line, when it is not mounted again in time; else the run waits for it."""
    share, away, output = local_input(tmp_path / "share"), tmp_path / "away", tmp_path / "out"
    settings = {"input": {"paths": [str(share)]}, "output": {"path": str(output)}}
    when_written(output, lambda: share.rename(away))

    assert restore({**settings, "workers": {"max_wait_s": 1}}) == 2
    assert "not mounted" in capsys.readouterr().err
    away.rename(share)

    def remount() -> None:
        share.rename(away)
        time.sleep(1)
        away.rename(share)

    when_written(output, remount, more_than=len(list((output / "data").iterdir())))

    assert restore({**settings, "workers": {"max_wait_s": 30}}) == 0
    assert_whole(output)


@pytest.mark.slow
def test_restore_output_that_goes_away_ends_the_run_and_is_not_made_anew(restore, tmp_path: Path):
    """What is written into an empty mount point would be lost; the same command goes on when the share is back."""
    share, output = local_input(tmp_path / "share"), tmp_path / "mount" / "out"
    settings = {"input": {"paths": [str(share)]}, "output": {"path": str(output)}, "workers": {"max_wait_s": 1}}
    when_written(output, lambda: output.rename(tmp_path / "away"))

    assert restore(settings) == 2
    assert not output.exists()
    (tmp_path / "away").rename(output)

    assert restore(settings) == 0
    assert_whole(output)
