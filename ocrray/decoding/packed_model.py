"""A causal language model that processes many sequences in one forward pass, with their keys and values in one cache."""

from collections.abc import Sequence

import numpy as np
import torch

from ocrray.decoding.attention import PackedAttention, attach, context_limit
from ocrray.decoding.cache import KeyValueCache
from ocrray.decoding.layout import Layout, make_layout
from ocrray.models.generator import Generator


class PackedModel:
    """Forward passes of `generator`'s model over packed sequences; the model's attention is replaced permanently.

    Raises:
        EngineError: when the attention of this architecture cannot be replaced.
    """

    def __init__(self, generator: Generator) -> None:
        self.cache = KeyValueCache()
        self._model = generator.model
        self.device, self.dtype = self._model.device, self._model.dtype
        self._attention = PackedAttention(self.cache)
        attach(self._model, self._attention)
        self._no_mask = torch.zeros(1, 1, 1, 1, device=self.device)
        limits = (generator.context_tokens, context_limit(self._model))
        self.context_tokens: int | None = min((limit for limit in limits if limit), default=None)
        """Maximum number of tokens of a sequence; None: unlimited."""
        self._run([generator.eos_ids[0]], torch.zeros(1, dtype=torch.long, device=self.device), [0])  # registers the layers

    def layout(self, cached: np.ndarray, added: np.ndarray, max_short: int) -> Layout:
        """Return the layout of a pass for this model and the cache's geometry; see `make_layout`."""
        return make_layout(cached, added, self.cache.width, max_short, self.dtype, self.device)

    def forward(self, tokens: Sequence[int], layout: Layout, logit_indices: Sequence[int]) -> torch.Tensor:
        """Process packed `tokens` (ids); return logits (indices, vocabulary) after those at `logit_indices`."""
        self._attention.layout = layout
        return self._run(tokens, layout.positions, logit_indices)

    def compute_prefix(self, tokens: Sequence[int]) -> list[torch.Tensor]:
        """Return keys and values of a sequence's first `tokens` (ids), for `KeyValueCache.write_prefix`; clears the cache."""
        length = len(tokens)
        self.cache.resize(1, length, 0)
        self.forward(tokens, self.layout(np.zeros(1, np.int64), np.full(1, length), length), [length - 1])
        prefix = self.cache.read_prefix(length)
        self.cache.clear()
        return prefix

    def _run(self, tokens: Sequence[int], positions: torch.Tensor, logit_indices: Sequence[int]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._model(
                input_ids=torch.tensor(tokens, device=self.device)[None],
                position_ids=positions[None],
                attention_mask=self._no_mask,
                use_cache=False,
                logits_to_keep=torch.as_tensor(logit_indices, device=self.device),
            ).logits[0]
        return logits
