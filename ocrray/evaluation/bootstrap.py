"""How far figures may be from what other records of the same kind would have given, and whether two systems differ.

Records (or documents, where it is known which record belongs to which) are drawn anew, with replacement, as often as there are;
the interval holds the middle of what the figures then are (percentile bootstrap: Efron and Tibshirani, 1993).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ocrray.evaluation.figures import FIGURES, Sums

MAX_UNITS = 20_000
"""More records than this are first put, at random, into so many lots that are drawn whole: the spread of sums stays the same."""
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle `confidence` of a figure's resamples."""

    low: float
    high: float


class Resampling:
    """The same draws for every figure and for both of two systems; `units` says which unit each record belongs to, from 0."""

    def __init__(self, units: np.ndarray, *, resamples: int, confidence: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._confidence = confidence
        known = int(units.max(initial=-1)) + 1
        lot = self._rng.permutation(known) % MAX_UNITS if known > MAX_UNITS else np.arange(known)
        self._unit_of = lot[units] if len(units) else units
        self._units = min(known, MAX_UNITS)
        self._resamples = resamples
        self._draws_seed = int(self._rng.integers(1 << 62))

    def sums(self, values: Mapping[str, np.ndarray]) -> Sums:
        """The sums over the records of each resample: an array of `resamples` for each name."""
        table = np.stack(
            [np.bincount(self._unit_of, weights=column, minlength=self._units) for column in values.values()], axis=1
        )
        rng = np.random.default_rng(self._draws_seed)
        at_once = max(1, _CELLS_AT_ONCE // max(1, self._units))
        parts = []
        for first in range(0, self._resamples, at_once):
            rows = min(at_once, self._resamples - first)
            drawn = rng.integers(self._units, size=(rows, self._units)) if self._units else np.zeros((rows, 0), np.int64)
            times = np.stack([np.bincount(row, minlength=self._units) for row in drawn])
            parts.append(times @ table)
        return dict(zip(values, np.concatenate(parts).T, strict=True))

    def interval(self, resampled: np.ndarray) -> Interval | None:
        """The interval of a figure's resamples; None where some have no such figure, or all the same: that shows no spread."""
        if not len(resampled) or np.isnan(resampled).any() or np.ptp(resampled) < 1e-12:
            return None
        tail = (1 - self._confidence) / 2
        return Interval(*(float(end) for end in np.quantile(resampled, [tail, 1 - tail])))

    def of_none_or_all(self, whole: np.ndarray, share: float) -> Interval:
        """The interval of a share of 0 or 1 of the records that `whole` marks, where every resample says the same.

        Exact for independent units, each counting once (Clopper and Pearson, 1934): none among few is no proof of never.
        """
        edge = ((1 - self._confidence) / 2) ** (1 / np.count_nonzero(self._by_unit(whole)))
        return Interval(0.0, 1 - edge) if share == 0 else Interval(edge, 1.0)

    def p_value(self, differences: np.ndarray, permutations: int) -> float:
        """How often chance alone, swapping the two systems in every unit or not, makes the sum as large as it is.

        `differences` holds one number a record. Two-sided approximate randomisation (Noreen, 1989), the observed one counted in.
        """
        by_unit = self._by_unit(differences)
        by_unit = by_unit[by_unit != 0]
        observed = abs(by_unit.sum())
        rng, extreme = np.random.default_rng(self._draws_seed), 0
        at_once = max(1, _CELLS_AT_ONCE // max(1, len(by_unit)))
        for first in range(0, permutations, at_once):
            signs = rng.integers(2, size=(min(at_once, permutations - first), len(by_unit)), dtype=np.int8) * 2 - 1
            extreme += int((np.abs(signs @ by_unit) >= observed - 1e-9).sum())
        return (extreme + 1) / (permutations + 1)

    def _by_unit(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._unit_of, weights=values, minlength=self._units)


def totals(values: Mapping[str, np.ndarray]) -> Sums:
    """The sums over all records."""
    return {name: column.sum() for name, column in values.items()}


def figures_of(sums: Sums, names: Sequence[str] = tuple(FIGURES)) -> dict[str, np.ndarray]:
    """The figures that these sums give."""
    return {name: FIGURES[name].of(sums) for name in names}
