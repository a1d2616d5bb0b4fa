"""The card of a trained model states what was measured, and nothing more."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
import yaml
from huggingface_hub import ModelCard
from photo_format import KEYS
from PIL import Image
from safetensors.numpy import save_file

from ocrray.errors import ConfigError
from ocrray.training import card, plots
from ocrray.training.config import open_task
from ocrray.training.history import DataPart, TrainedRun, hardware, read_state
from ocrray.verbs.restore.config import RestoreConfig

PUBLISHED = {1: 0.6018, 8: 0.4256, 16: 0.2714}
LOG = [
    {"step": 1, "epoch": 0.1, "loss": 0.7, "learning_rate": 0.0},
    {"step": 1, "epoch": 0.1, "eval_loss": 0.65},
    {"step": 8, "epoch": 0.8, "loss": 0.5, "learning_rate": 1e-4},
    {"step": 8, "epoch": 0.8, "eval_loss": 0.45},
    {"step": 20, "epoch": 2.0, "loss": 0.3, "learning_rate": 5e-5},
    {"step": 20, "epoch": 2.0, "eval_loss": 0.25},
]


def write(
    folder: Path,
    run: TrainedRun,
    *,
    step: int = 20,
    weights: str = "adapter_model",
    task: dict[str, str] | None = None,
    **output: Any,
) -> str:
    """The card of a LoRA run (`weights` in that file), as text."""
    base = Path("meta-llama/Llama-3.1-8B")
    config = tiny_runs.lora(Path("out/run"), base, output=output, **({"task": task} if task else {}))
    save_file({"a": np.zeros((3, 4), np.float16), "b": np.zeros(5, np.float32)}, folder / f"{weights}.safetensors")
    if weights == "adapter_model":
        (folder / "adapter_config.json").write_text("{}")
    card.write_card(config, open_task(config), folder, name="model", step=step, run=run)
    return (folder / "README.md").read_text(encoding="utf-8")


def front_matter(text: str) -> dict[str, Any]:
    """Metadata of a card, as Hugging Face's tools read it."""
    return yaml.safe_load(re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)[1])


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column is called so."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-: |]+\n((?:\|.*\n)*)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def test_card_of_an_adapter_names_its_base_and_library(tmp_path: Path) -> None:
    """The front matter links the adapter to its base; metrics are those that were measured."""
    run = TrainedRun(log=LOG, measured=[{"step": 20, "raw_cer": 0.1, "cer": 0.05}])
    head = front_matter(write(tmp_path, run, license="apache-2.0", languages=["en"], datasets=["me/pairs"]))
    assert head["base_model"] == "meta-llama/Llama-3.1-8B"
    assert (head["base_model_relation"], head["library_name"]) == ("adapter", "peft")
    assert (head["license"], head["language"], head["datasets"], head["metrics"]) == ("apache-2.0", ["en"], ["me/pairs"], ["cer"])


def test_card_metadata_holds_the_results_of_the_exported_step(tmp_path: Path) -> None:
    """`model-index` is what the hub shows as evaluation results: of these weights, and of no other checkpoint."""
    measured = [{"step": 8, "raw_cer": 0.1, "cer": 0.08}, {"step": 20, "raw_cer": 0.1, "cer": 0.05}]
    write(tmp_path, TrainedRun(log=LOG, measured=measured), step=8, datasets=["me/pairs"])

    data = ModelCard.load(tmp_path / "README.md").data

    results = {result.metric_type: (result.metric_value, result.dataset_type) for result in data.eval_results}
    assert results == {"raw_cer": (0.1, "me/pairs"), "cer": (0.08, "me/pairs"), "cer_reduction": (0.2, "me/pairs")}


def test_card_metadata_of_a_run_without_measurements_has_no_results(tmp_path: Path) -> None:
    """An empty `model-index` would be refused by the hub."""
    assert "model-index" not in front_matter(write(tmp_path, TrainedRun(log=LOG)))


def test_card_of_a_merged_model_is_a_model_of_transformers(tmp_path: Path) -> None:
    """Without an adapter in the folder the card calls it a model and shows how one is loaded."""
    text = write(tmp_path, TrainedRun(log=LOG), weights="model")
    assert front_matter(text)["library_name"] == "transformers"
    assert "AutoPeftModel" not in text
    assert "AutoModelForCausalLM" in text


@pytest.mark.parametrize(
    ("task", "weights", "section", "keys"),
    [
        ({"kind": "correction"}, "adapter_model", "correct", {"engine", "model", "adapter", "prompt"}),
        ({"kind": "correction"}, "model", "correct", {"engine", "model", "prompt"}),
        ({"kind": "extraction", **KEYS}, "adapter_model", "extract", {"model", "adapter", *KEYS}),
        ({"kind": "extraction", **KEYS}, "model", "extract", {"model", *KEYS}),
    ],
)
def test_card_shows_how_restore_applies_the_model(
    tmp_path: Path, task: dict[str, Any], weights: str, section: str, keys: set[str]
) -> None:
    """The lines to copy are a section of a config of restore, as restore reads it."""
    text = write(tmp_path, TrainedRun(log=LOG), weights=weights, task=task)
    shown = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    RestoreConfig.model_validate({"input": {"paths": ["a.jsonl"]}, **shown, "output": {"path": "out"}})
    assert shown[section].keys() == keys


def test_card_of_a_local_base_links_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is no model on the hub."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meta-llama" / "Llama-3.1-8B").mkdir(parents=True)
    assert "base_model" not in front_matter(write(tmp_path, TrainedRun(log=LOG)))


def test_card_counts_the_weights_that_lie_beside_it(tmp_path: Path) -> None:
    """Numbers and dtypes come from the file itself."""
    assert "17 parameters, float16, float32" in write(tmp_path, TrainedRun(log=LOG))


def test_losses_stand_beside_the_published_ones_by_step(tmp_path: Path) -> None:
    """Every step that either of the two measured has a row, with a dash where one did not; the exported step is in bold."""
    text = write(tmp_path, TrainedRun(log=LOG), published_losses=PUBLISHED)
    assert rows(text, "step") == [
        ["1", "0.10", "0.7000", "0.6500", "0.6018"],
        ["8", "0.80", "0.5000", "0.4500", "0.4256"],
        ["16", "–", "0.3000", "–", "0.2714"],
        ["**20**", "2.00", "0.3000", "0.2500", "–"],
    ]


def test_losses_of_a_long_run_are_thinned_but_keep_what_matters(tmp_path: Path) -> None:
    """Of a thousand evaluations some forty are shown, among them the first, the best, the exported and the last."""
    losses = dict.fromkeys(range(1, 1001), 1.0) | {333: 0.1}
    run = TrainedRun(log=[{"step": step, "eval_loss": loss} for step, loss in losses.items()])
    steps = [row[0] for row in rows(write(tmp_path, run, step=777), "step")]
    assert len(steps) <= card.MAX_ROWS + 4
    assert {"1", "333", "**777**", "1,000"} <= set(steps)


def test_measured_figures_are_rates_with_the_reduction_beside_them(tmp_path: Path) -> None:
    """Evaluation results are listed by checkpoint; one that a checkpoint lacks is a dash."""
    measured = [
        {"step": 8, "raw_cer": 0.1, "cer": 0.08, "made_worse_frac": 0.02},
        {"step": 20, "raw_cer": 0.1, "cer": 0.05},
    ]
    text = write(tmp_path, TrainedRun(log=LOG, measured=measured))
    table = re.search(r"\| step \| raw cer \|.*", text)[0]
    assert table == "| step | raw cer | cer | made worse | cer reduction |"
    found = rows(text[text.index(table) :], "step")
    assert found == [["8", "10.00 %", "8.00 %", "2.00 %", "20.00 %"], ["**20**", "10.00 %", "5.00 %", "–", "50.00 %"]]


def test_card_of_a_run_without_measurements_says_that_there_are_none(tmp_path: Path) -> None:
    """Silence would read as praise."""
    assert "was not measured" in write(tmp_path, TrainedRun(log=LOG))


def test_card_tells_what_was_dropped_and_why(tmp_path: Path) -> None:
    """Rows, samples and reasons of each part."""
    parts = [DataPart("train", 1000, 990, 50_000, {"too_long": 10}), DataPart("validation", 20, 20, 900)]
    table = rows(write(tmp_path, TrainedRun(log=LOG, data=parts)), "part")
    assert table == [
        ["train", "1,000", "990", "50,000", r"too\_long (10)"],
        ["validation", "20", "20", "900", "none"],
    ]


def test_hyperparameters_are_those_of_the_config(tmp_path: Path) -> None:
    """The table of hyperparameters holds rank, batch and learning rate as they were set."""
    text = write(tmp_path, TrainedRun(log=LOG))
    for line in ("| LoRA rank | 2 |", "| LoRA alpha | 32 |", "× workers | 16 × 1 × 1 = 16 |", "| learning rate | 0.01, cosine"):
        assert line in text


def test_card_survives_hostile_texts(tmp_path: Path) -> None:
    """A title cannot open a table, a heading or front matter of its own."""
    text = write(tmp_path, TrainedRun(log=LOG, hardware="a | b\n# c"), title="x\n---\n# | <script>", license="a: b\n---\n")
    assert text.count("\n---\n") == 1
    assert front_matter(text)["license"] == "a: b\n---\n"
    assert "\n# c" not in text
    assert "<script>" not in text.replace("\\<", "")


def test_draw_losses_gives_a_picture_with_a_line_for_each_loss(tmp_path: Path) -> None:
    """The published losses add a line in their own colour; nothing logged gives an empty picture, not an error."""
    pictures = [tmp_path / f"{name}.png" for name in ("published", "plain", "empty")]
    plots.draw_losses(TrainedRun(log=LOG), PUBLISHED, pictures[0])
    plots.draw_losses(TrainedRun(log=LOG), {}, pictures[1])
    plots.draw_losses(TrainedRun(log=[]), {}, pictures[2])
    pixels = [np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3) for picture in pictures]
    orange, blue = (
        [np.any((one == colour).all(axis=1)) for one in pixels] for colour in ((0xD9, 0x5F, 0x02), (0x08, 0x51, 0x9C))
    )
    assert orange == [True, False, False]
    assert blue == [True, True, False]


def test_hardware_names_what_computes() -> None:
    """A processor with its cores, or a GPU."""
    assert re.search(r"\w+.*\d+ cores|NVIDIA", hardware())


@pytest.mark.parametrize("content", [None, "{", "\x00"])
def test_read_state_of_no_state_is_a_config_error(tmp_path: Path, content: str | None) -> None:
    """The file is named, whatever is wrong with it."""
    if content is not None:
        (tmp_path / "trainer_state.json").write_text(content)
    with pytest.raises(ConfigError, match=r"trainer_state\.json"):
        read_state(tmp_path)
