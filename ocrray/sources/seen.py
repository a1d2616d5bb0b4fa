"""Which of many strings came before, at about eight bytes a string."""

from collections.abc import Sequence

import numpy as np


class Seen:
    """Remembers 64-bit hashes in sorted runs, merged so that there are only a few: about 8 bytes a key and no limit but memory.

    Two different keys are taken for one with a chance of n² / 2⁶⁵: one in 37 million for a million keys.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def __contains__(self, key: str) -> bool:
        return bool(self.contains([key])[0])

    def contains(self, keys: Sequence[str]) -> np.ndarray:
        """A boolean for each key: whether `first` was ever given it."""
        return self._contains(_hashes(keys))

    def first(self, keys: Sequence[str]) -> np.ndarray:
        """A boolean for each key: whether this is the first time it comes, here or in any earlier call."""
        hashes = _hashes(keys)
        fresh = np.zeros(len(hashes), dtype=bool)
        unique, positions = np.unique(hashes, return_index=True)
        known = self._contains(unique)
        fresh[positions[~known]] = True
        self._add(unique[~known])
        return fresh

    def _contains(self, hashes: np.ndarray) -> np.ndarray:
        found = np.zeros(len(hashes), dtype=bool)
        for run in self._runs:
            places = np.searchsorted(run, hashes)
            found |= run[np.minimum(places, len(run) - 1)] == hashes
        return found

    def _add(self, run: np.ndarray) -> None:
        if not len(run):
            return
        # Merging only runs of like size keeps their number logarithmic, and each key is moved that often at most.
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)


def _hashes(keys: Sequence[str]) -> np.ndarray:
    return np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
