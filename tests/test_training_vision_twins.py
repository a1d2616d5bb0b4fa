"""The two published recipes for images with tiny models in place of theirs, on two workers under DeepSpeed."""

import csv
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tiny_vision
from test_training_deepspeed import ON_TWO_CPUS, Twin, _kill_a_worker
from test_training_image_text import png

from ocrray.verbs import VERBS
from ocrray.verbs.job import run_config

LEARNS = ["optimizer.learning_rate=0.02", "optimizer.warmup_steps=1", "evaluation.generate_records=0", ON_TWO_CPUS]


def invoices(folder: Path) -> list[str]:
    """PaliGemma, under ZeRO-2: JSON lines with the images beside them. What differs is model, data, steps and their size."""
    for part, count in (("train", 32), ("valid", 4)):
        (folder / part).mkdir()
        with (folder / part / "annotations.jsonl").open("w") as file:
            for number in range(count):
                (folder / part / f"{number}.png").write_bytes(png(f"N{number}", (56, 56)))
                answer = json.dumps({"number": f"N{number}", "products": [{"description": "tea", "cases": "1"}]})
                prefix = "extract Document data in JSON format"
                file.write(json.dumps({"image": f"{number}.png", "prefix": prefix, "suffix": answer}) + "\n")
    data = [f"data.train=[{folder / 'train'}/*.jsonl]", f"data.validation=[{folder / 'valid'}/*.jsonl]"]
    model = tiny_vision.save(folder / "model", "paligemma")
    short = ["max_steps=8", "evaluation.every_steps=4", "checkpoint.every_steps=8"]
    return [f"model.name={model}", *data, f"output.path={folder / 'out'}", "deepspeed={zero_stage: 2}", *LEARNS, *short]


def lines(folder: Path) -> list[str]:
    """GOT-OCR2, under ZeRO-3: a CSV of image files and texts."""
    (folder / "images").mkdir()
    for part, count in (("train", 64), ("validation", 4)):
        with (folder / f"{part}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image_file", "text"])
            for number in range(count):
                (folder / "images" / f"{part}{number}.png").write_bytes(png(f"line {number}"))
                table.writerow([f"images/{part}{number}.png", f"line {number}"])
    data = [f"data.{part}=[{folder / part}.csv]" for part in ("train", "validation")]
    model = tiny_vision.save(folder / "model", "got")
    short = ["evaluation.every_steps=4", "checkpoint.every_steps=8"]
    return [f"model.name={model}", *data, f"output.path={folder / 'out'}", "deepspeed={zero_stage: 3}", *LEARNS, *short]


RECIPES = {"invoices": ("paligemma_invoices.yaml", invoices), "lines": ("got_ocr2_hindi_lines.yaml", lines)}


@pytest.fixture(scope="module", params=RECIPES)
def twin(request: pytest.FixtureRequest, ray_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """A recipe's twin, trained to its end."""
    recipe, make = RECIPES[request.param]
    trained = Twin(recipe, make(tmp_path_factory.mktemp(request.param)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray_cluster)
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        assert run_config(VERBS["train"], trained.config).exit_code == 0
    return trained


_LOAD = """
import sys, pyarrow.parquet, torch, safetensors.torch
from ocrray.models.vision.loading import load_vision_model
from ocrray.training.images import open_image
base, adapter, prompt, samples = sys.argv[1:]
read = load_vision_model(base, adapter=adapter, prompt_format=prompt)
weights = read.model.state_dict()
saved = safetensors.torch.load_file(f"{adapter}/adapter_model.safetensors")
placed = {key.replace(".weight", ".default.weight") if ".lora_" in key else key: tensor for key, tensor in saved.items()}
assert placed and all(weights[key].equal(tensor) for key, tensor in placed.items())
losses = []
for sample in pyarrow.parquet.read_table(samples).to_pylist():
    prompts = [read.encoder.encode_prompt(open_image(sample["images"][0]), sample["source"])]
    with torch.no_grad():
        losses.append(float(read.model(**read.encoder.batch(prompts, [sample["labels"]])).loss))
print(sum(losses) / len(losses))
"""


def test_vision_twin_learns_and_loads_in_a_fresh_process(twin: Twin):
    """The adapter bit for bit, on the base by its own processor, with the validation loss that training reported."""
    losses = twin.figures("eval_loss")
    assert losses[max(losses)] < losses[min(losses)] - 0.02
    assert len(list(twin.checkpoint().glob("global_step*/*optim_states.pt"))) == 2  # each worker's part
    config, model = twin.config, twin.out / "model"
    assert (model / "processor_config.json").exists()
    assert (twin.out / "model.zip").exists() == config.output.zip

    arguments = [config.model.pretrained, model, config.task.prompt, twin.out / "prepared" / "validation"]
    command = [sys.executable, "-c", _LOAD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"DS_ACCELERATOR": "cpu"})

    assert float(done.stdout.split()[-1]) == pytest.approx(min(losses.values()), rel=2e-2)


@pytest.mark.slow
@pytest.mark.usefixtures("on_cluster")
def test_vision_twin_goes_on_exactly_after_a_worker_was_killed(twin: Twin, tmp_path: Path):
    """The losses are those of the undisturbed run, to the last bit."""
    again = twin.changed(f"output.path={tmp_path / 'out'}", "checkpoint.every_steps=4")
    killer = threading.Thread(target=_kill_a_worker, args=(again,), daemon=True)
    killer.start()

    assert run_config(VERBS["train"], again.config).exit_code == 0

    killer.join()
    assert json.loads((again.out / "manifest.json").read_text())["restarts"] == 1
    undisturbed = twin.figures("loss")
    assert {step: loss for step, loss in again.figures("loss").items() if step in undisturbed} == undisturbed
