"""Storage of keys and values: one slot of equal width per sequence, in one tensor per layer."""

from collections.abc import Sequence

import torch

_CPU_MAX_TOKENS = 16_384  # larger batches are no faster on a CPU
_MEMORY_FRACTION = {"cuda": 0.7, "cpu": 0.25}  # of the free memory


class KeyValueCache:
    """Keys and values of `slots` sequences of at most `width` tokens each.

    Tensors have the shape (slots x width, key heads x head size), one for keys and one for values per layer.
    """

    def __init__(self) -> None:
        self.slots = self.width = 0
        self._shapes: dict[int, tuple[int, int]] = {}  # layer: key heads, head size
        self._dtype, self._device = torch.float32, torch.device("cpu")
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}

    def add_layer(self, layer: int, key: torch.Tensor) -> bool:
        """Register a layer by a key tensor (1, key heads, tokens, head size); memory is allocated by `resize`.

        Returns False where it is registered already.
        """
        is_new = layer not in self._shapes
        self._shapes[layer], self._dtype, self._device = (key.shape[1], key.shape[3]), key.dtype, key.device
        return is_new

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes in all layers."""
        return sum(2 * heads * size for heads, size in self._shapes.values()) * self._dtype.itemsize

    def budget_tokens(self) -> int:
        """Return how many tokens fit a fixed fraction of the free memory, at least 1."""
        if self._device.type == "cuda":
            free_bytes, _ = torch.cuda.mem_get_info(self._device)
            return max(1, int(free_bytes * _MEMORY_FRACTION["cuda"]) // self.token_bytes)
        import psutil

        free_bytes = psutil.virtual_memory().available
        return max(1, min(_CPU_MAX_TOKENS, int(free_bytes * _MEMORY_FRACTION["cpu"]) // self.token_bytes))

    def write(self, layer: int, rows: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """Store `key` and `value` (tokens, key heads x head size) in `rows` (tokens,) of one layer."""
        self._keys[layer].index_copy_(0, rows, key)
        self._values[layer].index_copy_(0, rows, value)

    def read(
        self, layer: int, count: int, tokens: int, key_heads: int, slots: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first `tokens` keys and values of `slots` (None: the first `count`): (count, key heads, tokens, size)."""
        keys, values = (self._slice(stored[layer], count, tokens, key_heads, slots) for stored in (self._keys, self._values))
        return keys, values

    def _slice(self, stored: torch.Tensor, count: int, tokens: int, key_heads: int, slots: torch.Tensor | None) -> torch.Tensor:
        by_slot = stored.view(self.slots, self.width, key_heads, -1)[:, :tokens]
        chosen = by_slot[:count] if slots is None else by_slot.index_select(0, slots)
        return chosen.transpose(1, 2)

    def resize(self, slots: int, width: int, used_slots: int) -> None:
        """Change the geometry; the first `used_slots` sequences keep their tokens as far as `width` allows.

        Layers are copied one by one, so that only one layer exists twice.
        """
        for tensors in (self._keys, self._values):
            for layer, (heads, size) in self._shapes.items():
                # Zeros, because masked values still have to be finite.
                new = torch.zeros(slots * width, heads * size, dtype=self._dtype, device=self._device)
                if used_slots:
                    kept = min(width, self.width)
                    old = tensors[layer].view(self.slots, self.width, -1)
                    new.view(slots, width, -1)[:used_slots, :kept] = old[:used_slots, :kept]
                tensors[layer] = new
        self.slots, self.width = slots, width

    def copy_slot(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` tokens of one slot to another."""
        for stored in self._tensors():
            by_slot = stored.view(self.slots, self.width, -1)
            by_slot[target, :tokens] = by_slot[source, :tokens]

    def read_prefix(self, tokens: int) -> list[torch.Tensor]:
        """Return a copy of the first `tokens` tokens of slot 0, one tensor for each stored one."""
        return [stored[:tokens].clone() for stored in self._tensors()]

    def write_prefix(self, prefix: Sequence[torch.Tensor], slots: torch.Tensor) -> None:
        """Store what `read_prefix` returned at the start of each of `slots` (sequences,)."""
        for stored, copy in zip(self._tensors(), prefix, strict=True):
            stored.view(self.slots, self.width, -1)[slots, : len(copy)] = copy

    def clear(self) -> None:
        """Release all memory."""
        self._keys.clear()
        self._values.clear()
        self.slots = self.width = 0

    def _tensors(self) -> list[torch.Tensor]:
        return [*self._keys.values(), *self._values.values()]
