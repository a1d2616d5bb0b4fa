"""Attention of packed sequences: a transformers model gets one row of tokens, and each token attends to its own sequence.

Linear layers thus process no padding. transformers' own continuous batching hooks into models in the same way
(`AttentionInterface`).
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.models.gptj.modeling_gptj import GPTJAttention

from ocrray.decoding.cache import KeyValueCache
from ocrray.decoding.layout import AttentionGroup, Layout
from ocrray.errors import EngineError
from ocrray.models.types import LanguageModel

_NAME = "ocrray_packed"
_UNSUPPORTED_ARGUMENTS = ("position_bias", "s_aux", "softcap")  # extensions of the plain attention in some models


class PackedAttention:
    """Replacement for the attention of all layers of one model; set `layout` before each forward pass.

    Without a layout a forward pass only registers the layers' shapes in the cache.
    """

    def __init__(self, cache: KeyValueCache) -> None:
        self.layout: Layout | None = None
        self._cache = cache

    def attend(self, module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        """Store keys and values of the new tokens and attend to each token's own sequence.

        `query` is (1, heads, tokens, size), `key` and `value` are (1, key heads, tokens, size); returns (1, tokens, heads, size).

        Raises:
            EngineError: when keys and values have different sizes, or the layer attends more than once.
        """
        layer, (_, heads, tokens, size) = module.layer_idx, query.shape
        if self.layout is None:
            if key.shape != value.shape:
                raise EngineError(f"{type(module).__name__} has values of another size than keys: set engine: padded")
            if not self._cache.add_layer(layer, key):
                raise EngineError(f"{type(module).__name__} attends more than once in a layer: set engine: padded")
            return query.transpose(1, 2)
        key_heads = key.shape[1]
        new_keys, new_values = (new.transpose(1, 2).reshape(tokens, -1) for new in (key, value))
        self._cache.write(layer, self.layout.cache_rows, new_keys, new_values)
        flat = query.transpose(1, 2).reshape(tokens, heads * size)
        output = torch.empty_like(flat)
        for group in self.layout.groups:
            rows = self._attend_group(layer, group, flat, key_heads, size, scale)
            output.index_copy_(0, group.tokens, rows.index_select(0, group.valid_rows))
        return output.view(1, tokens, heads, size)

    def _attend_group(
        self, layer: int, group: AttentionGroup, query: torch.Tensor, key_heads: int, size: int, scale: float
    ) -> torch.Tensor:
        """Return the output (sequences x queries, heads x size) of one group for packed queries (tokens, heads x size)."""
        count, length = group.queries.shape
        shared = query.shape[1] // (key_heads * size)  # query heads per key head
        # Query heads that share a key head are laid out as further queries, so that no key has to be repeated.
        queries = query.index_select(0, group.queries.flatten()).view(count, length, key_heads, shared, size)
        queries = queries.permute(0, 2, 3, 1, 4).reshape(count, key_heads, shared * length, size)
        keys, values = self._cache.read(layer, count, group.mask.shape[-1], key_heads, group.slots)
        mask = group.mask if shared == 1 else group.mask.repeat(1, 1, shared, 1)
        output = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scale)
        return output.view(count, key_heads, shared, length, size).permute(0, 3, 1, 2, 4).reshape(count * length, -1)


def attach(model: LanguageModel, attention: PackedAttention) -> None:
    """Replace the attention of `model`, of which nothing is `unsupported`, permanently."""
    AttentionInterface.register(_NAME, _forward)
    decoder = _text_decoder(model)
    layers: list[Any] = [module for module in decoder.modules() if hasattr(module, "layer_idx")]
    if model.config.model_type == "gptj":  # does not use AttentionInterface, but a method with the same arguments
        layers = [module for module in model.modules() if isinstance(module, GPTJAttention)]
        for layer in layers:
            layer._attn = _gptj_forward(layer)
    else:
        decoder.set_attn_implementation(_NAME)
    for layer in layers:
        layer.ocrray_attention = attention


def _text_decoder(model: LanguageModel) -> Any:
    """Return the part that writes of a model of text and images, whose images keep their attention; else `model` itself."""
    return model.get_decoder() if hasattr(model.config, "vision_config") else model


def unsupported(model: LanguageModel) -> str:
    """Describe why the attention of `model` cannot be replaced; empty if it can."""
    name = type(model).__name__
    config = model.config.get_text_config()
    if config.is_encoder_decoder:
        return f"{name} has an encoder of its own: set engine: padded"
    if not (getattr(model, "_supports_attention_backend", False) or config.model_type == "gptj"):
        return f"{name} cannot be decoded from its source: set engine: padded"
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if other := kinds - {"full_attention", "sliding_attention"}:
        return f"{name} has layers of {', '.join(sorted(other))}: set engine: padded"
    return ""


def context_limit(model: LanguageModel) -> int | None:
    """Return the number of tokens up to which the model's attention is plain full attention; None: unlimited.

    A sliding window has no effect up to its width, nor has RoPE rescaling for long texts ("dynamic", "longrope") up to the
    original context.
    """
    config = model.config.get_text_config()
    window = getattr(config, "use_sliding_window", True) and getattr(config, "sliding_window", None)
    rope = getattr(config, "rope_parameters", None) or {}
    original = rope.get("original_max_position_embeddings") if rope.get("rope_type") in ("dynamic", "longrope") else None
    return min((limit for limit in (window, original) if limit), default=None)


def _forward(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    *_: Any,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    # The mask that a pass is given has one element; a model that adds to it (a bias for each key) makes it larger.
    if attention_mask is not None and attention_mask.numel() > 1:
        raise EngineError(f"{type(module).__name__} attends with a mask of its own: set engine: padded")
    if extras := [name for name in _UNSUPPORTED_ARGUMENTS if settings.get(name) is not None]:
        raise EngineError(f"{type(module).__name__} attends with {', '.join(extras)}: set engine: padded")
    return module.ocrray_attention.attend(module, query, key, value, settings.get("scaling")), None


def _gptj_forward(layer: Any) -> Any:
    def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any) -> tuple[torch.Tensor, None]:
        output = layer.ocrray_attention.attend(layer, query, key, value, 1 / float(layer.scale_attn))
        return output.transpose(1, 2), None

    return attention
