"""Models with parts that text does not reach, names of modules, and batches of which nothing is learned."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import tiny_models
import tiny_runs
import torch
import transformers
from datasets import Dataset

from ocrray.errors import ConfigError, EngineError
from ocrray.runtime.trainer import _full_disk_in_one_line, _NoUselessRestart
from ocrray.storage import Location
from ocrray.training.adapters import with_adapter
from ocrray.training.loop import _Trainer, _with_labels, train
from ocrray.training.samples import NO_LOSS
from ocrray.training.schedule import schedule_problem
from ocrray.training.settings import EvaluationConfig, ModelConfig
from ocrray.training.space import checkpoint_bytes, full_disk, space_problem
from ocrray.training.tokenizers import load_tokenizer
from ocrray.training.unused import unused_modules
from ocrray.verbs.output import require_space, require_writable

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def gemma() -> Any:
    """A Gemma-3 that reads text and images."""
    config = transformers.Gemma3Config(text_config={**SIZES, "vocab_size": 300}, vision_config=VISION, mm_tokens_per_image=4)
    return transformers.AutoModelForCausalLM.from_config(config)


def llava() -> Any:
    """A Llava: a CLIP in front of a Llama."""
    config = transformers.LlavaConfig(
        text_config={"model_type": "llama", **SIZES, "vocab_size": 300},
        vision_config={"model_type": "clip_vision_model", **VISION},
    )
    return transformers.LlavaForConditionalGeneration(config)


def mixtral() -> Any:
    config = transformers.MixtralConfig(**SIZES, vocab_size=300, num_local_experts=4, num_experts_per_tok=1)
    return transformers.MixtralForCausalLM(config)


def lora(folder: Path, **method: Any) -> Any:
    model = {"name": str(folder), "tokenizer": "bytes"}
    return tiny_runs.lora(folder, folder, model=model, method={"kind": "lora", "r": 2, **method})


def without_gradient(model: Any) -> list[str]:
    """Names of the trained weights that a pass over text gives no gradient: DistributedDataParallel would wait for them."""
    ids = torch.tensor([[5, 6, 7, 8]])
    model.train()(input_ids=ids, labels=ids).loss.backward()
    return [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"]], ids=["all", "names of both towers"])
@pytest.mark.parametrize("make", [gemma, llava, mixtral, lambda: tiny_model("gpt2")], ids=["gemma3", "llava", "mixtral", "gpt2"])
def test_with_adapter_every_trained_weight_gets_a_gradient_from_text(tmp_path: Path, make: Any, targets: Any):
    """Towers for images get no adapter, whether all linear layers or some names were asked for."""
    if make().config.model_type == "gpt2" and targets != "all-linear":
        targets = ["c_attn"]
    model = with_adapter(make(), tiny_models.tokenizer(), lora(tmp_path, target_modules=targets))

    names = model.base_model.targeted_module_names
    assert names
    assert not any("vision" in name or "projector" in name for name in names)
    assert without_gradient(model) == []


def tiny_model(architecture: str) -> Any:
    return transformers.AutoModelForCausalLM.from_config(tiny_models.config(architecture))


@pytest.mark.parametrize(
    "make", [gemma, llava, mixtral, lambda: tiny_model("llama")], ids=["gemma3", "llava", "mixtral", "llama"]
)
def test_with_adapter_model_trained_whole_freezes_what_text_does_not_reach(tmp_path: Path, make: Any):
    """Nothing else is frozen, and weights that embedding and head share are trained."""
    model = make()

    with_adapter(model, tiny_models.tokenizer(), tiny_runs.lora(tmp_path, tmp_path, method={"kind": "full"}))

    assert without_gradient(model) == []
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert all("vision" in name or "projector" in name for name in frozen)
    assert bool(frozen) == (model.config.model_type in ("gemma3", "llava"))


def test_unused_modules_are_known_by_structure_where_no_pass_is_possible():
    """ZeRO-3 keeps parts of each weight on each worker."""
    model = gemma()
    by_pass = unused_modules(model)
    for weight in model.parameters():
        weight.ds_id = 1

    assert unused_modules(model) == by_pass == ["model.vision_tower", "model.multi_modal_projector"]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["q_proj", "v_porj"], r"named v_porj; the model has .*v_proj"),
        (["v_porj"], r"v_porj"),
        (["q_proj", "self_attn"], r"self_attn|not supported"),
        (["q_proj", "fc1"], r"no layer that reads text is named fc1"),
        (["fc1"], r"fc1|excluded"),
    ],
    ids=["one of two", "all", "no layer", "in the tower alone", "nothing but the tower"],
)
def test_with_adapter_name_that_is_no_layer_is_refused(tmp_path: Path, targets: list[str], message: str):
    """One line before training, also where other names fit."""
    with pytest.raises(ConfigError, match=message) as caught:
        with_adapter(gemma(), tiny_models.tokenizer(), lora(tmp_path, target_modules=targets))

    assert str(caught.value).startswith("method.target_modules: ")
    assert len(str(caught.value).splitlines()) == 1


def test_causal_task_misspelt_module_of_a_local_model_is_a_problem_of_the_plan(tmp_path: Path):
    """Before any sample is made; a name that fits is none."""
    tiny_models.save(tmp_path, "llama")

    def problems(*targets: str) -> list[str]:
        return tiny_runs.open_task(lora(tmp_path, target_modules=list(targets))).problems()

    assert problems("q_proj", "layers.1.self_attn.v_proj") == []
    [problem] = problems("q_proj", "v_porj")
    assert "v_porj" in problem


def test_peft_overlooks_a_misspelt_module_beside_others():
    """It trains without the layer; should it refuse some day, the check can go."""
    model = peft.get_peft_model(tiny_model("llama"), peft.LoraConfig(target_modules=["q_proj", "v_porj"]))

    assert {name.rpartition(".")[2] for name in model.targeted_module_names} == {"q_proj"}


@pytest.mark.parametrize("task", ["tagging", "causal"])
def test_trainer_batch_without_labels_adds_nothing_to_a_step(tmp_path: Path, task: str):
    """The loss is finite, and so are all gradients; a step of nothing else changes nothing."""
    folder = tiny_models.save(tmp_path / "base", "llama")
    config = tiny_runs.tagging(tmp_path) if task == "tagging" else tiny_runs.lora(tmp_path, folder)
    opened = tiny_runs.open_task(config)
    model, _ = opened.build({"labels": tiny_runs.LABELS})
    trainer = _Trainer(
        config=config,
        order=None,
        new_optimizer=False,
        model=model,
        args=transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[]),
        compute_loss_func=opened.loss(),
    )

    for labels_per_batch in ([0], [0, 0], [0, 3], [3, 0]):
        samples = [{"input_ids": [5] * 9, "labels": [NO_LOSS] * (9 - count) + [1] * count} for count in labels_per_batch]
        batches = [opened.collator(0, {})([sample]) for sample in samples]

        taken, count = trainer.get_batch_samples(iter(batches), len(batches), torch.device("cpu"))
        losses = [trainer.compute_loss(model, dict(batch), num_items_in_batch=count) for batch in taken]
        model.zero_grad()
        sum(losses).backward()

        assert [loss.item() > 0 for loss in losses] == [labels > 0 for labels in labels_per_batch]
        norms = torch.stack([weight.grad.norm() for weight in model.parameters() if weight.grad is not None])
        assert torch.isfinite(norms).all()
        assert (norms.sum() > 0) == any(labels_per_batch)


def test_validation_samples_without_labels_are_left_out_and_none_left_is_refused():
    """The mean over the others is the validation loss."""
    labels = [[NO_LOSS, 1], [NO_LOSS, NO_LOSS], [2]]

    kept = _with_labels(Dataset.from_dict({"labels": labels, "length": [2, 2, 1]}))

    assert kept["length"][:] == [2, 1]
    with pytest.raises(ConfigError, match="no sample has a label"):
        _with_labels(Dataset.from_dict({"labels": labels[1:2]}))


@pytest.mark.parametrize(
    ("optimizer", "steps", "message"),
    [
        ({"warmup_steps": 10}, 4, "ends after 4 steps, while the learning rate still rises"),
        ({"warmup_steps": 4}, 4, "still rises"),
        ({"warmup_steps": 3}, 4, ""),
        ({"warmup_steps": 5, "schedule": "warmup_stable_decay", "decay_frac": 0.6}, 10, "drops"),
        ({"warmup_steps": 4, "schedule": "warmup_stable_decay", "decay_frac": 0.6}, 10, ""),
        ({"warmup_steps": 0, "schedule": "constant"}, 1, ""),
    ],
)
def test_schedule_problem_names_a_schedule_longer_than_the_run(
    tmp_path: Path, optimizer: dict[str, Any], steps: int, message: str
):
    """The rate would never reach what the config says."""
    config = tiny_runs.lora(tmp_path, tmp_path, optimizer={"learning_rate": 0.01, **optimizer})

    found = schedule_problem(config.optimizer, steps)

    assert message in found
    assert bool(found) == bool(message)


def test_evaluation_per_epoch_is_a_number_of_steps():
    """Rounded up, so that there are no more than asked for; null leaves the steps."""
    four = EvaluationConfig(per_epoch=4)

    assert [four.steps_between(steps) for steps in (31, 32, 33, 2)] == [8, 8, 9, 1]
    assert EvaluationConfig(every_steps=7).steps_between(31) == 7


def test_load_tokenizer_pads_with_the_token_of_the_config(tmp_path: Path):
    """One that the tokenizer does not know is an error of the config."""
    tiny_models.tokenizer(pad=False).save_pretrained(tmp_path)

    assert load_tokenizer(ModelConfig(name=str(tmp_path), pad_token="</s>")).pad_token_id == 0
    assert load_tokenizer(ModelConfig(name=str(tmp_path))).pad_token_id is None
    with pytest.raises(ConfigError, match=r"model\.pad_token: .* has no token <none>"):
        load_tokenizer(ModelConfig(name=str(tmp_path), pad_token="<none>"))


def test_train_computes_without_cudnn_attention(tmp_path: Path):
    """Its backward pass gives NaN on some GPUs; whether the setting helps there cannot be seen on a CPU."""
    torch.backends.cuda.enable_cudnn_sdp(True)
    config = tiny_runs.lora(tmp_path, tiny_models.save(tmp_path / "base", "llama"), max_steps=1)
    samples = Dataset(tiny_runs.causal_samples(tiny_models.tokenizer(), 16))

    train(
        config,
        task=tiny_runs.open_task(config),
        facts={},
        train_data=samples,
        validation_data=samples,
        folder=tmp_path / "run",
        report=tiny_runs.Reports(),
    )

    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_worker_error_that_comes_again_at_the_same_checkpoint_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A restart helps against a death, not against a mistake; after a new checkpoint the same message may be another fault."""
    monkeypatch.setattr("ocrray.runtime.cluster.log_folder", lambda: "/logs")
    callback = _NoUselessRestart(tmp_path)
    error = SimpleNamespace(get=lambda: None)

    callback.after_exception(error, {0: RuntimeError("Traceback\nRuntimeError: worker died"), 1: RuntimeError("peer closed")})
    (tmp_path / "step-00000005").mkdir()
    callback.after_exception(error, {0: RuntimeError("Traceback\nRuntimeError: worker died")})
    callback.after_exception(error, {0: RuntimeError("another")})
    with pytest.raises(EngineError, match="twice at the same place: another"):
        callback.after_exception(error, {0: RuntimeError("another")})
    with pytest.raises(ConfigError):
        callback.after_exception(error, {0: ConfigError("wrong")})


def test_space_problem_names_disk_and_sizes_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two checkpoints beside the output's; those that are there already need no room."""
    config = tiny_runs.lora(tmp_path / "out", tmp_path, checkpoint={"every_steps": 3, "keep": 2})
    free = SimpleNamespace(free=5_900_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)

    assert space_problem(config, tmp_path / "scratch", 100_000_000) == ""
    assert "5.9 GB are free, and checkpoints of 1.0 GB need 7.0 GB" in space_problem(config, tmp_path / "scratch", 1_000_000_000)
    for step in (1, 2, 3):
        (tmp_path / "out" / "checkpoints" / f"step-{step}").mkdir(parents=True)
    assert space_problem(config, tmp_path / "scratch", 1_000_000_000) == ""


def test_checkpoint_bytes_of_an_adapter_are_those_of_its_weights(tmp_path: Path):
    """Weights in float32 and two moments; a whole model's are all of its weights."""
    model = tiny_model("llama")
    whole = tiny_runs.lora(tmp_path, tmp_path, method={"kind": "full"})
    assert checkpoint_bytes(whole, model) == 12 * model.num_parameters()

    adapted = with_adapter(model, tiny_models.tokenizer(), lora(tmp_path))

    assert checkpoint_bytes(lora(tmp_path), adapted) == 12 * adapted.num_parameters(only_trainable=True)


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(28, "No space left on device"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos"), False),
        (ValueError("wrong"), False),
    ],
)
def test_full_disk_is_told_in_one_line_and_ends_the_run(tmp_path: Path, error: Exception, is_full: bool):
    """As an error that is not tried again; any other passes as it is."""
    raised, message = (EngineError, "no space is left") if is_full else (type(error), None)
    with pytest.raises(raised, match=message) as caught, _full_disk_in_one_line([tmp_path]):
        raise error

    assert len(str(caught.value).splitlines()) == 1


def test_full_disk_is_known_by_the_free_bytes_where_the_error_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """torch writes zip files, and only finds that they are too short."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))

    assert str(tmp_path) in full_disk(RuntimeError("unexpected pos 64 vs 0"), [tmp_path])


def test_require_space_least_bytes_of_a_run_and_of_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Before a run of any verb, and again when the records are counted; an object store tells no free space."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))

    require_writable(Location.at(tmp_path / "out"))
    require_space(Location.at(tmp_path / "out"), 1_000)
    with pytest.raises(ConfigError, match=r"1,000,000 bytes are free, and 10,262,144 are needed"):
        require_space(Location.at(tmp_path / "out"), 100_000)
    require_space(Location.at("s3://bucket/out"), 10**9)
