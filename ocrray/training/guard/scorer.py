"""Fit the guard's additive logistic scorer with scikit-learn; at run time numpy alone evaluates it."""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.linear_model import LogisticRegression

from ocrray.errors import ConfigError
from ocrray.guard.labels import LabelledSpans
from ocrray.guard.scorer import Scorer, mean_neighbours_wrong, with_neighbours_wrong
from ocrray.guard.signals import NAMES

_BINS = 12
_RIDGE, _SMOOTHNESS = 3.0, 10.0  # penalties on the squared weight of a bin, and on its squared difference from the next bin's
_TOLERANCE = 1e-9  # on the mean gradient; weights are stored with four decimals


def fit_scorer(spans: LabelledSpans) -> Scorer:
    """Fit a scorer that separates spans with a positive gain from the others, weighted by the size of the gain.

    Raises: ConfigError: when all spans have the same label, so that there is nothing to separate.
    """
    right = spans.gains > 0
    if not right.any() or right.all():
        raise ConfigError(f"nothing to fit: {'all' if len(right) and right.all() else 'none'} of {len(right)} spans are right")
    first_pass = _fit(spans.signals, right, spans.sample_weights)
    bounds = np.cumsum(spans.passage_spans)[:-1]
    wrong = np.split(first_pass.score_without_neighbours(spans.signals), bounds)
    neighbours_wrong = np.concatenate([mean_neighbours_wrong(passage) for passage in wrong])
    return _fit(with_neighbours_wrong(spans.signals, neighbours_wrong), right, spans.sample_weights)


def _fit(signals: NDArray[np.float64], right: NDArray[np.bool_], sample_weights: NDArray[np.float64]) -> Scorer:
    edges = [_bin_edges(column) for column in signals.T]
    bins = [np.searchsorted(lower, column, side="right") for lower, column in zip(edges, signals.T, strict=True)]
    starts = np.cumsum([0, *(len(lower) + 1 for lower in edges)])
    design = np.zeros((len(right), starts[-1]))
    for start, column in zip(starts[:-1], bins, strict=True):
        design[np.arange(len(right)), start + column] = 1
    weights, intercept = _logistic_regression(design, right, sample_weights, _penalty(starts))
    centred = {}
    for name, start, end, column in zip(NAMES, starts[:-1], starts[1:], bins, strict=True):
        mean = float(weights[start:end][column].mean())
        intercept += mean
        centred[name] = [round(float(weight) - mean, 4) for weight in weights[start:end]]
    return Scorer(round(intercept, 4), {name: lower.tolist() for name, lower in zip(NAMES, edges, strict=True)}, centred)


def _bin_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quantiles of the values and of the distinct values, so that a rare signal has a bin apart from its absence."""
    distinct = np.unique(values)
    if len(distinct) <= _BINS:
        return distinct[1:]
    quantiles = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]), np.quantile(distinct, (0.25, 0.5, 0.75))
    return np.unique(np.concatenate(quantiles).round(4))


def _penalty(starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the penalty matrix P of `w.T @ P @ w / 2`: a ridge, and a difference penalty between neighbouring bins."""
    penalty = np.eye(starts[-1]) * _RIDGE
    for start, end in itertools.pairwise(starts):
        for left in range(start, end - 1):
            penalty[left : left + 2, left : left + 2] += _SMOOTHNESS * np.array([[1, -1], [-1, 1]])
    return penalty


def _logistic_regression(
    design: NDArray[np.float64], right: NDArray[np.bool_], sample_weights: NDArray[np.float64], penalty: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return (weights, intercept) of a logistic regression with a quadratic penalty on the weights.

    scikit-learn knows the plain ridge alone: with penalty = L @ L.T, a ridge on v = L.T @ w is the penalty on w.
    """
    lower = np.linalg.cholesky(penalty)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=_TOLERANCE)
    model.fit(solve_triangular(lower, design.T, lower=True).T, right, sample_weight=sample_weights)
    weights: NDArray[np.float64] = solve_triangular(lower, model.coef_[0], lower=True, trans="T")
    return weights, float(model.intercept_[0])
