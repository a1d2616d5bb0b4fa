"""`ocrray init`: what it writes is a possible run, and it never overwrites."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from ocrray import starters
from ocrray.cli import main
from ocrray.verbs import VERBS


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the input that the starters name, as the working directory."""
    (tmp_path / "scans").mkdir()
    Image.new("L", (300, 300), 255).save(tmp_path / "scans" / "page.png")
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "novel.txt").write_text("It was the best of times, it was the worst of times. " * 20)
    row = {"id": "a", "ocr": "tbe cat", "corrected": "the cat", "gt": "the cat"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return tmp_path


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("verb", VERBS)
def test_init_verb_writes_a_config_that_plans_as_it_stands(verb: str, capsys: pytest.CaptureFixture[str]):
    """With input where the starter says, its dry run succeeds; the settings to change are named."""
    assert main(["init", verb]) == 0
    shown = capsys.readouterr().out
    assert "output.path" in shown

    assert main([verb, f"{verb}.yaml", "--dry-run"]) == 0


def test_init_recipe_writes_a_file_for_every_verb_it_is_for(workplace: Path):
    """The published Llama corrector is trained and applied: two configs, as they ship."""
    assert main(["init", "llama31_8b_correction"]) == 0

    written = sorted(path.name for path in workplace.glob("*.yaml"))
    assert written == ["llama31_8b_correction.restore.yaml", "llama31_8b_correction.train.yaml"]
    shipped = Path(__file__).parents[1] / "configs" / "train" / "llama31_8b_correction.yaml"
    assert (workplace / written[1]).read_text() == shipped.read_text()


def test_init_train_names_the_shipped_tagger_where_it_is_installed(workplace: Path):
    """A path relative to the checkout would lead nowhere for who has the wheel alone."""
    assert main(["init", "train"]) == 0

    name = yaml.safe_load((workplace / "train.yaml").read_text())["model"]["name"]
    assert (Path(name) / "model.safetensors").is_file()


def test_init_beside_a_file_of_that_name_leaves_it_alone(workplace: Path, capsys: pytest.CaptureFixture[str]):
    """Exit code 2 and one line; what the user wrote stays."""
    (workplace / "restore.yaml").write_text("mine")

    assert main(["init", "restore"]) == 2

    assert (workplace / "restore.yaml").read_text() == "mine"
    assert "restore.yaml" in capsys.readouterr().err


def test_init_unknown_name_lists_what_there_is(workplace: Path, capsys: pytest.CaptureFixture[str]):
    """A misspelt recipe is answered with all names, and nothing is written."""
    assert main(["init", "lama"]) == 2

    assert "llama31_8b_correction" in capsys.readouterr().err
    assert not list(workplace.glob("*.yaml"))


def test_init_without_a_name_tells_what_each_starter_is_for(capsys: pytest.CaptureFixture[str]):
    """A line a starter, verbs and recipes."""
    assert main(["init"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(starters.names())
    assert all(len(line.split()) > 3 for line in lines)
