"""Index tensors of one forward pass over sequences of different lengths, packed into one row without padding.

Three sequences of 7, 4 and 0 cached tokens, which add 1 token + 2 drafted, 1 + 1 drafted, and a prompt of 5:

    packed tokens   a7 a8 a9  b4 b5  c0 c1 c2 c3 c4
    positions        7  8  9   4  5   0  1  2  3  4
    cache rows      slot x width + position

Sequences that add at most as many tokens as a draft attend in one call, those that read a longer piece of prompt in another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Sequences that attend in one call, each padded to the same number of queries."""

    queries: torch.Tensor
    """Indices of packed tokens, (sequences, queries), int64; arbitrary where a sequence has fewer queries."""
    mask: torch.Tensor
    """Bias added to the attention scores, (sequences, 1, queries, keys): 0 or -inf, in the model's dtype."""
    valid_rows: torch.Tensor
    """Rows of the flattened result (sequences x queries) that belong to tokens, (tokens,), int64."""
    tokens: torch.Tensor
    """Indices of the packed tokens of these rows, (tokens,), int64."""
    slots: torch.Tensor | None
    """Cache slots of the sequences, (sequences,), int64; None for the first ones in order."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions, cache rows and attention groups of the tokens of one forward pass."""

    positions: torch.Tensor
    """Position of each packed token in its sequence, (tokens,), int64, or as the model counts them, (axes, tokens)."""
    cache_rows: torch.Tensor
    """Row of the cache to which each packed token is written, (tokens,), int64."""
    groups: Sequence[AttentionGroup]


def make_layout(
    cached: np.ndarray,
    added: np.ndarray,
    width: int,
    max_short: int,
    dtype: torch.dtype,
    device: torch.device,
    open_prefixes: np.ndarray | None = None,
) -> Layout:
    """Return the layout for sequences with `cached` known and `added` new tokens.

    Args:
        cached: tokens in the cache per slot, (slots,), int64.
        added: tokens to process per slot, (slots,), int64; may be 0.
        width: tokens per slot of the cache.
        max_short: sequences that add at most this many tokens attend together.
        dtype: dtype of the masks.
        device: device of all tensors.
        open_prefixes: leading tokens per slot that every token of the sequence attends to, earlier or later, (slots,), int64;
            a pass has to add all of them or none.
    """
    open_prefixes = np.zeros_like(cached) if open_prefixes is None else open_prefixes
    slot = np.repeat(np.arange(len(added)), added)
    within = np.arange(len(slot)) - np.repeat(np.cumsum(added) - added, added)
    positions = cached[slot] + within
    short = added <= max_short
    groups = []
    if (short & (added > 0)).any():
        groups.append(_group(cached, np.where(short, added, 0), added, None, open_prefixes, dtype, device))
    if not short.all():
        slots = np.flatnonzero(~short)
        groups.append(_group(cached, added, added, slots, open_prefixes, dtype, device))
    cache_rows = torch.from_numpy(slot * width + positions).to(device)
    return Layout(torch.from_numpy(positions).to(device), cache_rows, groups)


def _group(
    cached: np.ndarray,
    attending: np.ndarray,
    added: np.ndarray,
    slots: np.ndarray | None,
    open_prefixes: np.ndarray,
    dtype: torch.dtype,
    device: torch.device,
) -> AttentionGroup:
    """Return the group of `slots` (None: all) in which each sequence has `attending` queries, 0 or as many as it adds."""
    first = np.cumsum(added) - added
    if slots is not None:
        cached, attending, first, open_prefixes = cached[slots], attending[slots], first[slots], open_prefixes[slots]
    query = np.arange(attending.max())
    last = np.maximum(attending - 1, 0)[:, None]
    nearest = np.minimum(query, last)  # padding repeats the last query: a row in which every key is masked would be NaN
    present = query < attending[:, None]
    positions = torch.from_numpy(np.where(attending[:, None] > 0, cached[:, None] + nearest, 0))
    keys = int(positions.max()) + 1
    key = torch.arange(keys)
    hidden = (key > positions[:, None, :, None]) & (key >= torch.from_numpy(open_prefixes)[:, None, None, None])
    mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)
    queries = np.where(attending[:, None] > 0, first[:, None] + nearest, 0)
    arrays = (queries, np.flatnonzero(present), queries[present])
    indices, valid_rows, tokens = (torch.from_numpy(array).to(device) for array in arrays)
    group_slots = None if slots is None else torch.from_numpy(slots).to(device)
    return AttentionGroup(indices, mask.to(device), valid_rows, tokens, group_slots)
