"""Token probabilities, and sampling from a request's own random numbers, so that a batch never affects its members."""

from dataclasses import dataclass

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from ocrray.decoding.requests import Request

_FLOAT32_ROWS = 256  # rows of logits converted at once: 130 MB for the 128,256 tokens of Llama 3


@dataclass(frozen=True, slots=True)
class Sampler:
    """Sampling settings of one request, with a random number for each token of its output."""

    temperature: float
    top_p: float
    uniforms: torch.Tensor
    """Shape (max_new_tokens,), float64, in [0, 1)."""


def sampler_for(request: Request) -> Sampler | None:
    """Return the sampler of a request, None for greedy decoding."""
    if (sampling := request.sampling) is None:
        return None
    return Sampler(sampling.temperature, sampling.top_p, uniforms(sampling.seed, request.max_new_tokens))


def token_probabilities(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the probability of `tokens` (rows,) under `logits` (rows, vocabulary): (rows,), float32, on the CPU."""
    blocks = zip(torch.split(logits, _FLOAT32_ROWS), torch.split(tokens[:, None], _FLOAT32_ROWS), strict=True)
    return torch.cat([block.float().log_softmax(-1).gather(-1, chosen)[:, 0].exp() for block, chosen in blocks]).cpu()


def uniforms(seed: int, count: int) -> torch.Tensor:
    """Return `count` random numbers in [0, 1), float64, from the CPU's generator on every device."""
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sample_tokens(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Sample one token a row from `logits` (rows, vocabulary) by inverse transform of `uniform` (rows,): (rows, 1), int64."""
    for warper in (TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)):
        logits = warper(None, logits)
    cumulative = logits.softmax(-1, dtype=torch.float64).cumsum(-1)
    return torch.searchsorted(cumulative, uniform.to(logits.device)[:, None] * cumulative[:, -1:], right=True)
