"""Training on images with text: which rows become samples, what a batch holds, and what is left behind."""

import io
import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiny_runs
import tiny_vision
import torch
from datasets import Dataset
from PIL import Image, ImageDraw
from pydantic import ValidationError

from ocrray.models.vision.loading import load_vision_model
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.export import export
from ocrray.training.history import TrainedRun
from ocrray.training.loop import _build
from ocrray.training.samples import IMAGE

NEW = {
    "model_type": "got_ocr2",
    "vision_config": {
        "hidden_size": 32,
        "output_channels": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": [16, 64],
        "patch_size": [4, 4],
        "mlp_dim": 48,
        "window_size": 4,
        "global_attn_indexes": [],
        "use_abs_pos": False,
    },
    "text_config": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
    },
}


def png(text: str, size: tuple[int, int] = (64, 16)) -> bytes:
    """A small picture of some text."""
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).text((3, 2), text, fill=0)
    return encoded(image)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def rows(*cells: tuple[bytes, str | None, str]) -> pa.Table:
    """The table that a task gets, of image, instruction and answer."""
    images, instructions, answers = zip(*cells, strict=True)
    references = pa.array([{"bytes": data, "path": None} for data in images], IMAGE)
    return pa.table({"image": references, "instruction": pa.array(instructions, pa.string()), "answer": answers})


def digits(count: int) -> pa.Table:
    """Pictures of numbers with their text."""
    rng = random.Random(1)
    texts = ["".join(rng.choices("0123456789", k=rng.randint(1, 5))) for _ in range(count)]
    return rows(*((png(text), None, text) for text in texts))


def new_reader(folder: Path, **changes: Any) -> TrainConfig:
    """A model from nothing."""
    settings = {
        "task": {"kind": "image_text", "vision": "full"},
        "model": {"architecture": NEW, "tokenizer": "characters"},
        "method": {"kind": "from_scratch"},
        "optimizer": {"kind": "muon", "learning_rate": 3e-3, "warmup_steps": 1},
        "precision": "bfloat16",
        "max_steps": 8,
        "batch": {"size": 16},
        "evaluation": {"every_steps": 8},
        "checkpoint": {"every_steps": 8},
    }
    return tiny_runs.config(folder, **settings | changes)


def adapted(folder: Path, kind: tiny_vision.Kind, **changes: Any) -> TrainConfig:
    """An adapter on a tiny random model, which is made in `<folder>/base`."""
    settings = {
        "task": {"kind": "image_text", **changes.pop("task", {})},
        "model": {"name": str(tiny_vision.save(folder / "base", kind)), **changes.pop("model", {})},
        "method": {"kind": "lora", "r": 2},
        "max_steps": 2,
        "batch": {"size": 4},
        "checkpoint": {"every_steps": 2},
    }
    return tiny_runs.config(folder / "out", **settings | changes)


def trained(config: TrainConfig, table: pa.Table, folder: Path) -> tuple[Path, list[float], pa.Table]:
    """Train to the end: the last checkpoint, the validation losses and the samples."""
    facts = open_task(config).survey(lambda: table)
    samples = open_task(config).encode(table, facts)
    assert samples["dropped"].null_count == len(samples)
    losses: list[float] = []

    class Report(tiny_runs.Reports):
        def log(self, _step: int, _steps: int, metrics: dict[str, float]) -> None:
            losses.extend(value for name, value in metrics.items() if name == "eval_loss")

    report = Report()
    data = Dataset(samples).with_format("numpy")
    tiny_runs.train(
        config,
        task=open_task(config),
        facts=facts,
        train_data=data,
        validation_data=data,
        folder=folder,
        report=report,
    )
    return report.checkpoints[-1], losses, samples


def test_reader_from_nothing_learns_and_loads_with_its_processor(tmp_path: Path):
    """Tokenizer and processor are made from the config; what is exported reads by itself, as the checkpoint does."""
    config = new_reader(tmp_path)

    checkpoint, losses, samples = trained(config, digits(32), tmp_path / "run")

    assert losses[-1] < losses[0] - 0.1
    figures = open_task(config).measure(checkpoint, samples.slice(0, 4))
    assert figures.keys() == {"cer", "wer", "exact_frac"}
    export(config, checkpoint, tmp_path / "model", run=TrainedRun([{"step": 1, "loss": 1.0}]), held_out=samples.slice(0, 1))
    read = load_vision_model(str(tmp_path / "model"))
    assert read.encoder.decode(read.encoder.encode_answer("907")) == "907"
    assert read.eos_ids == read.encoder.end_ids
    assert "engine: vlm" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize(
    ("image", "instruction", "answer", "dropped"),
    [
        (png("1"), None, "12", None),
        (png("1"), "Read 1", "12", None),
        (encoded(Image.new("CMYK", (64, 16)), "JPEG"), None, "12", None),
        (encoded(Image.new("I;16", (64, 16)), "TIFF"), None, "12", None),
        (png("1"), None, "1" * 60, "too_long"),
        (png("1"), None, "1é", "unknown_characters"),
        (png("1"), "a <img>", "12", "bad_instruction"),
        (b"not an image", None, "12", "image_not_an_image"),
        (png("1")[:-40], None, "12", "image_truncated"),
        (encoded(Image.new("L", (1, 1))), None, "12", "image_too_small"),
        (encoded(Image.new("1", (30_000, 5_000)), "TIFF", compression="group4"), None, "12", "image_too_large"),
        (
            encoded(Image.new("L", (64, 16)), "TIFF", save_all=True, append_images=[Image.new("L", (64, 16))]),
            None,
            "12",
            "image_several_pages",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "" if value is None else "image",
)
def test_rows_become_samples_or_say_why_not(
    tmp_path: Path, image: bytes, instruction: str | None, answer: str, dropped: str | None
):
    """The answer ends with the end token; the length counts image, prompt and answer; the image is kept as it came."""
    task = open_task(new_reader(tmp_path))
    facts = task.survey(lambda: digits(20)) | {"alphabet": "0123456789OCR:ead<img> "}

    [sample] = task.encode(rows((image, instruction, answer)), facts).to_pylist()

    assert (sample["dropped"], sample["row"]) == (dropped, 0)
    if dropped is None:
        encoder = task._encoder(facts)
        assert encoder.decode(sample["input_ids"]) == answer
        assert sample["labels"] == sample["input_ids"]
        assert sample["labels"][-1] in encoder.end_ids
        prompt = encoder.encode_prompt(Image.new("RGB", (64, 16)), sample["source"])
        assert sample["length"] == len(prompt.ids) + len(sample["input_ids"])
        assert sample["images"] == [{"bytes": image, "path": None}]
        assert sample["source"] == (instruction or "OCR: ")


def parts(config: TrainConfig) -> tuple[Any, set[str]]:
    """The model that is trained, and the parts of it with trained weights."""
    task = open_task(config)
    model, _ = _build(config, task, {}, None)
    named = (name.removeprefix("base_model.model.") for name, weight in model.named_parameters() if weight.requires_grad)
    return model, {name.split(".")[1] for name in named}


ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


@pytest.mark.parametrize(
    ("kind", "method", "vision", "trained_parts"),
    [
        ("paligemma", {"kind": "lora", "r": 2, "target_modules": ATTENTION}, "frozen", {"language_model"}),
        ("paligemma", {"kind": "lora", "r": 2, "target_modules": ATTENTION}, "adapter", {"language_model", "vision_tower"}),
        ("got", {"kind": "lora", "r": 2}, "frozen", {"language_model"}),
        ("got", {"kind": "lora", "r": 2}, "adapter", {"language_model", "vision_tower", "multi_modal_projector"}),
        ("got", {"kind": "lora", "r": 2}, "full", {"language_model", "vision_tower", "multi_modal_projector"}),
        ("got", {"kind": "full"}, "frozen", {"language_model"}),
        ("paligemma", {"kind": "full"}, "full", {"language_model", "vision_tower", "multi_modal_projector"}),
    ],
)
def test_vision_says_which_parts_are_trained(tmp_path: Path, kind: Any, method: Any, vision: str, trained_parts: set[str]):
    """And every trained weight gets a gradient from an image with its answer: DistributedDataParallel would wait for it."""
    config = adapted(tmp_path, kind, method=method, task={"vision": vision})
    task = open_task(config)
    samples = task.encode(rows((png("12"), None, "12")), {})

    model, found = parts(config)

    assert found == trained_parts
    model.train()(**task.collator(0, {})(samples.to_pylist())).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None] == []
    names = [name for name, weight in model.named_parameters() if weight.requires_grad and "vision_tower" in name]
    is_whole = any("lora" not in name for name in names)
    assert is_whole == (vision == "full")


@pytest.mark.parametrize(
    ("kind", "targets", "vision", "problem"),
    [
        ("got", ATTENTION, "adapter", "names no layer of the vision tower; it has"),
        ("got", ["qkv"], "frozen", "names layers of the vision tower alone"),
        ("got", ["qkv", *ATTENTION], "adapter", ""),
        ("paligemma", ATTENTION, "adapter", ""),
        ("got", ["qkv", "nonsense"], "adapter", "named nonsense"),
    ],
)
def test_plan_says_which_tower_the_targets_miss(tmp_path: Path, kind: Any, targets: list[str], vision: str, problem: str):
    """Names of SigLIP's layers are also those of language models; names of GOT-OCR2's tower are its own."""
    method = {"kind": "lora", "target_modules": targets}

    found = open_task(adapted(tmp_path, kind, method=method, task={"vision": vision})).problems()

    assert len(found) == bool(problem)
    assert all(problem in line for line in found)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": {"vision": "adapter"}, "method": {"kind": "full"}}, "needs method.kind lora or qlora"),
        ({"task": {"vision": "full"}, "method": {"kind": "qlora"}}, "in 4 bits"),
        ({"task": {"fields": {"type": "object", "properties": {"a": {"type": "string"}}}}}, "set task.output to json"),
        ({"data": {"train": ["x"], "grouping": "packed"}}, "not packed"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, changes: dict[str, Any], reason: str):
    """With the config, before anything is read."""
    with pytest.raises(ValidationError, match=reason):
        adapted(tmp_path, "got", **changes)


def test_batch_has_the_loss_of_all_logits_and_hides_later_tokens(tmp_path: Path):
    """Logits of the answers alone give the loss of all; a token of an answer changes no logits before it, of PaliGemma either."""
    config = adapted(tmp_path, "paligemma")
    task = open_task(config)
    samples = task.encode(rows((png("1"), None, "12"), (png("2"), "read", "3456")), {}).to_pylist()
    model, _ = _build(config, task, {}, None)
    batch = task.collator(0, {})(samples)
    everything = {name: value for name, value in batch.items() if name not in ("labels", "logits_to_keep")}

    with torch.no_grad():
        kept, whole = model.eval()(**batch), model(**everything).logits
        changed = everything | {"input_ids": everything["input_ids"].clone()}
        changed["input_ids"][:, -2] = 7
        after = model(**changed).logits

    assert kept.logits.shape[1] == batch["logits_to_keep"] == 6  # four characters, the end, and the position before them
    labels = torch.nn.functional.pad(batch["labels"], (whole.shape[1] - 6, 0), value=-100)
    assert torch.allclose(kept.loss, model.base_model.model.loss_function(whole, labels, whole.shape[-1]), atol=1e-5)
    assert torch.equal(whole[:, :-2], after[:, :-2])
    assert not torch.equal(whole[:, -2], after[:, -2])


def test_adapter_is_trained_further_with_another_dropout(tmp_path: Path):
    """It begins with the weights of the first run, and is exported with its processor, its parts named in the card."""
    first = adapted(tmp_path, "got", optimizer={"learning_rate": 0.03, "warmup_steps": 0})
    checkpoint, before, samples = trained(first, rows(*[(png("12"), None, "12")] * 8), tmp_path / "first")
    method = {"kind": "lora", "r": 2, "dropout": 0.2}

    again = adapted(tmp_path, "got", model={"adapter": str(checkpoint)}, method=method)
    _, after, _ = trained(again, rows(*[(png("12"), None, "12")] * 8), tmp_path / "second")

    assert after[0] == pytest.approx(before[-1], abs=1e-4) != pytest.approx(before[0], abs=1e-3)  # the first step is at rate 0
    export(first, checkpoint, tmp_path / "model", run=TrainedRun([{"step": 1, "loss": 1.0}]), held_out=samples)
    assert "14 in model.language" in (tmp_path / "model" / "README.md").read_text()
    loaded = load_vision_model(first.model.pretrained, adapter=str(tmp_path / "model"), merge_adapter=True)
    assert loaded.encoder.tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ({"kind": "lora", "r": 4, "alpha": 8}, r"method.r is 4, method.alpha is 8.0, .*set method.r: 2, method.alpha: 32"),
        ({"kind": "full"}, "trains no adapter"),
    ],
)
def test_adapter_of_other_settings_is_refused_with_what_to_set(tmp_path: Path, method: dict[str, Any], problem: str):
    """Rank and alpha of an adapter cannot change: the config must name its own."""
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 32, "target_modules": ["q_proj"]}
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings))
    (tmp_path / "adapter" / "adapter_model.safetensors").touch()

    [found] = open_task(adapted(tmp_path, "got", model={"adapter": str(tmp_path / "adapter")}, method=method)).problems()

    assert re.search(problem, found)
