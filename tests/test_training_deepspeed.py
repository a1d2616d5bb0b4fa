"""The two published recipes with tiny models in place of theirs, on two workers under DeepSpeed."""

import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import tiny_models

from ocrray.config import load
from ocrray.prompts import PROMPTS
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.history import read_state
from ocrray.training.loop import train
from ocrray.training.prepared import read_samples
from ocrray.verbs import VERBS
from ocrray.verbs.job import run_config

CONFIGS = Path(__file__).parents[1] / "configs" / "train"
ON_TWO_CPUS = "workers={num: 2, gpus: 0}"


@dataclass(frozen=True)
class Twin:
    """A finished run of a recipe with a tiny model."""

    recipe: str
    overrides: Sequence[str]

    @property
    def config(self) -> TrainConfig:
        return load(CONFIGS / self.recipe, TrainConfig, self.overrides)

    @property
    def out(self) -> Path:
        return Path(self.config.output.path)

    def figures(self, name: str) -> dict[int, float]:
        """What was logged under that name, by step."""
        rows = map(json.loads, (self.out / "metrics.jsonl").read_text().splitlines())
        return {row["step"]: row[name] for row in rows if name in row}

    def checkpoint(self) -> Path:
        """The earliest that was kept."""
        return min((self.out / "checkpoints").glob("step-*"))

    def changed(self, *overrides: str) -> "Twin":
        """The same run with other settings."""
        return Twin(self.recipe, [*self.overrides, *overrides])


def alpaca(folder: Path) -> list[str]:
    """Recipe 1 on a tiny Llama: LoRA, spread by ZeRO-3. What differs is the model, the data, and what needs a GPU.

    Its samples are not packed: a few of 8,192 tokens would be too few steps.
    """
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "one", "more", "time"]
    texts = [" ".join(words[number % 5 : 6 + number % 8]) for number in range(160)]
    instruction = PROMPTS["alpaca_ocr"].template.split("### Instruction:\n")[1].split("\n\n")[0]
    rows = [{"instruction": instruction, "input": text.replace("h", "b"), "output": text} for text in texts]
    for name, part in (("train", rows), ("validation", rows[:4])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    data = [f"data.{name}=[{folder / name}.jsonl]" for name in ("train", "validation")]
    model = tiny_models.save(folder / "model", "llama")
    without_gpu = ["method.kind=lora", "optimizer.kind=adamw", "deepspeed={zero_stage: 3}", ON_TWO_CPUS]
    short = ["model.pad_token=<pad>", "data.grouping=length", "evaluation={every_steps: 8}"]
    return [f"model.name={model}", *data, f"output.path={folder / 'out'}", *without_gpu, *short]


def photos(folder: Path) -> list[str]:
    """Recipe 2 on a tiny GPT-J: every weight, ZeRO-2. It is float32 in place of float16, which no CPU trains in."""
    names = ["front", "back", "language", "description", "title", "agency", "photographer", "date"]
    for name, count in (("train", 16), ("validation", 4)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(names)
            table.writerows(
                [f"ME 1{n}", "W DOIG", "en", f"1{n} - W DOIG", "W DOIG", "", "", f"19{n}"] for n in range(10, 10 + count)
            )
    data = [f"data.{name}=[{folder / name}.csv]" for name in ("train", "validation")]
    model = tiny_models.save(folder / "model", "gptj")
    return [f"model.name={model}", *data, f"output.path={folder / 'out'}", "precision=float32", ON_TWO_CPUS]


RECIPES = {"lora": ("llama31_8b_correction.yaml", alpaca), "full": ("gptj_6b_photo_metadata.yaml", photos)}


@pytest.fixture(scope="module", params=["lora", pytest.param("full", marks=pytest.mark.slow)])
def twin(request: pytest.FixtureRequest, ray_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """A recipe's twin, trained to its end."""
    recipe, make = RECIPES[request.param]
    # A measurement is a process of its own, which takes longer to start than the training takes.
    trained = Twin(recipe, [*make(tmp_path_factory.mktemp(request.param)), "evaluation.generate_records=0"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray_cluster)
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        assert run_config(VERBS["train"], trained.config).exit_code == 0
    return trained


def test_recipe_twin_learns(twin: Twin):
    """The validation loss falls from the first step to the last; each worker's part of the optimizer is in the checkpoint."""
    losses = twin.figures("eval_loss")

    assert losses[max(losses)] < losses[min(losses)] - 0.02
    parts = [file.name for file in twin.checkpoint().glob("global_step*/*optim_states.pt")]
    assert sorted(name.split("zero_pp_rank_")[1][0] for name in parts) == ["0", "1"]


class Silent:
    """Keeps the figures, in this process."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def log(self, step: int, _steps: int, metrics: dict[str, float]) -> None:
        if "loss" in metrics:
            self.losses[step] = metrics["loss"]

    def checkpoint(self, *_: object) -> None:
        """Nobody reads it."""


def test_recipe_twin_begins_with_the_loss_of_one_process_without_deepspeed(twin: Twin, tmp_path: Path):
    """The first step's loss, of the untrained model on the first samples: split over two workers, or accumulated by one."""
    accumulation = 2 * twin.config.batch.accumulation
    alone = twin.changed("deepspeed=null", "workers.num=1", f"batch.accumulation={accumulation}", "max_steps=1").config
    data = {part: read_samples(alone, twin.out / "prepared", part, tmp_path / "cache") for part in ("train", "validation")}
    report = Silent()
    train(
        alone,
        task=open_task(alone),
        facts={},
        train_data=data["train"],
        validation_data=data["validation"],
        folder=tmp_path / "run",
        report=report,
    )

    within = {"float32": 1e-5, "bfloat16": 2e-3}[alone.precision]
    assert twin.figures("loss")[1] == pytest.approx(report.losses[1], rel=within)


_LOAD = """
import json, sys, peft, pyarrow.parquet, torch, transformers
method, out = sys.argv[1:]
family = {"lora": peft.AutoPeftModelForCausalLM, "full": transformers.AutoModelForCausalLM}[method]
model = family.from_pretrained(f"{out}/model", dtype=torch.float32).eval()
samples = pyarrow.parquet.read_table(f"{out}/prepared/validation").to_pylist()

with torch.no_grad():
    batches = [{name: torch.tensor([one[name]]) for name in ("input_ids", "labels")} for one in samples]
    print(sum(float(model(**batch).loss) for batch in batches) / len(batches))
"""


def test_recipe_twin_loads_in_a_fresh_process(twin: Twin):
    """By peft or transformers alone, with the validation loss that training reported, but for how batches were weighted."""
    command = [sys.executable, "-c", _LOAD, twin.config.method.kind, str(twin.out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"DS_ACCELERATOR": "cpu"})
    loss, losses = float(done.stdout.split()[-1]), twin.figures("eval_loss")

    assert loss == pytest.approx(min(losses.values()), rel=1e-2)
    assert loss < losses[1] - 0.02


@pytest.mark.slow
@pytest.mark.usefixtures("on_cluster")
def test_recipe_twin_goes_on_exactly_after_a_worker_was_killed(twin: Twin, tmp_path: Path):
    """From the checkpoint that Ray put together of both workers' parts: same losses to the last bit, under ZeRO-3."""
    again = twin.changed(f"output.path={tmp_path / 'out'}", f"checkpoint.every_steps={twin.config.evaluation.every_steps}")
    killer = threading.Thread(target=_kill_a_worker, args=(again,), daemon=True)
    killer.start()

    assert run_config(VERBS["train"], again.config).exit_code == 0

    killer.join()
    assert json.loads((again.out / "manifest.json").read_text())["restarts"] == 1
    undisturbed = twin.figures("loss")
    assert {step: loss for step, loss in again.figures("loss").items() if step in undisturbed} == undisturbed


def _kill_a_worker(twin: Twin) -> None:
    """As soon as the first checkpoint is there."""
    while not list((twin.out / "checkpoints").glob("step-*")):
        time.sleep(0.05)
    for process in psutil.process_iter():
        try:
            if process.environ().get("TENSORBOARD_LOGGING_DIR", "").startswith(str(twin.out)):
                process.kill()
                return
        except psutil.Error:
            continue


_ALONE = """
import logging, sys
from pathlib import Path
from ocrray.config import load
from ocrray.training.config import TrainConfig
from ocrray.training.loop import train
from ocrray.training.prepared import read_samples
from ocrray.training.config import open_task
from ocrray.verbs import VERBS
from ocrray.verbs.job import run_config

class Report:
    def log(self, step, steps, metrics):
        if "eval_loss" in metrics:
            print("step", step, metrics["eval_loss"])
    def checkpoint(self, *_):
        pass

logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
recipe, prepared, checkpoint, scratch, *overrides = sys.argv[1:]
config = load(recipe, TrainConfig, overrides)
data = {part: read_samples(config, Path(prepared), part, Path(scratch) / "cache") for part in ("train", "validation")}
train(config, task=open_task(config), facts={}, train_data=data["train"], validation_data=data["validation"],
      folder=Path(scratch) / "run", report=Report(), resume_from=Path(checkpoint))
"""


@pytest.mark.slow
def test_recipe_twin_goes_on_with_another_number_of_workers(twin: Twin, tmp_path: Path):
    """One worker takes up the weights of two, with a new optimizer, and says so; steps and samples go on where they were."""
    script = tmp_path / "alone.py"
    script.write_text(_ALONE)
    checkpoint = twin.checkpoint()
    begun = read_state(checkpoint)["global_step"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", str(script)]
    arguments = [CONFIGS / twin.recipe, twin.out / "prepared", checkpoint, tmp_path, *twin.overrides, f"max_steps={begun + 4}"]
    environment = os.environ | {"ACCELERATE_USE_DEEPSPEED": "true", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run([*launch, *map(str, arguments)], capture_output=True, text=True, check=True, env=environment)

    assert "optimizer starts anew" in done.stdout
    logged = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("step ")]
    assert begun < int(logged[0][0]) <= int(logged[-1][0]) == begun + 4
    assert float(logged[-1][1]) < twin.figures("eval_loss")[begun] + 0.01
