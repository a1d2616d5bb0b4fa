"""Several samples end to end in one row, each blind to the others, so that hardly a token of a batch is padding."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import numpy as np

from ocrray.training.tasks import NO_LOSS

# Architectures whose attention is told by position ids that begin again where a sample ends (tests/test_training_packing.py).
_KEEP_BOUNDARIES = ("gpt2", "gpt_neox", "gptj", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3")


def keeps_boundaries(model_type: str) -> bool:
    """Whether models of this architecture see each packed sample by itself."""
    return model_type in _KEEP_BOUNDARIES


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Positions in `lengths`, each once, in groups whose lengths add up to at most `capacity`: the best fit, longest first.

    A length beyond `capacity` is a group of its own.
    """
    groups: list[list[int]] = []
    open_groups: dict[int, list[int]] = {}  # by what still fits
    rooms: list[int] = []  # the keys of open_groups, ascending
    for position in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist():
        length = int(lengths[position])
        place = bisect_left(rooms, length)
        if place == len(rooms):
            group, room = len(groups), capacity
            groups.append([])
        else:
            room = rooms[place]
            group = open_groups[room].pop()
            if not open_groups[room]:
                del open_groups[room], rooms[place]
        groups[group].append(position)
        if (left := room - length) > 0:
            if left not in open_groups:
                insort(rooms, left)
            open_groups.setdefault(left, []).append(group)
    return groups


class Packed:
    """A map-style dataset whose items are groups of the samples of another, laid end to end."""

    def __init__(self, samples: Any, lengths: Sequence[int], capacity: int) -> None:
        self._samples = samples
        self._groups = pack(lengths, capacity)
        self.lengths = np.array([sum(lengths[position] for position in group) for group in self._groups])

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        """Token ids, labels and, beginning anew with each sample, position ids."""
        samples = [self._samples[position] for position in self._groups[number]]
        labels = [np.array(sample["labels"]) for sample in samples]
        for one in labels:
            one[0] = NO_LOSS  # or the sample before would have to foretell it
        return {
            "input_ids": np.concatenate([sample["input_ids"] for sample in samples]),
            "labels": np.concatenate(labels),
            "position_ids": np.concatenate([np.arange(len(one)) for one in labels]),
        }
