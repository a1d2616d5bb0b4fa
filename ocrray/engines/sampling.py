"""Sampling that can be repeated: what a row draws hangs on its own seed, whatever else is in its batch."""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper


class SeededDraws(LogitsProcessor):
    """Draws each row's next token and rules out all others, so that greedy generation takes it; for one call of `generate`.

    Every row has `max_new_tokens` random numbers of its own, made from its seed on the CPU whatever the model runs on.
    """

    def __init__(self, seeds: Sequence[int], *, max_new_tokens: int, temperature: float, top_p: float) -> None:
        self._warpers = (TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p))
        numbers = [
            torch.rand(max_new_tokens, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds
        ]
        self._numbers = iter(torch.stack(numbers, dim=1))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        cumulated = scores.softmax(-1, dtype=torch.float64).cumsum(-1)
        number = next(self._numbers).to(scores.device)[:, None] * cumulated[:, -1:]
        drawn = torch.searchsorted(cumulated, number, right=True)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)
