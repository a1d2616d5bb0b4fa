"""Plots for model cards, as PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ocrray.training.history import TrainedRun

LOSSES_NAME = "loss.png"
LIGHT, DARK = "#9ecae1", "#08519c"
_PUBLISHED, _RATE = "#d95f02", "#636363"


def draw_losses(run: TrainedRun, published: Mapping[int, float], path: Path) -> None:
    """Plot training, validation and `published` loss by step, with the learning rate below."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    add_line(losses, run.training_losses(), label="training", color=LIGHT)
    add_line(losses, run.validation_losses(), label="validation", color=DARK, marker="o", markersize=3)
    add_line(losses, published, label="validation, as published", color=_PUBLISHED, linestyle="--", marker="s", markersize=3)
    losses.set_ylabel("loss per token")
    losses.set_ylim(bottom=0, top=_upper_limit(run, published))
    if losses.lines:
        losses.legend(frameon=False)
    add_line(rates, run.learning_rates(), color=_RATE)
    rates.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    save(figure, path)


def add_line(axes: Axes, points: Mapping[Any, float], **style: Any) -> None:
    """Add a line through the points (x to y); no line, and no entry of the legend, without points."""
    if points:
        axes.plot(list(points), list(points.values()), **style)


def save(figure: Figure, path: Path) -> None:
    """Write the figure with the style of all plots here; the same figure gives the same bytes."""
    for axes in figure.axes:
        axes.grid(color="#eeeeee")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _upper_limit(run: TrainedRun, published: Mapping[int, float]) -> float:
    """Cut off a first loss far above all others, which would flatten the rest of the plot."""
    values = sorted([*run.training_losses().values(), *run.validation_losses().values(), *published.values()])
    if not values:
        return 1.0
    return 1.05 * min(values[-1], 4 * values[len(values) // 2])
