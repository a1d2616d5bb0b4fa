"""Set of string keys at about eight bytes a key."""

from collections.abc import Sequence

import numpy as np


class SeenKeys:
    """Set of keys, of each of which only a 64-bit hash is kept, in a few sorted runs.

    Two different keys are taken for the same with a probability of n² / 2⁶⁵: one in 37 million for a million keys.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def __contains__(self, key: str) -> bool:
        return bool(self.contains([key])[0])

    def contains(self, keys: Sequence[str]) -> np.ndarray:
        """Return a boolean for each key: True if it was added before."""
        return self._contains(_hashes(keys))

    def add(self, keys: Sequence[str]) -> np.ndarray:
        """Add the keys; return a boolean for each: True if it is new, and not a repetition within `keys`."""
        hashes = _hashes(keys)
        is_new = np.zeros(len(hashes), dtype=bool)
        unique, positions = np.unique(hashes, return_index=True)
        known = self._contains(unique)
        is_new[positions[~known]] = True
        self._add(unique[~known])
        return is_new

    def _contains(self, hashes: np.ndarray) -> np.ndarray:
        found = np.zeros(len(hashes), dtype=bool)
        for run in self._runs:
            places = np.searchsorted(run, hashes)
            found |= run[np.minimum(places, len(run) - 1)] == hashes
        return found

    def _add(self, run: np.ndarray) -> None:
        if not len(run):
            return
        # Merging only runs of similar size keeps their number logarithmic, and moves each key a logarithmic number of times.
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)


def _hashes(keys: Sequence[str]) -> np.ndarray:
    return np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
