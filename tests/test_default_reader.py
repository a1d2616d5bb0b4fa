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
@pytest.mark.usefixtures("on_cluster")
def test_recipe_of_the_reader_learns_to_follow_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tenth of its set, with letters in cells and drawn together, a new model's loss falls far below that of blind guesses.

    A model that sees nothing of the image stays above 3 nats a character on made-up strings.
    """
    monkeypatch.chdir(ROOT)
    lines, model = tmp_path / "lines", tmp_path / "reader"
    make = {"lines.count": 6400, "lines.chars": [1, 12], "lines.min_aspect": 6, "lines.spaced_frac": 1, "lines.made_up_frac": 1}
    learn = {
        "data.train": [f"{lines}/data/train-*.parquet"],
        "data.validation": [f"{lines}/data/validation-*.parquet"],
        "task.image_processor.size": {"height": 32, "width": 192},
        "model.architecture.vision_config.image_size": [32, 192],
        "evaluation.generate_records": 16,
        "checkpoint.every_steps": 1000,
    }
    assert main(["synthesize", "configs/synthesize/tiny_reader_lines.yaml", *settings(make | {"output.path": str(lines)})]) == 0
    assert main(["train", "configs/train/tiny_reader.yaml", *settings(learn | {"output.path": str(model)})]) == 0

    card = yaml.safe_load((model / "model" / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert card["pipeline_tag"] == "image-text-to-text"
    state = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    assert state["last_loss"] < 2


def settings(keys: dict[str, object]) -> list[str]:
    """Return `--set` arguments."""
    return [part for key, value in keys.items() for part in ("--set", f"{key}={json.dumps(value)}")]
