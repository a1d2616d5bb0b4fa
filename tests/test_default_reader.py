"""The reader of printed lines that ships, and the recipe that it comes from."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from ocrray.cli import main
from ocrray.engines.base import Recognition
from ocrray.engines.vlm import DEFAULT_FOLDER, VlmConfig
from ocrray.synth.lines import LinesConfig
from ocrray.text.metrics import distance

ROOT = Path(__file__).parents[1]
PROSE = "The magistrate looked gravely at the prisoner, who had not spoken a word since the morning of the third day. " * 8


def test_default_reader_is_small_and_reads_printed_lines() -> None:
    """Its weights are below 8 MB; of lines as they are cut out of a scan, wide and high as they come, it misreads few letters."""
    lines = LinesConfig(count=1, chars=(20, 40), made_up_frac=0, severity=(0, 0.2))
    made = [lines.make(PROSE, lines.font_files(), np.random.default_rng(seed)) for seed in range(16)]
    reader = VlmConfig(engine="vlm").open()
    pages = reader.recognize_pages([line.image for line in made])
    reader.close()

    assert (DEFAULT_FOLDER / "model.safetensors").stat().st_size < 8e6
    assert all(isinstance(page, Recognition) for page in pages)
    wrong = sum(distance(page.text, line.text) for page, line in zip(pages, made, strict=True))
    assert wrong / sum(len(line.text) for line in made) < 0.1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("on_cluster")
def test_recipe_of_the_reader_learns_letters_from_the_first_lines_of_its_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a tenth of its set, in which letters stand in cells, a new model names most of them.

    A model that sees nothing of the image stays near 3 nats a character on made-up strings; the one that ships was at 0.9 in its
    run.
    """
    monkeypatch.chdir(ROOT)
    lines, model = tmp_path / "lines", tmp_path / "reader"
    make = {"input": None, "lines.made_up_frac": 1, "output.path": str(lines)}
    learn = {
        "data.train": [f"{lines}/data/train-*.parquet"],
        "data.validation": [f"{lines}/data/validation-*.parquet"],
        "output.path": str(model),
        "evaluation.generate_records": 16,
        "checkpoint.every_steps": 1000,
    }
    recipe = "configs/synthesize/tiny_reader_lines.yaml"
    assert main(["synthesize", recipe, "--limit", "6400", *settings(make)]) == 0
    assert main(["train", "configs/train/tiny_reader.yaml", *settings(learn)]) == 0

    card = yaml.safe_load((model / "model" / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert card["pipeline_tag"] == "image-text-to-text"
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["steps"] > 190
    assert manifest["last_loss"] < 1.8


def settings(keys: dict[str, object]) -> list[str]:
    """Return `--set` arguments."""
    return [part for key, value in keys.items() for part in ("--set", f"{key}={json.dumps(value)}")]
