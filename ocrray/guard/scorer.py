"""How likely an edit is wrong: a sum of what each signal says, so that every score can be told in words."""

import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ocrray.errors import ConfigError
from ocrray.guard.signals import FAMILIES, NAMES

_BINS = 12
_RIDGE, _SMOOTHNESS = 3.0, 10.0
_NEWTON_STEPS = 12
_USUALLY_WRONG = 0.3
_FAMILIES = tuple(FAMILIES)
_COMPANY = _FAMILIES.index("company")
_FIRST_COLUMNS = np.cumsum([0, *map(len, FAMILIES.values())])[:-1]


@dataclass(frozen=True)
class Scorer:
    """An additive logistic model: each signal falls into one of its bins and adds its weight to the log-odds of being right.

    `edges[signal]` ascend, one fewer than `weights[signal]`, whose mean over the edits fitted on is 0; `intercept` is theirs.
    """

    intercept: float
    edges: dict[str, list[float]]
    weights: dict[str, list[float]]

    @classmethod
    def fit(
        cls,
        signals: np.ndarray,
        right: np.ndarray,
        importance: np.ndarray | None = None,
        passage_spans: Sequence[int] | None = None,
    ) -> "Scorer":
        """Fit on rows of signals (columns as NAMES), whether each edit is right, and how much each counts (all alike).

        `passage_spans` says how many rows are of each passage, in order; null: each stands alone.
        """
        importance = np.ones(len(right)) if importance is None else importance
        alone = cls._fit_additive(signals, right, importance)
        bounds = np.cumsum(np.ones(len(right), int) if passage_spans is None else passage_spans)[:-1]
        company = [_company(wrong) for wrong in np.split(alone._wrong(alone._said(signals)[:, :_COMPANY]), bounds)]
        return cls._fit_additive(_with_company(signals, np.concatenate(company)), right, importance)

    @classmethod
    def _fit_additive(cls, signals: np.ndarray, right: np.ndarray, importance: np.ndarray) -> "Scorer":
        edges = [_edges(column) for column in signals.T]
        bins = [np.searchsorted(places, column, side="right") for places, column in zip(edges, signals.T, strict=True)]
        starts = np.cumsum([0, *(len(places) + 1 for places in edges)])
        design = np.zeros((len(right), starts[-1] + 1))
        design[:, -1] = 1
        for start, column in zip(starts, bins, strict=False):
            design[np.arange(len(right)), start + column] = 1
        weights = _newton(design, right.astype(float), importance, _penalty(starts))
        centred, intercept = {}, float(weights[-1])
        for name, start, end, column in zip(NAMES, starts, starts[1:], bins, strict=False):
            mean = float(weights[start:end][column].mean())
            intercept += mean
            centred[name] = [round(float(weight) - mean, 4) for weight in weights[start:end]]
        return cls(round(intercept, 4), {name: places.tolist() for name, places in zip(NAMES, edges, strict=True)}, centred)

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Scorer":
        """Read what `save` wrote; raises ConfigError when the file holds no scorer of these signals."""
        try:
            scorer = cls(**json.loads(path.read_text(encoding="utf-8")))
            sound = all(len(scorer.weights[name]) == len(scorer.edges[name]) + 1 for name in NAMES)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: holds no scorer of the guard: {error}") from None
        if not sound:
            raise ConfigError(f"{path}: holds no scorer of the guard: bins and weights do not match")
        return scorer

    def judge(self, signals: np.ndarray, ignore: Collection[str] = ()) -> tuple[np.ndarray, list[str]]:
        """Of each span of one passage: the probability that it is wrong, and which family of signals speaks loudest against it.

        Families in `ignore` have no say.
        """
        said = self._said(signals)
        heard = [number for number, family in enumerate(FAMILIES) if family not in ignore]
        alone = self._wrong(said[:, [number for number in heard if number != _COMPANY]])
        said[:, _COMPANY] = self._said(_with_company(signals, _company(alone)))[:, _COMPANY]
        return self._wrong(said[:, heard]), [_FAMILIES[heard[loudest]] for loudest in said[:, heard].argmin(axis=1)]

    def _wrong(self, said: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(self.intercept + said.sum(axis=1)))

    def _said(self, signals: np.ndarray) -> np.ndarray:
        """What each family adds to the log-odds of each row."""
        edges, weights = self._arrays
        bins = (signals[:, :, None] >= edges).sum(axis=2)
        return np.add.reduceat(weights[np.arange(len(NAMES)), bins], _FIRST_COLUMNS, axis=1)

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges and weights of all signals side by side, filled up to one length: one look-up for all is many times faster."""
        longest = max(map(len, self.weights.values()))
        edges = [[*self.edges[name], *[np.inf] * (longest - 1 - len(self.edges[name]))] for name in NAMES]
        weights = [[*self.weights[name], *[0.0] * (longest - len(self.weights[name]))] for name in NAMES]
        return np.array(edges), np.array(weights)


def _company(wrong: np.ndarray) -> np.ndarray:
    """How likely the other spans of a passage are wrong, on the average; as likely as usual for one that stands alone."""
    return (wrong.sum() - wrong + _USUALLY_WRONG) / len(wrong) if len(wrong) else wrong


def _with_company(signals: np.ndarray, company: np.ndarray) -> np.ndarray:
    signals = signals.copy()
    signals[:, NAMES.index("others_wrong")] = company
    return signals


def _edges(values: np.ndarray) -> np.ndarray:
    """Where bins begin: evenly over the values, and over the distinct ones, lest a rare signal share the bin of its absence."""
    distinct = np.unique(values)
    if len(distinct) <= _BINS:
        return distinct[1:]
    places = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]), np.quantile(distinct, (0.25, 0.5, 0.75))
    return np.unique(np.concatenate(places).round(4))


def _penalty(starts: np.ndarray) -> np.ndarray:
    """A ridge, and a pull between neighbouring bins, so that a signal's say changes steadily."""
    size = starts[-1] + 1
    penalty = np.eye(size) * _RIDGE
    penalty[-1, -1] = 1e-6
    for start, end in itertools.pairwise(starts):
        for left in range(start, end - 1):
            penalty[left : left + 2, left : left + 2] += _SMOOTHNESS * np.array([[1, -1], [-1, 1]])
    return penalty


def _newton(design: np.ndarray, right: np.ndarray, importance: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    weights = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        share = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (importance * (share - right)) + penalty @ weights
        curve = (design * (importance * share * (1 - share))[:, None]).T @ design + penalty
        weights -= np.linalg.solve(curve, slope)
    return weights
