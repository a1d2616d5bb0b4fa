"""The training configs that ship are possible runs."""

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
SHIPPED_RUNS = sorted((ROOT.parents[1] / "ocrray" / "models").glob("*/training_config.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_training_config_that_ships_is_a_possible_run(path: Path, tmp_path: Path):
    """All but the user's own data and GPUs checks out."""
    columns = [column.source for column in open_task(load(path, TrainConfig)).columns()]
    table = tmp_path / "data.jsonl"
    table.write_text(json.dumps(dict.fromkeys([*columns, "text", "source", "doc"], "x")), encoding="utf-8")
    given = [f"data.train=[{table}]", "data.validation=[]", f"output.path={tmp_path / 'out'}"]
    given += ["workers.gpus=0", "precision=bfloat16"]
    if load(path, TrainConfig).method.kind == "qlora":
        given += ["method.kind=lora", "optimizer.kind=adamw"]  # as the comment in the config says

    plan = make_plan(load(path, TrainConfig, given), None, Problems(), dry_run=True)

    assert [Path(file.name).name for file in plan.files["train"]] == ["data.jsonl"]


def test_training_config_of_the_published_qlora_needs_nothing_but_a_gpu_and_bitsandbytes(monkeypatch: pytest.MonkeyPatch):
    """Every published setting is a setting of the run, and all problems here are those of this machine."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    config = load(ROOT / "llama31_8b_correction.yaml", TrainConfig)
    method, data = config.method, config.data

    assert (method.kind, method.r, method.alpha, method.dropout, method.target_modules) == ("qlora", 32, 16, 0.05, "all-linear")
    assert (data.max_length_tokens, data.grouping, data.validation, data.validation_frac) == (8192, "packed", (), 0.1)
    assert (config.optimizer.kind, config.precision, config.evaluation.per_epoch) == ("paged_adamw", "bfloat16", 4)
    assert config.model.pad_token == "<|end_of_text|>"
    problems = open_task(config).problems()
    assert len(problems) == 2
    assert all("bitsandbytes" in problem for problem in problems)


@pytest.mark.parametrize("path", SHIPPED_RUNS, ids=lambda path: path.parent.name)
def test_training_config_of_a_model_that_ships_can_be_run_again(path: Path):
    """The card says that the file repeats the run, so its keys are those of today."""
    assert open_task(load(path, TrainConfig)).columns()


def test_causal_corrector_that_ships_fits_its_prompt_and_its_file():
    """The longest piece and an answer half as long again fit the context; in half precision it stays below 16 MB."""
    config = load(ROOT / "causal_default.yaml", TrainConfig)
    task = open_task(config)
    model, _ = task.build({})

    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 10e6
    assert config.data.max_length_tokens <= model.config.max_position_embeddings
    assert max(config.task.piece_bytes) == resolve(config.task.prompt).width_bytes


def test_training_configs_of_published_readers_keep_their_published_values():
    """PaliGemma on invoices and GOT-OCR2 on lines of Hindi: instruction, adapter, optimizer, batch and steps."""
    invoices, lines = (load(ROOT / f"{name}.yaml", TrainConfig) for name in ("paligemma_invoices", "got_ocr2_hindi_lines"))

    for config, r, alpha, dropout, batch, prompt in (
        (invoices, 8, 8, 0, (1, 8), "paligemma"),
        (lines, 8, 32, 0.05, (1, 4), "got_swift"),
    ):
        assert (config.method.r, config.method.alpha, config.method.dropout) == (r, alpha, dropout)
        assert (config.batch.size, config.batch.accumulation) == batch
        assert (config.optimizer.kind, config.optimizer.learning_rate, config.precision) == ("adamw", 2e-5, "bfloat16")
        assert config.task.prompt == prompt
    assert (invoices.task.vision, invoices.task.output) == ("adapter", "json")
    assert (invoices.optimizer.schedule, invoices.optimizer.warmup_steps, invoices.optimizer.weight_decay) == ("linear", 2, 1e-6)
    assert (invoices.max_steps, invoices.checkpoint.every_steps, invoices.checkpoint.keep) == (900, 1000, 1)
    assert (lines.evaluation.every_steps, lines.checkpoint.every_steps, lines.output.zip) == (200, 200, True)
    assert [lines.steps(per_epoch) for per_epoch in (300, 5_000)] == [300, 1_000]
