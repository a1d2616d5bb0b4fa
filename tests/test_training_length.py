"""Runs that are longer or shorter than planned: more epochs on a finished one, an early end; the optimizers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import tagger_config
from test_training_loop import Recorder, Run, causal_run

from ocrray.config import load
from ocrray.errors import ConfigError, Problems
from ocrray.storage import Location
from ocrray.training.config import TrainConfig
from ocrray.training.muon import FullPrecisionMuon
from ocrray.training.optimizers import MuonWithAdamW
from ocrray.training.settings import EarlyStoppingConfig
from ocrray.training.stopping import stops_early
from ocrray.verbs.output import Run as WrittenRun
from ocrray.verbs.output import write_run
from ocrray.verbs.train.plan import make_plan


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_finished_run_with_another_epoch_goes_on_as_one_of_two(tmp_path: Path, schedule: str):
    """To the last bit where the learning rate is constant; else at the rate that the longer run has at that step."""
    optimizer = {"learning_rate": 0.01, "warmup_steps": 1, "schedule": schedule}
    long = causal_run(tmp_path, "llama", epochs=2, max_steps=None, optimizer=optimizer, evaluation={"every_steps": 1})
    short = Run(long.config.model_copy(update={"epochs": 1}), long.samples)
    alone = long(tmp_path / "long")
    end = max(checkpoints := short(tmp_path / "short").checkpoints)

    longer = long(tmp_path / "longer", resume_from=checkpoints[end])

    def rates(recorder: Recorder) -> list[tuple[int, float]]:
        return [(step, each["learning_rate"]) for step, each in recorder.figures if "learning_rate" in each and step > end]

    assert rates(longer) == rates(alone) != []
    if schedule == "constant":
        assert longer.losses() == alone.losses(after=end)


def test_run_whose_validation_loss_no_longer_falls_ends_with_a_checkpoint(tmp_path: Path):
    """After as many losses as `patience` says, resumed or not; a checkpoint of the last step is there."""
    stopping = {"every_steps": 1, "early_stopping": {"patience": 2, "min_improvement": 10}}
    run = causal_run(tmp_path, "llama", evaluation=stopping, checkpoint={"every_steps": 2}, max_steps=9)

    recorder = run(tmp_path / "run")
    resumed = run(tmp_path / "resumed", resume_from=recorder.checkpoints[2])

    assert sorted(recorder.checkpoints) == [2, 3]  # the first loss is the best
    assert resumed.losses() == recorder.losses(after=2) != []
    assert run(tmp_path / "over", resume_from=recorder.checkpoints[3]).figures == []


@pytest.mark.parametrize(
    ("losses", "stops"),
    [([3, 2, 2, 2], True), ([3, 2, 2], False), ([3, 2, 2.5, 1.9, 2.5], False), ([3, 2.95, 2.96], True), ([], False)],
)
def test_early_stopping_counts_losses_since_the_best(losses: list[float], stops: bool):
    """Logs of training between the evaluations do not count, nor does an improvement that is too small."""
    log = [entry for loss in losses for entry in ({"eval_loss": loss}, {"loss": 0.1})]

    assert stops_early(log, EarlyStoppingConfig(patience=2, min_improvement=0.09)) == stops
    assert not stops_early(log, None)


def test_muon_leaves_tables_of_positions_to_adamw():
    """Their rows are looked up, not multiplied with; matrices of the layers, and they alone, are Muon's."""
    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList([torch.nn.Linear(4, 3)])
    model.layers[0].rel_pos_h = torch.nn.Parameter(torch.zeros(5, 4))
    model.head = torch.nn.Linear(3, 2)

    muon, adamw = MuonWithAdamW(model, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0).param_groups

    assert [tuple(weight.shape) for weight in muon["params"]] == [(3, 4)]
    assert sorted(tuple(weight.shape) for weight in adamw["params"]) == [(2,), (2, 3), (3,), (5, 4)]


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_muon_does_the_steps_of_torch_without_its_rounding(shape: tuple[int, int]):
    """Weights after some steps differ from those of torch's Muon by what bfloat16 rounds; state and groups have its names."""
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(weight) for weight in torch.randn(shape).repeat(2, 1, 1))
    optimizers = [
        FullPrecisionMuon([ours], lr=0.1, weight_decay=0.01),
        torch.optim.Muon([theirs], lr=0.1, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    ]
    for _ in range(5):
        gradient = torch.randn(shape)
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()

    assert torch.allclose(ours, theirs, atol=5e-3)
    own, torchs = (optimizer.state_dict() for optimizer in optimizers)
    assert own["param_groups"] == torchs["param_groups"]
    assert torch.equal(own["state"][0]["momentum_buffer"], torchs["state"][0]["momentum_buffer"])


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [
        ({"epochs": 1.0}, {"epochs": 2.0}, True),
        ({"max_steps": 5}, {"max_steps": 6}, True),
        ({"epochs": 2.0}, {"epochs": 1.0}, False),
        ({"epochs": 1.0}, {"epochs": 2.0, "seed": 3}, False),
        ({"epochs": 1.0}, {"max_steps": 9}, False),
    ],
)
def test_plan_goes_on_with_a_run_that_is_only_to_be_longer(tmp_path: Path, before: Any, now: Any, goes_on: bool):
    """More epochs, or more steps, and nothing else; the output is that of the longer run from then on."""

    path = tagger_config(tmp_path, max_steps=None)

    def plan(changes: Any) -> Any:
        overrides = [f"{name}={value}" for name, value in changes.items()]
        return make_plan(load(path, TrainConfig, overrides), None, Problems(), dry_run=True)

    first = plan(before)
    (tmp_path / "out" / "checkpoints" / "step-00000001").mkdir(parents=True)
    output = Location.at(str(tmp_path / "out"))
    write_run(output, WrittenRun(first.fingerprint, first.settings, "2026-11-29", ""))

    second = plan(now)

    if goes_on:
        second.require_resumable(second.previous, output)
        assert second.previous.settings == second.settings
    else:
        with pytest.raises(ConfigError, match="was"):
            second.require_resumable(second.previous, output)
