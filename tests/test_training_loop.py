"""The training loop without Ray: exact resume, loss per token, precision, order of samples."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tiny_models
import tiny_runs
import torch
import transformers
import yaml
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file

from ocrray.errors import ConfigError, EngineError
from ocrray.models.loading import load_generator
from ocrray.models.vocabulary import extend_vocabulary
from ocrray.training.adapters import with_adapter
from ocrray.training.checkpoint import CONFIG_NAME, StepLayout, first_layout, read_layout
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.loop import train
from ocrray.training.order import SampleOrder
from ocrray.training.packing import Packed


@dataclass
class Recorder:
    """Keeps the reports of the loop."""

    figures: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    checkpoints: dict[int, Path] = field(default_factory=dict)
    newest: dict[int, dict[str, float]] = field(default_factory=dict)

    def log(self, step: int, _steps: int, metrics: dict[str, float]) -> None:
        self.figures.append((step, metrics))

    def checkpoint(self, step: int, metrics: dict[str, float], folder: Path) -> None:
        self.checkpoints[step] = folder
        self.newest[step] = metrics

    def losses(self, after: int = 0) -> list[tuple[int, str, float]]:
        """Training and validation losses of the steps after `after`."""
        names = ("loss", "eval_loss")
        return [(step, name, values[name]) for step, values in self.figures for name in names if name in values and step > after]

    def last_weights(self) -> dict[str, torch.Tensor]:
        """The weights of the last checkpoint."""
        return load_file(next(self.checkpoints[max(self.checkpoints)].glob("*model.safetensors")))


@dataclass(frozen=True)
class Run:
    """A config with samples to train on."""

    config: TrainConfig
    samples: pa.Table

    def __call__(self, folder: Path, resume_from: Path | None = None) -> Recorder:
        """Train in `folder`."""
        recorder = Recorder()
        data: Any = Dataset(self.samples)
        if self.config.data.grouping == "packed":
            data = Packed(data.with_format("numpy"), self.samples["length"].to_numpy(), self.config.data.max_length_tokens)
        train(
            self.config,
            task=open_task(self.config),
            facts={"labels": tiny_runs.LABELS},
            train_data=data,
            validation_data=Dataset(self.samples.slice(0, 8)),
            folder=folder,
            report=recorder,
            resume_from=resume_from,
        )
        return recorder


def correction_samples(config: TrainConfig, count: int) -> pa.Table:
    """SAMPLES of made-up sentences of many lengths."""
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "one", "more", "time"]
    texts = [" ".join(words[: 1 + number % len(words)]) for number in range(count)]
    pairs = pa.table({"source": [text.replace("h", "b") for text in texts], "target": texts})
    samples = open_task(config).encode(pairs, {})
    return samples.filter(pc.is_null(samples["dropped"]))


def tagging_run(folder: Path, **changes: Any) -> Run:
    config = tiny_runs.tagging(folder, **changes)
    return Run(config, tiny_runs.tagging_samples(config, 50, seed=1))


def causal_run(folder: Path, architecture: str, **changes: Any) -> Run:
    config = tiny_runs.lora(folder, tiny_models.save(folder / "base", architecture), **changes)
    return Run(config, correction_samples(config, 50))


TWO_EPOCHS = {
    "max_steps": None,
    "epochs": 2,
    "batch": {"size": 4, "accumulation": 2},
    "evaluation": {"every_steps": 5},
    "checkpoint": {"every_steps": 3},
}
NO_DROPOUT = {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
STABLE_DECAY = {"learning_rate": 0.01, "warmup_steps": 2, "schedule": "warmup_stable_decay"}


@pytest.fixture(scope="module", params=["muon by length", "lora with dropout", "packed and whole"])
def interrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Recorder, Path]]:
    """A run of two epochs that was left alone, and what it reported."""
    folder = tmp_path_factory.mktemp("run")
    match request.param:
        case "muon by length":
            run = tagging_run(folder, **TWO_EPOCHS, optimizer={"kind": "muon", **STABLE_DECAY})
        case "lora with dropout":
            method = {"kind": "lora", "r": 2, "dropout": 0.3}
            run = causal_run(folder, "llama", **TWO_EPOCHS, method=method, data={"train": ["x.csv"], "grouping": "none"})
        case "packed and whole":  # GPT-2 has dropout of its own
            data = {"train": ["x.csv"], "grouping": "packed", "max_length_tokens": 48}
            run = causal_run(
                folder, "gpt2", **TWO_EPOCHS | {"batch": {"size": 2, "accumulation": 2}}, method={"kind": "full"}, data=data
            )
    yield run, run(folder / "alone"), folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("where", ["first epoch", "second epoch"])
def test_resumed_run_computes_the_same_to_the_last_bit(interrupted: tuple[Run, Recorder, Path], where: str):
    """In the midst of either epoch: same losses, same weights, whatever optimizer, schedule, dropout and order of samples."""
    run, alone, folder = interrupted
    steps = sorted(alone.checkpoints)
    step = steps[0] if where == "first epoch" else steps[-2]
    assert (step < steps[-1] / 2) == (where == "first epoch")

    resumed = run(folder / f"from-{step}", resume_from=alone.checkpoints[step])

    assert resumed.losses() == alone.losses(after=step) != []
    weights = resumed.last_weights()
    assert all(weights[name].equal(tensor) for name, tensor in alone.last_weights().items())
    assert resumed.newest.keys() == {later for later in alone.checkpoints if later > step}
    assert all(newest.keys() == alone.newest[later].keys() for later, newest in resumed.newest.items())


def test_resumed_run_at_the_end_of_an_epoch_computes_the_same(tmp_path: Path):
    """The second epoch has its own order, also when it begins with the restart."""
    run = tagging_run(tmp_path, **TWO_EPOCHS | {"checkpoint": {"every_steps": 7}})
    alone = run(tmp_path / "alone")
    assert sorted(alone.checkpoints) == [7, 14]

    resumed = run(tmp_path / "resumed", resume_from=alone.checkpoints[7])

    assert resumed.losses() == alone.losses(after=7)
    assert run(tmp_path / "over", resume_from=alone.checkpoints[14]).figures == []


def test_checkpoint_says_what_run_it_is_of(tmp_path: Path):
    """The resolved config lies in it, and how the workers shared a step."""
    run = causal_run(tmp_path, "llama", max_steps=1, batch={"size": 2, "accumulation": 3})
    folder = run(tmp_path / "run").checkpoints[1]

    assert TrainConfig.model_validate(yaml.safe_load((folder / CONFIG_NAME).read_text())) == run.config
    assert read_layout(folder) == StepLayout(workers=1, step_batches=3)
    (folder / "step_layout.json").write_text('{"workers": 0, "step_batches": 3}')
    with pytest.raises(ConfigError, match=r"step_layout\.json"):
        run(tmp_path / "again", resume_from=folder)


_IN_A_GROUP = """
import json, sys
from datetime import timedelta
from pathlib import Path
import torch.distributed
import test_training_loop as tests
torch.distributed.init_process_group("gloo", timeout=timedelta(minutes=2))
base, out, *checkpoint = map(Path, sys.argv[1:])
batch = {"size": 2, "accumulation": 3}
config = tests.tiny_runs.lora(out, base, **tests.TWO_EPOCHS | {"batch": batch}, workers={"num": [1, 2]})
recorder = tests.Run(config, tests.correction_samples(config, 48))(out, *checkpoint)
if torch.distributed.get_rank() == 0:
    print(json.dumps([[step, each["loss"]] for step, each in recorder.figures if "loss" in each]))
"""


@pytest.mark.slow
def test_run_goes_on_with_fewer_workers_as_if_nothing_had_happened(tmp_path: Path):
    """One worker accumulates what two had shared: the steps, the samples in them and the optimizer stay."""
    base = tiny_models.save(tmp_path / "base", "llama")
    script = tmp_path / "group.py"
    script.write_text(_IN_A_GROUP)

    def losses(workers: int, *arguments: Path) -> list[list[float]]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={workers}", str(script)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=True, env=environment)
        return json.loads(done.stdout.splitlines()[-1])

    two = losses(2, base, tmp_path / "two")
    one = losses(1, base, tmp_path / "one", tmp_path / "two" / "checkpoint-3")

    assert [step for step, _ in one] == [step for step, _ in two if step > 3] != []
    assert np.allclose(one, two[-len(one) :], rtol=1e-4)
    again = losses(2, base, tmp_path / "again", tmp_path / "two" / "checkpoint-6")  # in the midst of the second epoch
    assert again == [[step, loss] for step, loss in two if step > 6] != []


@pytest.mark.parametrize("architecture", ["tagger", "llama", "gptj"])
def test_loss_is_the_same_however_a_step_is_cut(tmp_path: Path, architecture: str):
    """Eight samples in one batch or in four: each token counts the same in the loss and in the gradient."""

    def figures(size: int, accumulation: int) -> list[tuple[float, float]]:
        changes = {"max_steps": 3, "batch": {"size": size, "accumulation": accumulation}}
        folder = tmp_path / str(size)
        if architecture == "tagger":  # CANINE looks at padding, so all are of one length
            model = {"architecture": tiny_runs.CANINE | NO_DROPOUT, "tokenizer": "characters"}
            run = tagging_run(folder, **changes, model=model, task={"kind": "edit_tagging", "window_chars": [16]})
            run = Run(run.config, run.samples.filter(pc.equal(run.samples["length"], 16)))
        else:
            run = causal_run(folder, architecture, **changes)
        recorder = run(folder / "run")
        return [(each["loss"], each["grad_norm"]) for _, each in recorder.figures if "loss" in each]

    assert np.allclose(figures(8, 1), figures(2, 4), rtol=1e-4)


def test_layout_of_a_resized_group_keeps_the_step():
    """An elastic group is counted at its full size; where its batches cannot be shared evenly, the nearest number is taken."""
    config = tiny_runs.tagging(Path("out"), batch={"size": 2, "accumulation": 3}, workers={"num": [1, 4]})

    assert first_layout(config, 2) == StepLayout(workers=2, step_batches=12)
    assert [StepLayout(workers, 12).accumulation for workers in (1, 2, 3, 4, 5, 24)] == [12, 6, 4, 3, 2, 1]
    assert StepLayout(4, 12).is_even
    assert not StepLayout(5, 12).is_even


def test_gradient_checkpointing_changes_memory_and_no_number(tmp_path: Path):
    """Adapters and whole models learn the same with it, though the layers are computed twice."""
    calls = Counter()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda module, *_: calls.update([type(module).__name__]))
    for method in ({"kind": "lora", "r": 2}, {"kind": "full"}):
        losses, computed = [], []
        for on in (False, True):
            calls.clear()
            run = causal_run(tmp_path, "llama", method=method, gradient_checkpointing=on, max_steps=3)
            losses.append(run(tmp_path / str(on)).losses())
            computed.append(calls["LlamaMLP"])
        assert losses[0] == losses[1]
        assert computed[0] < computed[1]
    hook.remove()


def test_bfloat16_trains_on_the_cpu_and_float16_is_refused(tmp_path: Path):
    """A precision that torch lacks on a CPU is refused with the config, before anything starts."""
    recorder = tagging_run(tmp_path, precision="bfloat16", max_steps=12)(tmp_path / "run")

    losses = [loss for _, name, loss in recorder.losses() if name == "eval_loss"]
    assert losses[-1] < losses[0]
    with pytest.raises(ValidationError, match="float16"):
        tagging_run(tmp_path, precision="float16")


def test_loss_that_is_no_number_ends_the_run(tmp_path: Path):
    """One line says at which step, and no checkpoint is written."""
    optimizer = {"learning_rate": 1e38, "warmup_steps": 0}
    run = causal_run(tmp_path, "llama", optimizer=optimizer, checkpoint={"every_steps": 3})

    with pytest.raises(EngineError, match=r"(loss|grad_norm) is (nan|inf) at step [123]:"):
        run(tmp_path / "run")
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_tokens_per_s_comes_with_every_training_loss(tmp_path: Path):
    """Also where every step is followed by an evaluation, whose log has none."""
    run = causal_run(tmp_path, "llama", max_steps=4, evaluation={"every_steps": 1})
    recorder = run(tmp_path / "run")

    rates = [each["tokens_per_s"] for _, each in recorder.figures if "loss" in each]
    assert len(rates) == 4
    assert all(0 < rate < math.inf for rate in rates)


def test_lora_on_all_linear_layers_reaches_gpt2(tmp_path: Path):
    """Its layers are Conv1D, which others overlook; the adapter loads on the model that it was trained on."""
    run = causal_run(tmp_path, "gpt2", method={"kind": "lora", "r": 2}, max_steps=2)
    folder = run(tmp_path / "run").checkpoints[2]

    names = load_file(folder / "adapter_model.safetensors")
    assert {name.split(".")[-3] for name in names} == {"c_attn", "c_proj", "c_fc"}
    assert load_generator(str(tmp_path / "base"), adapter=str(folder)).model.peft_config["default"].r == 2


@pytest.mark.parametrize(("architecture", "tied"), [("llama", False), ("llama", True), ("gpt2", True), ("gptj", False)])
def test_adapter_trains_and_saves_the_rows_of_new_tokens(tmp_path: Path, architecture: str, tied: bool):
    """In the embedding and in the head; the rows of old tokens stay, and what is loaded is what was trained."""
    settings = tiny_models.config(architecture)
    settings.tie_word_embeddings = tied
    torch.manual_seed(0)
    base = transformers.AutoModelForCausalLM.from_config(settings)
    if architecture == "gptj":
        torch.nn.init.normal_(base.lm_head.bias)
    base.save_pretrained(tmp_path / "base")
    words = tiny_models.tokenizer()
    words.save_pretrained(tmp_path / "base")
    config = tiny_runs.lora(tmp_path, tmp_path / "base", method={"kind": "lora", "r": 2})
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    [new] = extend_vocabulary(base, words, ["<b>"])
    before = base.get_input_embeddings().weight.detach().clone()
    ids = torch.tensor([[5, new, 6, new, 7]])
    untrained = base.eval()(input_ids=ids).logits
    model = with_adapter(base, words, config)
    assert torch.allclose(model.eval()(input_ids=ids).logits, untrained, atol=1e-5)

    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(3):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(tmp_path / "adapter")
    words.save_pretrained(tmp_path / "adapter")
    loaded = load_generator(str(tmp_path / "base"), adapter=str(tmp_path / "adapter")).model

    with torch.no_grad():
        assert torch.allclose(loaded(input_ids=ids).logits, model.eval()(input_ids=ids).logits, atol=1e-5)
        merged = loaded.merge_and_unload()
    changed = (merged.get_input_embeddings().weight != before).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [new]
    assert (merged.get_output_embeddings().weight[new] != before[new]).any()


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=300),
    st.integers(1, 9),
    st.sampled_from(["length", "none", "rows"]),
    st.integers(0, 5),
)
def test_order_has_every_sample_once_and_counts_its_tokens(lengths: list[int], step_samples: int, grouping: str, epoch: int):
    """In every epoch, in another order in each, and the same whenever it is iterated again."""
    order = SampleOrder(np.array(lengths), step_samples, seed=3, grouping=grouping)
    order.set_epoch(epoch)
    positions = list(order)

    assert sorted(positions) == list(range(len(lengths)))
    again = SampleOrder(np.array(lengths), step_samples, seed=3, grouping=grouping)
    again.set_epoch(epoch)
    assert list(again) == positions
    first = order.steps_per_epoch * epoch
    seen = [order.tokens_seen(first + step) for step in range(order.steps_per_epoch + 1)]
    in_steps = [
        sum(lengths[at] for at in positions[start : start + step_samples]) for start in range(0, len(lengths), step_samples)
    ]
    assert np.diff(seen).tolist() == in_steps
    assert seen[0] == epoch * sum(lengths)


def test_order_of_rows_goes_from_the_first_to_the_last():
    """Samples of one step come from places close to each other, later steps from later places."""
    order = SampleOrder(np.ones(4_000), step_samples=8, seed=1, grouping="rows")
    steps = np.array(list(order)).reshape(-1, 8)

    assert np.ptp(steps) > 3_900
    assert np.ptp(steps, axis=1).max() < 400
    assert (np.diff(steps.mean(axis=1)[::50]) > 0).all()
    assert list(order) != sorted(order)


def test_order_by_length_puts_like_to_like_and_the_longest_first():
    """The samples of a step differ little in length; steps of long and short samples come in no order."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 1_000, 400)
    order = SampleOrder(lengths, step_samples=8, seed=1, grouping="length")
    steps = lengths[list(order)].reshape(-1, 8)

    assert steps.max() in steps[0]
    assert np.ptp(steps, axis=1).mean() < 50
    assert abs(np.corrcoef(np.arange(len(steps)), steps.mean(axis=1))[0, 1]) < 0.4
    first = list(order)
    order.set_epoch(1)
    assert list(order) != first
