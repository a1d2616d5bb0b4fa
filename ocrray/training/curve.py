"""Pictures for a model's card: how the losses fell, and how far a tagger's probabilities can be believed."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ocrray.training.calibration import BINS, Calibration, Reliability
from ocrray.training.history import TrainedRun

LOSSES_NAME = "loss.png"
RELIABILITY_NAME = "reliability.png"
_TRAINING, _VALIDATION, _PUBLISHED, _RATE = "#9ecae1", "#08519c", "#d95f02", "#636363"


def draw_losses(run: TrainedRun, published: dict[int, float], path: Path) -> None:
    """Training and validation loss by step, `published` losses beside them, and the learning rate below, as a PNG."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _line(losses, run.training_losses(), "training", color=_TRAINING)
    _line(losses, run.validation_losses(), "validation", color=_VALIDATION, marker="o", markersize=3)
    _line(losses, published, "validation, as published", color=_PUBLISHED, linestyle="--", marker="s", markersize=3)
    losses.set_ylabel("loss per token")
    losses.set_ylim(bottom=0, top=_upper(run, published))
    if losses.lines:
        losses.legend(frameon=False)
    _line(rates, run.learning_rates(), "", color=_RATE)
    rates.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    _save(figure, path)


def draw_reliability(calibration: Calibration, path: Path) -> None:
    """Probability of edits against the share that was right, before and after calibration, and their number below, as a PNG."""
    figure = Figure(figsize=(5, 5.5), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    shares.plot((0, 1), (0, 1), color="#bdbdbd", linestyle="--", label="ideal")
    for name, one, color in (("before", calibration.before, _TRAINING), ("after", calibration.after, _VALIDATION)):
        points = {bin_.mean_probability: bin_.right_frac for bin_ in one.bins}
        _line(shares, points, _named(name, one), color=color, marker="o", markersize=4, clip_on=False)
    shares.set(ylabel="share of edits that were right", xlim=(0, 1), ylim=(0, 1))
    figure.legend(frameon=False, loc="outside upper left")
    bins = calibration.after.bins
    lows, edits = [bin_.low for bin_ in bins], [bin_.edits for bin_ in bins]
    counts.bar(lows, edits, width=1 / BINS, align="edge", color=_VALIDATION, edgecolor="white")
    counts.set(xlabel="probability of the edit", ylabel="edits")
    _save(figure, path)


def _line(axes: Axes, points: dict[Any, float], label: str, **style: Any) -> None:
    if points:
        axes.plot(list(points), list(points.values()), label=label or None, **style)


def _upper(run: TrainedRun, published: dict[int, float]) -> float:
    """Where the picture ends: a first loss that is far above all others would press them to the ground."""
    values = sorted([*run.training_losses().values(), *run.validation_losses().values(), *published.values()])
    if not values:
        return 1.0
    return 1.05 * min(values[-1], 4 * values[len(values) // 2])


def _named(name: str, reliability: Reliability) -> str:
    error = reliability.calibration_error
    return name if error is None else f"{name} (expected calibration error {100 * error:.1f} %)"


def _save(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.grid(color="#eeeeee")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
