"""Attention over many sequences of different lengths, packed into one row of tokens without padding.

A transformers model runs as if it read one long text, `input_ids` of shape (1, tokens): its linear layers see real tokens only.
Its attention is ours: every token is written to the place of its own sequence in the cache, and looks at that sequence alone.
transformers' own continuous batching enters its models in the same way (`AttentionInterface`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from ocrray.errors import EngineError

_NAME = "ocrray_packed"
_UNKNOWN_EXTRAS = ("position_bias", "s_aux", "softcap")  # what other attentions add to the plain one


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences whose tokens attend in one call, each padded to the same number of queries.

    `queries` (sequences x queries) are places among the packed tokens, any place where there is no token; `mask` is what is added
    to the scores, (sequences, 1, queries, keys); `kept` are places in the flattened result that stand for tokens, and `tokens`
    where these go among the packed ones. `slots` are the sequences' numbers in the cache, None for all of the first ones.
    """

    queries: torch.Tensor
    mask: torch.Tensor
    kept: torch.Tensor
    tokens: torch.Tensor
    slots: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Packing:
    """The tokens of one forward pass: where each is kept in the cache, and who attends together."""

    places: torch.Tensor
    groups: Sequence[Group]


class KeyValueCache:
    """Keys and values of `slots` sequences of at most `width` tokens each, which may be moved and resized.

    One tensor a layer for keys and one for values, of shape (slots x width, key heads x head size).
    """

    def __init__(self) -> None:
        self.slots = self.width = 0
        self.packing: Packing | None = None
        self._shapes: dict[int, tuple[int, int]] = {}  # layer: key heads, head size
        self._dtype, self._device = torch.float32, torch.device("cpu")
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}

    @property
    def token_bytes(self) -> int:
        """What one token takes in all layers."""
        return sum(2 * heads * size for heads, size in self._shapes.values()) * self._dtype.itemsize

    def attend(self, module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        """Keep (1, key heads, tokens, head size) of one layer, and attend: (1, tokens, heads, head size)."""
        layer, (_, heads, tokens, size) = module.layer_idx, query.shape
        if self.packing is None:  # the decoder's trial pass
            if key.shape != value.shape:
                raise EngineError(f"{type(module).__name__} has values of another size than keys: set engine: padded")
            self._shapes[layer], self._dtype, self._device = (key.shape[1], key.shape[3]), key.dtype, key.device
            return query.transpose(1, 2)
        key_heads = key.shape[1]
        keys, values = self._keys[layer], self._values[layer]
        keys.index_copy_(0, self.packing.places, key.transpose(1, 2).reshape(tokens, -1))
        values.index_copy_(0, self.packing.places, value.transpose(1, 2).reshape(tokens, -1))
        flat = query.transpose(1, 2).reshape(tokens, heads * size)
        output = torch.empty_like(flat)
        for group in self.packing.groups:
            count, length = group.queries.shape
            # The query heads that share a key head stand behind one another as if they were more queries: no key is repeated.
            asked = flat.index_select(0, group.queries.flatten()).view(count, length, key_heads, -1, size)
            asked = asked.permute(0, 2, 3, 1, 4).reshape(count, key_heads, -1, size)
            known = [self._seen(tensor, group, key_heads) for tensor in (keys, values)]
            mask = group.mask if key_heads == heads else group.mask.repeat(1, 1, heads // key_heads, 1)
            seen = scaled_dot_product_attention(asked, *known, attn_mask=mask, scale=scale)
            seen = seen.view(count, key_heads, -1, length, size).permute(0, 3, 1, 2, 4).reshape(count * length, -1)
            output.index_copy_(0, group.tokens, seen.index_select(0, group.kept))
        return output.view(1, tokens, heads, size)

    def _seen(self, tensor: torch.Tensor, group: Group, key_heads: int) -> torch.Tensor:
        count, keys = len(group.queries), group.mask.shape[-1]
        by_slot = tensor.view(self.slots, self.width, key_heads, -1)[:, :keys]
        chosen = by_slot[:count] if group.slots is None else by_slot.index_select(0, group.slots)
        return chosen.transpose(1, 2)

    def resize(self, slots: int, width: int, live: int) -> None:
        """Make room for other numbers; the first `live` sequences keep what they have, as far as it fits.

        Layer by layer, so that no more than one layer is held twice.
        """
        for tensors in (self._keys, self._values):
            for layer, (heads, size) in self._shapes.items():
                # Zeros, because what the mask hides must be finite all the same.
                new = torch.zeros(slots * width, heads * size, dtype=self._dtype, device=self._device)
                if live:
                    kept = min(width, self.width)
                    new.view(slots, width, -1)[:live, :kept] = tensors[layer].view(self.slots, self.width, -1)[:live, :kept]
                tensors[layer] = new
        self.slots, self.width = slots, width

    def move(self, origin: int, slot: int, length: int) -> None:
        """Copy the first `length` tokens of one sequence to another slot."""
        for tensor in (*self._keys.values(), *self._values.values()):
            by_slot = tensor.view(self.slots, self.width, -1)
            by_slot[slot, :length] = by_slot[origin, :length]

    def start(self, length: int) -> list[torch.Tensor]:
        """A copy of the first `length` tokens of the first sequence, to be given to `share`."""
        return [tensor[:length].clone() for tensor in (*self._keys.values(), *self._values.values())]

    def share(self, start: Sequence[torch.Tensor], slots: torch.Tensor) -> None:
        """Begin the sequences in `slots` with the tokens of `start`."""
        for tensor, beginning in zip((*self._keys.values(), *self._values.values()), start, strict=True):
            tensor.view(self.slots, self.width, -1)[slots, : len(beginning)] = beginning

    def clear(self) -> None:
        """Let all memory go."""
        self._keys.clear()
        self._values.clear()
        self.slots = self.width = 0


def attach(model: Any, cache: KeyValueCache) -> None:
    """Make `cache` the attention of `model`, for good; raises EngineError for a model whose attention cannot be replaced."""
    if problem := unsupported(model):
        raise EngineError(problem)
    AttentionInterface.register(_NAME, _forward)
    layers = [module for module in model.modules() if hasattr(module, "layer_idx")]
    if model.config.model_type == "gptj":  # keeps to a function of its own, with the same arguments
        layers = [block.attn for block in model.transformer.h]
        for layer in layers:
            layer._attn = _gptj_attention(layer)
    else:
        model.set_attn_implementation(_NAME)
    for layer in layers:
        layer.ocrray_cache = cache


def unsupported(model: Any) -> str:
    """Why the attention of `model` cannot be replaced, or nothing."""
    name = type(model).__name__
    config = model.config.get_text_config()
    if config.is_encoder_decoder:
        return f"{name} has an encoder of its own: set engine: padded"
    if not (model._supports_attention_backend or config.model_type == "gptj"):
        return f"{name} cannot be decoded from its source: set engine: padded"
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if other := kinds - {"full_attention", "sliding_attention"}:
        return f"{name} has layers of {', '.join(sorted(other))}: set engine: padded"
    return ""


def context_limit(model: Any) -> int | None:
    """How many tokens a sequence may have for its attention to be a plain one, None for any number.

    A sliding window changes nothing before it slides, nor does RoPE that is rescaled for long texts ("dynamic", "longrope").
    """
    config = model.config.get_text_config()
    slides = getattr(config, "use_sliding_window", True) and getattr(config, "sliding_window", None)
    rope = getattr(config, "rope_parameters", None) or {}
    rescaled = rope.get("original_max_position_embeddings") if rope.get("rope_type") in ("dynamic", "longrope") else None
    return min((limit for limit in (slides, rescaled) if limit), default=None)


def _forward(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **settings: Any) -> tuple:
    if extras := [name for name in _UNKNOWN_EXTRAS if settings.get(name) is not None]:
        raise EngineError(f"{type(module).__name__} attends with {', '.join(extras)}: set engine: padded")
    return module.ocrray_cache.attend(module, query, key, value, settings.get("scaling")), None


def _gptj_attention(layer: Any) -> Any:
    def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any) -> tuple:
        output = layer.ocrray_cache.attend(layer, query, key, value, 1 / float(layer.scale_attn))
        return output.transpose(1, 2), None

    return attention
