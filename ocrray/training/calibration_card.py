"""Section of the model card about the calibration of an edit tagger."""

from pathlib import Path

from jinja2 import PackageLoader
from matplotlib.figure import Figure

from ocrray.corpus.card import card_environment
from ocrray.training.calibration import BINS, MAX_BROKE_CLEAN_FRAC, MAX_MADE_WORSE_FRAC, NEVER, Calibration, Reliability
from ocrray.training.plots import DARK, LIGHT, add_line, save

RELIABILITY_NAME = "reliability.png"


def describe(calibration: Calibration, folder: Path) -> str:
    """Draw the reliability diagram into the model folder and return the section, Markdown."""
    draw_reliability(calibration, folder / RELIABILITY_NAME)
    env = card_environment().overlay(loader=PackageLoader("ocrray.training", "."))
    return env.get_template("calibration_card.md.jinja").render(
        calibration=calibration,
        limits={"made_worse": MAX_MADE_WORSE_FRAC, "broke_clean": MAX_BROKE_CLEAN_FRAC, "never": NEVER},
        picture=RELIABILITY_NAME,
    )


def draw_reliability(calibration: Calibration, path: Path) -> None:
    """Plot the probability of edits against the share that was right, before and after, with the number of edits below (PNG)."""
    figure = Figure(figsize=(5, 5.5), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    shares.plot((0, 1), (0, 1), color="#bdbdbd", linestyle="--", label="ideal")
    for name, one, color in (("before", calibration.before, LIGHT), ("after", calibration.after, DARK)):
        points = {bin_.mean_probability: bin_.right_frac for bin_ in one.bins}
        add_line(shares, points, label=_with_error(name, one), color=color, marker="o", markersize=4, clip_on=False)
    shares.set(ylabel="share of edits that were right", xlim=(0, 1), ylim=(0, 1))
    figure.legend(frameon=False, loc="outside upper left")
    bins = calibration.after.bins
    lows, edits = [bin_.low for bin_ in bins], [bin_.edits for bin_ in bins]
    counts.bar(lows, edits, width=1 / BINS, align="edge", color=DARK, edgecolor="white")
    counts.set(xlabel="probability of the edit", ylabel="edits")
    save(figure, path)


def _with_error(name: str, reliability: Reliability) -> str:
    error = reliability.calibration_error
    return name if error is None else f"{name} (expected calibration error {100 * error:.1f} %)"
