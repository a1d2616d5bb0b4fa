"""Packing: several samples end to end in one row, attention kept apart, so that hardly a token of a batch is padding."""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ocrray.training.samples import NO_LOSS

# Architectures whose attention is limited by position ids that restart with each sample (tests/test_training_packing.py).
_KEEP_BOUNDARIES = ("gpt2", "gpt_neox", "gptj", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3")


class SampleData(Protocol):
    """Map-style dataset of samples: a memory-mapped `datasets.Dataset`, or `Packed`."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Mapping[str, Any]: ...


def keeps_boundaries(model_type: str) -> bool:
    """Return True for architectures in which no packed sample attends to another."""
    return model_type in _KEEP_BOUNDARIES


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Group the positions of `lengths` so that the lengths of a group sum to at most `capacity`: best fit, longest first.

    Each position occurs once; a length beyond `capacity` is a group of its own.
    """
    groups: list[list[int]] = []
    open_groups: dict[int, list[int]] = {}  # by the length that still fits
    rooms: list[int] = []  # keys of open_groups, ascending
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
    """Map-style dataset whose items are groups of the samples of another, end to end."""

    def __init__(self, samples: SampleData, lengths: Sequence[int], capacity: int) -> None:
        self._samples = samples
        self._groups = pack(lengths, capacity)
        self.lengths = np.array([sum(lengths[position] for position in group) for group in self._groups])

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        """Return `input_ids`, `labels` and `position_ids`, which restart with each sample."""
        samples = [self._samples[position] for position in self._groups[number]]
        labels = [np.array(sample["labels"]) for sample in samples]
        for one in labels:
            one[0] = NO_LOSS  # else the sample before would have to predict it
        return {
            "input_ids": np.concatenate([sample["input_ids"] for sample in samples]),
            "labels": np.concatenate(labels),
            "position_ids": np.concatenate([np.arange(len(one)) for one in labels]),
        }
