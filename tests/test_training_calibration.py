"""Calibration of a tagger: temperature, reliability, choice of a harmless threshold."""

from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ocrray.text.metrics import CerTotals
from ocrray.training.calibration import (
    NEVER,
    TEMPERATURES,
    ThresholdFigures,
    choose_threshold,
    find_edits,
    fit_temperature,
    reliability,
)


def _edits(temperature: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds, under every temperature, of a tagger that is right as often as `temperature` would have it say."""
    rng = np.random.default_rng(0)
    logits = rng.normal(3, 3, count)
    right = rng.random(count) < 1 / (1 + np.exp(-logits / temperature))
    return (logits[:, None] / TEMPERATURES).astype(np.float32), right


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_fit_temperature_finds_the_one_that_the_edits_were_drawn_with(temperature: float) -> None:
    """An over- or underconfident tagger gets its temperature, and its probabilities are calibrated afterwards."""
    log_odds, right = _edits(temperature, 20_000)
    chosen = fit_temperature(log_odds, right)
    assert TEMPERATURES[chosen] == pytest.approx(temperature, rel=0.1)
    assert reliability(1 / (1 + np.exp(-log_odds[:, chosen])), right).calibration_error < 0.01


def test_fit_temperature_of_a_handful_of_edits_changes_nothing() -> None:
    """Ten edits do not determine a temperature."""
    assert TEMPERATURES[fit_temperature(*_edits(3.0, 10))] == 1


def test_reliability_of_known_edits_has_their_bins_and_error() -> None:
    """Two tenths: one where half as much is right as was said, one where all is well."""
    found = reliability(np.array([0.8, 0.8, 0.8, 0.8, 1.0]), np.array([True, True, False, False, True]))
    assert [(one.low, one.high, one.edits, one.right_frac) for one in found.bins] == [(0.8, 0.9, 4, 0.5), (0.9, 1.0, 1, 1.0)]
    assert found.calibration_error == pytest.approx(0.3 * 4 / 5)


@given(
    arrays(float, st.integers(0, 50), elements=st.floats(0, 1)).flatmap(
        lambda chances: st.tuples(st.just(chances), arrays(bool, len(chances)))
    )
)
def test_reliability_counts_every_edit_once(edits: tuple[np.ndarray, np.ndarray]) -> None:
    """No probability falls between the bins, and the error is a share."""
    found = reliability(*edits)
    assert found.edits == len(edits[0])
    assert found.calibration_error is None if not len(edits[0]) else 0 <= found.calibration_error <= 1
    assert all(one.low - 1e-9 <= one.mean_probability <= one.high + 1e-9 for one in found.bins)  # a mean of equals is rounded


def test_find_edits_looks_at_characters_and_not_at_padding() -> None:
    """A tagger that knows nothing would edit padding too: no edit lies beyond the end of its text, whoever stands beside it."""
    config = tiny_runs.tagging(Path("unused"))
    samples = tiny_runs.tagging_samples(config, 20, seed=1).to_pylist()
    task = tiny_runs.open_task(config)
    torch.manual_seed(0)
    model, _ = task.build({"labels": tiny_runs.LABELS})
    together = find_edits(model.eval(), task.collator(0, {}), samples)
    lengths = np.array([len(sample["source"]) for sample in samples])
    assert (together.position < lengths[together.text]).all()
    alone = find_edits(model, task.collator(0, {}), samples[3:4])
    assert alone.position.tolist() == together.position[together.text == 3].tolist()
    single = [{**sample, "input_ids": sample["input_ids"][:1], "labels": sample["labels"][:1]} for sample in samples[:8]]
    found = [find_edits(model, task.collator(0, {}), [sample]) for sample in single]
    assert {len(edits.text) for edits in found} <= {0, 1}
    assert any(len(edits.text) for edits in found)


def _figures(threshold: float, made_worse: int, broke_clean_frac: float) -> ThresholdFigures:
    return ThresholdFigures(threshold, CerTotals(records=100, made_worse=made_worse), broke_clean_frac)


def test_choose_threshold_takes_the_least_from_which_on_no_harm_is_done() -> None:
    """A harmless threshold below a harmful one does not count."""
    figures = [_figures(0.4, 4, 0.01), _figures(0.5, 5, 0.0), _figures(0.6, 4, 0.01), _figures(0.7, 0, 0.0)]
    assert choose_threshold(figures) == 0.6


@pytest.mark.parametrize("harm", [(5, 0.0), (0, 0.02)])
def test_choose_threshold_without_a_harmless_one_is_never(harm: tuple[int, float]) -> None:
    """Pages made worse and clean text broken are harm, each by itself."""
    assert choose_threshold([_figures(0.98, *harm)]) == NEVER
