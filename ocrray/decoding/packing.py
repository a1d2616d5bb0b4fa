"""Where the tokens of one forward pass go, as arrays.

Three sequences of 7, 4 and 0 known tokens, which add 1 + 2 drafted, 1 + 1 drafted, and a prompt of 5:

    packed tokens   a7 a8 a9  b4 b5  c0 c1 c2 c3 c4
    positions        7  8  9   4  5   0  1  2  3  4
    places in the cache: slot x width + position

Sequences that add about as few tokens as a draft attend in one call, those that read a prompt in another.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ocrray.decoding.attention import Group, Packing


@dataclass(frozen=True, slots=True)
class Layout:
    """`positions` (tokens) of the packed tokens in their sequences, and how they attend."""

    positions: torch.Tensor
    packing: Packing


def lay_out(known: np.ndarray, added: np.ndarray, width: int, few: int, dtype: torch.dtype, device: torch.device) -> Layout:
    """The layout of sequences that `known` tokens (one number a slot) are cached of, and `added` are read of now, maybe none.

    At most `few` added tokens attend with one another's kind; `width` is the cache's.
    """
    slot = np.repeat(np.arange(len(added)), added)
    within = np.arange(len(slot)) - np.repeat(np.cumsum(added) - added, added)
    positions = known[slot] + within
    short = added <= few
    groups = []
    if (short & (added > 0)).any():
        groups.append(_group(known, np.where(short, added, 0), added, None, dtype, device))
    if not short.all():
        slots = np.flatnonzero(~short)
        groups.append(_group(known, added, added, slots, dtype, device))
    places = torch.from_numpy(slot * width + positions).to(device)
    return Layout(torch.from_numpy(positions).to(device), Packing(places, groups))


def _group(
    known: np.ndarray,
    attending: np.ndarray,
    added: np.ndarray,
    slots: np.ndarray | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Group:
    first = np.cumsum(added) - added
    if slots is not None:
        known, attending, first = known[slots], attending[slots], first[slots]
    longest = attending.max()
    query = np.arange(longest)
    last = np.maximum(attending - 1, 0)[:, None]
    nearest = np.minimum(query, last)  # a query where there is no token repeats the sequence's last one: no row is without keys
    present = query < attending[:, None]
    positions = torch.from_numpy(np.where(attending[:, None] > 0, known[:, None] + nearest, 0))
    keys = int(positions.max()) + 1
    hidden = torch.arange(keys) > positions[:, None, :, None]
    mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)
    queries = np.where(attending[:, None] > 0, first[:, None] + nearest, 0)
    arrays = (queries, np.flatnonzero(present), queries[present])
    asked, kept, tokens = (torch.from_numpy(array).to(device) for array in arrays)
    return Group(asked, mask.to(device), kept, tokens, None if slots is None else torch.from_numpy(slots).to(device))
