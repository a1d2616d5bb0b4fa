"""Sampling that can be repeated: what a text draws hangs on its own seed, whatever is decoded beside it."""

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper


def numbers(seed: int, count: int) -> torch.Tensor:
    """The `count` random numbers in 0..1 of one text, float64, made on the CPU whatever the model runs on."""
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def drawn(scores: torch.Tensor, number: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The tokens (rows, 1) that `number` (rows) draws from the logits `scores` (rows, vocabulary)."""
    for warper in (TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)):
        scores = warper(None, scores)
    cumulated = scores.softmax(-1, dtype=torch.float64).cumsum(-1)
    return torch.searchsorted(cumulated, number.to(scores.device)[:, None] * cumulated[:, -1:], right=True)
