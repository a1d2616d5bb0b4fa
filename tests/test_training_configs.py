"""The training configs that ship: possible runs, and the published recipes to the number."""

import json
from pathlib import Path

import pytest

from ocrray.config import load
from ocrray.errors import Problems
from ocrray.prompts import resolve
from ocrray.training.config import TrainConfig, open_task
from ocrray.verbs.train.plan import make_plan

ROOT = Path(__file__).parents[1] / "configs" / "train"
CONFIGS = sorted(ROOT.glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_training_config_that_ships_is_a_possible_run(path: Path, tmp_path: Path):
    """All but the user's own data and GPUs checks out."""
    columns = [column.source for column in open_task(load(path, TrainConfig)).columns()]
    table = tmp_path / "data.jsonl"
    table.write_text(json.dumps(dict.fromkeys([*columns, "source", "doc"], "x")), encoding="utf-8")
    given = [f"data.train=[{table}]", "data.validation=[]", f"output.path={tmp_path / 'out'}"]
    given += ["workers.gpus=0", "precision=bfloat16"]

    plan = make_plan(load(path, TrainConfig, given), None, Problems(), dry_run=True)

    assert [Path(file.name).name for file in plan.files["train"]] == ["data.jsonl"]


def test_recipe_of_llama_is_the_published_one():
    """What the model card says, and the prompt to the character (tests/test_prompts.py)."""
    config = load(ROOT / "llama31_8b_correction.yaml", TrainConfig)

    assert config.model.name == "meta-llama/Llama-3.1-8B"
    assert resolve(config.task.prompt).prompt_version == "alpaca_ocr/1"
    assert (config.batch.size, config.batch.accumulation, config.epochs, config.seed) == (2, 4, 2, 49)
    assert (config.optimizer.learning_rate, config.optimizer.betas, config.optimizer.eps) == (2e-4, (0.9, 0.999), 1e-8)
    assert (config.optimizer.schedule, config.optimizer.warmup_steps, config.evaluation.every_steps) == ("cosine", 10, 8)
    assert config.output.published_losses == {
        1: 0.6018,
        8: 0.4256,
        16: 0.2714,
        24: 0.2247,
        32: 0.2053,
        40: 0.1961,
        48: 0.1909,
        56: 0.1901,
    }


def test_recipe_of_gptj_is_the_published_one():
    """Every weight in half precision under DeepSpeed, for forty epochs."""
    config = load(ROOT / "gptj_6b_photo_metadata.yaml", TrainConfig)

    assert (config.method.kind, config.precision, config.deepspeed is not None) == ("full", "float16", True)
    assert (config.batch.size, config.batch.accumulation, config.epochs) == (2, 32, 40)
    assert (config.optimizer.learning_rate, config.optimizer.warmup_steps) == (5e-6, 10)
    assert (config.evaluation.every_steps, config.checkpoint.every_steps, config.checkpoint.keep) == (10, 500, 20)


def test_causal_corrector_that_ships_fits_its_prompt_and_its_file():
    """The longest piece and an answer half as long again fit the context; in half precision it stays below 16 MB."""
    config = load(ROOT / "causal_default.yaml", TrainConfig)
    task = open_task(config)
    model, _ = task.build({})

    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 10e6
    assert config.data.max_length_tokens <= model.config.max_position_embeddings
    assert max(config.task.piece_bytes) == resolve(config.task.prompt).width_bytes
