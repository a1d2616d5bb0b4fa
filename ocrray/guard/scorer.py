"""Additive logistic scorer: the probability that a span is wrong, as a sum of one contribution per family of signals."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocrray.errors import ConfigError
from ocrray.guard.signals import FAMILIES, NAMES

_PRIOR_WRONG = 0.3  # assumed for the neighbours of a span that has none
_FAMILIES = tuple(FAMILIES)
_NEIGHBOURS = _FAMILIES.index("neighbours")
_FIRST_COLUMNS = np.cumsum([0, *map(len, FAMILIES.values())])[:-1]


@dataclass(frozen=True)
class Scorer:
    """Additive logistic model: the weights of the bins into which the signals fall add up to the log-odds of being right.

    It is evaluated twice: without the neighbours, and again with the probabilities that this gave for them.
    """

    intercept: float
    """Log-odds of a span whose weights are all 0."""
    edges: dict[str, list[float]]
    """Lower edges of the bins of each signal but the first, ascending."""
    weights: dict[str, list[float]]
    """Weight of each bin of each signal, one more than `edges`; their mean over the spans fitted on is 0."""

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Scorer":
        """Read a file written by `save`.

        Raises: ConfigError: when the file cannot be read or lacks one of the signals.
        """
        try:
            scorer = cls(**json.loads(path.read_text(encoding="utf-8")))
            consistent = all(len(scorer.weights[name]) == len(scorer.edges[name]) + 1 for name in NAMES)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: not a scorer of the guard: {error}") from None
        if not consistent:
            raise ConfigError(f"{path}: not a scorer of the guard: bins and weights do not match")
        return scorer

    def score(self, signals: NDArray[np.float64], ignore: Collection[str] = ()) -> tuple[NDArray[np.float64], list[str]]:
        """Score the spans of one passage; `signals` has shape (spans, len(NAMES)), the families in `ignore` are left out.

        Returns the probability that each span is wrong, shape (spans,), and the family that contributes most to it.
        """
        contributions = self._contributions(signals)
        active = [number for number, family in enumerate(FAMILIES) if family not in ignore]
        first_pass = self._wrong(contributions[:, [number for number in active if number != _NEIGHBOURS]])
        with_neighbours = self._contributions(with_neighbours_wrong(signals, mean_neighbours_wrong(first_pass)))
        contributions[:, _NEIGHBOURS] = with_neighbours[:, _NEIGHBOURS]
        strongest = contributions[:, active].argmin(axis=1)
        return self._wrong(contributions[:, active]), [_FAMILIES[active[number]] for number in strongest]

    def score_without_neighbours(self, signals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that each span is wrong by its own signals alone, shape (spans,)."""
        return self._wrong(np.delete(self._contributions(signals), _NEIGHBOURS, axis=1))

    def _wrong(self, contributions: NDArray[np.float64]) -> NDArray[np.float64]:
        wrong: NDArray[np.float64] = 1 / (1 + np.exp(self.intercept + contributions.sum(axis=1)))
        return wrong

    def _contributions(self, signals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each family adds to the log-odds of being right, shape (spans, len(FAMILIES))."""
        edges, weights = self._arrays
        bins = (signals[:, :, None] >= edges).sum(axis=2)
        sums: NDArray[np.float64] = np.add.reduceat(weights[np.arange(len(NAMES)), bins], _FIRST_COLUMNS, axis=1)
        return sums

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Edges and weights of all signals, padded to one length: one vectorised look-up is many times faster than 59."""
        longest = max(map(len, self.weights.values()))
        edges = [[*self.edges[name], *[np.inf] * (longest - 1 - len(self.edges[name]))] for name in NAMES]
        weights = [[*self.weights[name], *[0.0] * (longest - len(self.weights[name]))] for name in NAMES]
        return np.array(edges), np.array(weights)


def mean_neighbours_wrong(wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each span of one passage, the mean probability that the others are wrong, smoothed with a prior of 0.3."""
    return (wrong.sum() - wrong + _PRIOR_WRONG) / len(wrong) if len(wrong) else wrong


def with_neighbours_wrong(signals: NDArray[np.float64], neighbours_wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a copy of `signals` with the column of the neighbours filled in."""
    signals = signals.copy()
    signals[:, NAMES.index("others_wrong")] = neighbours_wrong
    return signals
