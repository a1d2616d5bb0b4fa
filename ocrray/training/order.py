"""Order of the samples of a run."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

_STEPS_SORTED_TOGETHER = 50


class SampleOrder(Sampler[int]):
    """Positions of all samples in the order of one epoch, a pure function of seed and epoch, so that a run can be resumed.

    With `grouping` "length", the samples of one optimizer step are of similar length, and the longest come first, so that too
    little memory is noticed at once; with "rows", they stay in their order but for a shuffle of a few steps; else their order is
    random. `lengths` are in tokens; `step_samples` is the number of samples of one optimizer step over all workers.
    """

    def __init__(self, lengths: np.ndarray, step_samples: int, seed: int, grouping: str) -> None:
        self._lengths = lengths
        self._step_samples = step_samples
        self._seed = seed
        self._grouping = grouping
        self._epoch = 0
        self._counted: tuple[int, np.ndarray] = (-1, lengths[:0])

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch; the last one may have fewer samples."""
        return -(-len(self._lengths) // self._step_samples)

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch, from 0, whose order is iterated."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions(self._epoch).tolist())

    def tokens_seen(self, step: int) -> int:
        """Return the tokens of all samples of the first `step` optimizer steps, without padding."""
        epoch, steps = divmod(step, self.steps_per_epoch)
        if epoch != self._counted[0]:
            self._counted = epoch, np.cumsum(self._lengths[self._positions(epoch)])
        seen = self._counted[1][steps * self._step_samples - 1] if steps else 0
        return int(epoch * self._counted[1][-1] + seen)

    def _positions(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self._seed, epoch))
        positions = rng.permutation(len(self._lengths))
        if self._grouping not in ("length", "rows"):
            return positions
        if self._grouping == "rows":
            return positions[np.argsort(positions // (_STEPS_SORTED_TOGETHER * self._step_samples), kind="stable")]
        span = np.arange(len(positions)) // (_STEPS_SORTED_TOGETHER * self._step_samples)
        positions = positions[np.lexsort((-self._lengths[positions], span))]
        full = len(positions) // self._step_samples * self._step_samples
        steps = positions[:full].reshape(-1, self._step_samples)
        rng.shuffle(steps)
        if len(steps):
            longest = self._lengths[steps].max(axis=1).argmax()
            steps[[0, longest]] = steps[[longest, 0]]
        return np.concatenate([steps.reshape(-1), positions[full:]])
