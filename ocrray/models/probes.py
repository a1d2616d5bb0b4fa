"""Comparison of two computations of one model by what they predict after the same tokens."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

# Relative difference of the logits of a token. Rounding makes some 1e-6 in float32; in half precision it makes 0.01 in published
# models and up to 0.08 in small ones with large random weights.
_MAX_DIFFERENCE = 1e-3
_MAX_DIFFERENCE_HALF = 0.15


def spread_tokens(config: "PreTrainedConfig", rows: int, count: int) -> list[int]:
    """Return up to `count` token ids from all over a vocabulary of `rows`, without those that mark ends, images or sounds."""
    marks = {
        value for name, value in config.to_dict().items() if name.endswith(("token_id", "token_index")) if isinstance(value, int)
    }
    last = max(rows - 1, 1)
    return [token for token in (1 + (last - 1) * number // count for number in range(count)) if token not in marks]


def is_close(before: "torch.Tensor", after: "torch.Tensor", dtype: "torch.dtype") -> bool:
    """Compare logits (tokens, vocabulary) token by token; in half precision (`dtype`) the median token decides.

    There, rounding may send a single token to other experts.
    """
    size = (before - before.mean(-1, keepdim=True)).norm(dim=-1)
    apart = (after - before).norm(dim=-1) / size.clamp(min=1e-6)
    return bool(apart.max() <= _MAX_DIFFERENCE) if dtype.itemsize >= 4 else bool(apart.median() <= _MAX_DIFFERENCE_HALF)
