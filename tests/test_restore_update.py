"""`update: true` of the verb `restore`, end to end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
import yaml

from ocrray.cli import main
from ocrray.corpus.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("on_cluster")


@pytest.fixture
def restore(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs `ocrray restore` on `in/*.jsonl`, with some keys set; returns the corpus by id."""

    def run(*settings: str, code: int = 0) -> dict[str, Any]:
        config = {
            "input": {"paths": [str(tmp_path / "in")], "id_column": "id"},
            "recognize": None,
            "correct": {"engine": "fake", "replace": {"tbe": "the"}},
            "output": {"path": str(tmp_path / "out")},
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        assert main(["restore", str(path), *(part for key in settings for part in ("--set", key))]) == code
        rows = pyarrow.dataset.dataset(tmp_path / "out" / "data").to_table().to_pylist()
        return {row["record_id"]: row for row in rows}

    return run


def write(folder: Path, name: str, **texts: str) -> None:
    folder.joinpath("in").mkdir(exist_ok=True)
    lines = (json.dumps({"id": record_id, "text": text}) for record_id, text in texts.items())
    folder.joinpath("in", name).write_text("\n".join(lines))


def test_restore_update_takes_in_new_changed_and_gone_records(restore, tmp_path: Path):
    """A finished run is updated in place; the same command again does nothing, and one without `update` finds it finished."""
    write(tmp_path, "a.jsonl", a="tbe cat", b="a dog")
    write(tmp_path, "b.jsonl", c="tbe hat")
    before = restore()
    write(tmp_path, "a.jsonl", a="tbe cat", b="tbe dog", d="tbe new")
    (tmp_path / "in/b.jsonl").unlink()

    rows = restore("update=true")

    assert {record_id: (row["corrected_text"], row["gone"]) for record_id, row in rows.items()} == {
        "a": ("the cat", False),
        "b": ("the dog", False),
        "c": ("the hat", True),
        "d": ("the new", False),
    }
    assert rows["a"] == before["a"]
    manifest = read_manifest(tmp_path / "out")
    assert manifest.counts.listed == 4
    assert [made.replayed for made in manifest.passes] == ["update: 1 new, 1 changed, 1 gone, 0 there again"]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert restore("update=true") == restore() == rows
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")} == times


def test_restore_update_with_other_settings_redoes_all_records(restore, tmp_path: Path):
    """Where a stage has other settings every record that is still there is processed again, and the run has the new settings."""
    write(tmp_path, "a.jsonl", a="tbe cat", b="a dog")
    write(tmp_path, "b.jsonl", c="tbe hat")
    restore()
    (tmp_path / "in/b.jsonl").unlink()
    other = 'correct.replace={"dog": "fog"}'

    rows = restore("update=true", other, "guard=null")

    assert {record_id: row["corrected_text"] for record_id, row in rows.items()} == {"a": "tbe cat", "b": "a fog", "c": "the hat"}
    assert restore(other, "guard=null") == rows
    restore(code=2)


def test_restore_of_a_changed_input_names_the_files_and_the_way_on(restore, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A run that is not finished does not go on with another input, unless it is told to take it in."""
    write(tmp_path, "a.jsonl", a="tbe cat", b="a dog")
    restore()
    (tmp_path / "out/manifest.json").unlink()
    next((tmp_path / "out/data").iterdir()).unlink()
    write(tmp_path, "b.jsonl", c="tbe hat")

    restore(code=2)
    assert "1 new (" in (message := capsys.readouterr().err)
    assert "update" in message
    assert len(restore("update=true")) == 3
