"""How likely tokens are, and sampling that can be repeated: what a text draws hangs on its own seed, not on what is beside it."""

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

_ROWS = 256  # of logits that are held in float32 at once: 130 MB for the 128,256 tokens of Llama 3


def likelihoods(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The probability of each of `tokens` (rows), by logits (rows, vocabulary): float32, 0..1, on the CPU."""
    pairs = zip(logits.split(_ROWS), tokens[:, None].split(_ROWS), strict=True)
    return torch.cat([some.float().log_softmax(-1).gather(-1, chosen)[:, 0].exp() for some, chosen in pairs]).cpu()


def numbers(seed: int, count: int) -> torch.Tensor:
    """The `count` random numbers in 0..1 of one text, float64, made on the CPU whatever the model runs on."""
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def drawn(scores: torch.Tensor, number: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The tokens (rows, 1) that `number` (rows) draws from the logits `scores` (rows, vocabulary)."""
    for warper in (TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)):
        scores = warper(None, scores)
    cumulated = scores.softmax(-1, dtype=torch.float64).cumsum(-1)
    return torch.searchsorted(cumulated, number.to(scores.device)[:, None] * cumulated[:, -1:], right=True)
