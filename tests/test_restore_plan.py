"""Checks of `restore` before a process is started, and what a dry run prints."""

from pathlib import Path

import pytest

from ocrray import cli
from ocrray.engines.base import EngineInfo
from ocrray.verbs.restore.config import RestoreConfig
from ocrray.verbs.restore.plan import guard_row

TABLE = '{"id": "a", "ocr": "tbe", "corrected_text": "the", "theirs": "the"}\n'
CONFIG = """
input: {kind: table, paths: [table.jsonl], id_column: id, text_column: ocr}
recognize: null
correct: {engine: given, column: theirs}
output: {path: "out[bold]x"}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory with a table and a config that judges its column."""
    (tmp_path / "table.jsonl").write_text(TABLE)
    (tmp_path / "run.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("column", ["corrected_text", "text", "_sent_on"])
def test_given_column_with_a_name_of_the_corpus_is_refused(column: str, capsys: pytest.CaptureFixture[str]):
    """Two columns of one name would end the run in the middle, in a stage that cannot tell them apart."""
    assert cli.main(["restore", "run.yaml", "--dry-run", "--set", f"correct.column={column}"]) == 2

    assert f"{column}: the corpus has a column of that name" in capsys.readouterr().err


def test_dry_run_prints_square_brackets_as_they_are(capsys: pytest.CaptureFixture[str]):
    """A path is no markup, in the table below the config either; and nothing is written."""
    assert cli.main(["restore", "run.yaml", "--dry-run"]) == 0

    assert "out[bold]x  (new)" in capsys.readouterr().out
    assert not Path("out[bold]x").exists()


def test_plan_guard_names_languages_that_its_scorer_does_not_know():
    """Before a run: what the recognizer reads and the default scorer was not fitted on."""
    tesseract = EngineInfo("tesseract")
    config = RestoreConfig.model_validate(
        {
            "input": {"paths": ["x"]},
            "output": {"path": "y"},
            "recognize": {"engine": "tesseract", "languages": ["eng", "deu", "heb"]},
        }
    )
    assert "deu, heb" in guard_row(config, tesseract)
    assert guard_row(config, None) == "on"
    assert guard_row(config.model_copy(update={"guard": None}), tesseract) == "off"
