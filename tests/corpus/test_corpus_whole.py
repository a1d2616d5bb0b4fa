"""Whoever reads a finished output folder refuses one that lacks data files, instead of reading what is left."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ocrray.corpus.manifest import RUN_NAME, data_files, require_whole, write_manifest
from ocrray.corpus.summary import summarise
from ocrray.errors import ConfigError, Problems
from ocrray.evaluation.inputs import System, SystemConfig
from ocrray.storage import Location
from ocrray.training.data import find_files
from ocrray.training.layouts import PlainLayout
from ocrray.training.samples import Column
from ocrray.training.settings import DataConfig
from ocrray.verbs.restore.config import RestoreConfig
from ocrray.verbs.restore.plan import make_plan

COLUMNS = {"raw_column": "raw_text", "corrected_column": "corrected_text", "ground_truth_column": "ground_truth"}


@pytest.fixture
def output(corpus, rows) -> Path:
    """A finished corpus of four data files."""
    folder = corpus(rows.newspaper(40), files=4)
    files, summary = data_files(Location.at(folder / "data")), summarise(folder / "data")
    started = datetime(2026, 1, 2, tzinfo=UTC)
    write_manifest(folder, summary=summary, files=files, listed=40, fingerprint="f", config={}, started=started)
    (folder / RUN_NAME).write_text("{}")
    return folder


def evaluate_run(output: Path) -> None:
    System(SystemConfig(run=str(output)), "input")


def evaluate_tables(output: Path) -> None:
    System(SystemConfig(paths=[f"{output}/data/*.parquet"], **COLUMNS), "input")


def train(output: Path) -> None:
    find_files(DataConfig(train=[f"{output}/data"]), PlainLayout([Column("raw", "raw_text", "text")]))


def restore(output: Path) -> None:
    config = {"kind": "table", "paths": [f"{output}/data"], "text_column": "raw_text"}
    settings = {"input": config, "correct": {"engine": "fake"}, "output": {"path": str(output.parent / "out")}}
    make_plan(RestoreConfig.model_validate(settings), None, Problems(), dry_run=True)


READERS = [evaluate_run, evaluate_tables, train, restore]


@pytest.mark.parametrize("read", READERS)
def test_readers_data_file_deleted_or_cut_refuse_naming_it(output: Path, read: Callable[[Path], None]) -> None:
    """One line names the files and says how they are made anew; nothing is read."""
    (output / "data" / "000001.parquet").unlink()
    cut = output / "data" / "000003.parquet"
    cut.write_bytes(cut.read_bytes() + b"x")
    with pytest.raises(ConfigError, match=r"lacks 2 of its 4 data files.*000001\.parquet, data/000003\.parquet.*again") as caught:
        read(output)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", READERS)
def test_readers_run_that_is_not_finished_refuse(output: Path, read: Callable[[Path], None]) -> None:
    """Some of the records are not all of them."""
    (output / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="is not finished"):
        read(output)


@pytest.mark.parametrize("read", READERS)
def test_readers_whole_corpus_is_read_without_what_lies_beside_its_data(output: Path, read: Callable[[Path], None]) -> None:
    """Replaced rows in `history`, and files of other programs beside the data, are no data and do no harm."""
    (output / "history" / "1").mkdir(parents=True)
    for folder in ("history/1", "data"):
        (output / folder / ".hidden.parquet").write_bytes(b"no table")
    (output / "history" / "1" / "000001.parquet").write_bytes(b"no table")
    read(output)


@pytest.mark.parametrize("path", ["nowhere", "*.jsonl", "ftp://x/y", "file.txt", "folder", "/*"])
def test_require_whole_paths_of_other_things_are_left_to_their_reader(tmp_path: Path, monkeypatch, path: str) -> None:
    """Inputs that are no output folder, or do not exist, are no fault of this check."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "manifest.json").write_text('{"name": "some web app"}')
    require_whole([path], "input.paths")
