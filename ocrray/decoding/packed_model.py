"""A causal language model that processes many sequences in one forward pass, with their keys and values in one cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ocrray.decoding.attention import PackedAttention, attach, context_limit, unsupported
from ocrray.decoding.cache import KeyValueCache
from ocrray.decoding.layout import Layout, make_layout
from ocrray.decoding.requests import Request
from ocrray.errors import EngineError
from ocrray.models.generator import Generator
from ocrray.models.probes import is_close, spread_tokens

_PROBE_TOKENS = (21, 10)  # of two sequences, which are compared packed and alone


@dataclass(frozen=True, slots=True)
class Probe:
    """A sequence whose logits are compared, computed alone by the model's own attention and packed."""

    request: Request
    """Its prompt is read first, as that of a request would be."""
    further: Sequence[int]
    """Token ids behind the prompt."""
    inputs: Mapping[str, Any]
    """Inputs of the model for prompt and further tokens together."""


class PackedModel:
    """Forward passes of `generator`'s model over packed sequences; the model's attention is replaced permanently.

    Raises:
        EngineError: when the attention of this architecture cannot be replaced, or computes something else than the model's own.
    """

    whole_prompts = False
    """True: a prompt is read in one pass, and each of its tokens attends to all of it."""
    _padded = "engine: padded"  # config value of the engine for models that cannot be packed

    def __init__(self, generator: Generator) -> None:
        self.cache = KeyValueCache()
        self._model = generator.model
        self.device, self.dtype = self._model.device, self._model.dtype
        self._attention = PackedAttention(self.cache)
        self._no_mask = torch.zeros(1, 1, 1, 1, device=self.device)
        limits = (generator.context_tokens, context_limit(self._model))
        self.context_tokens: int | None = min((limit for limit in limits if limit), default=None)
        """Maximum number of tokens of a sequence; None: unlimited."""
        try:
            self._replace_attention(generator.eos_ids[0])
        except EngineError as error:
            raise EngineError(str(error).replace("engine: padded", self._padded)) from error

    def _replace_attention(self, any_token: int) -> None:
        """Replace the model's attention and compare it with the model's own."""
        if problem := unsupported(self._model):
            raise EngineError(problem)
        own_way = (
            f"{type(self._model).__name__} attends in a way of its own, unknown to decoding from the source: set engine: padded"
        )
        probes = self._probes()
        alone = [self._compute_alone(probe) for probe in probes]
        attach(self._model, self._attention)
        try:
            self._run([any_token], self._first_position(), [0])  # registers the layers
            packed = self._compute_packed(probes)
        except (EngineError, torch.OutOfMemoryError):
            raise
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise EngineError(own_way) from error
        if not is_close(torch.cat(alone), torch.cat(packed), self.dtype):
            raise EngineError(own_way)

    def layout(self, cached: np.ndarray, added: np.ndarray, max_short: int, requests: Sequence[Request]) -> Layout:
        """Return the layout of a pass for this model and the cache's geometry; see `make_layout`.

        `requests` are those of the slots.
        """
        lengths = np.array([len(request.prompt) for request in requests]) if self.whole_prompts else None
        return make_layout(cached, added, self.cache.width, max_short, self.dtype, self.device, lengths)

    def forward(self, tokens: Sequence[int], layout: Layout, logit_indices: Sequence[int]) -> torch.Tensor:
        """Process packed `tokens` (ids); return logits (indices, vocabulary) after those at `logit_indices`."""
        self._attention.layout = layout
        return self._run(tokens, layout.positions, logit_indices)

    def compute_prefix(self, tokens: Sequence[int]) -> list[torch.Tensor]:
        """Return keys and values of a sequence's first `tokens` (ids), for `KeyValueCache.write_prefix`; clears the cache."""
        length = len(tokens)
        self.cache.resize(1, length, 0)
        layout = self.layout(np.zeros(1, np.int64), np.full(1, length), length, [Request(tokens, 0)])
        self.forward(tokens, layout, [length - 1])
        prefix = self.cache.read_prefix(length)
        self.cache.clear()
        return prefix

    def _probes(self) -> list[Probe]:
        """Return two sequences that the context has room for."""
        room = self.context_tokens or max(_PROBE_TOKENS)
        rows = len(self._model.get_input_embeddings().weight)
        tokens = spread_tokens(self._model.config, rows, sum(_PROBE_TOKENS))
        sequences = [part[:room] for part in (tokens[: _PROBE_TOKENS[0]][::-1], tokens[_PROBE_TOKENS[0] :]) if part]
        return [self._text_probe(sequence) for sequence in sequences]

    def _text_probe(self, tokens: Sequence[int]) -> Probe:
        ids = torch.tensor([tokens])
        half = len(tokens) // 2
        return Probe(Request(tokens[:half], 0), tokens[half:], {"input_ids": ids, "attention_mask": torch.ones_like(ids)})

    def _compute_alone(self, probe: Probe) -> torch.Tensor:
        """Return the logits (tokens, vocabulary) of one sequence by the model's own attention, in float32."""
        inputs = {name: value.to(self.device) for name, value in probe.inputs.items()}
        with torch.inference_mode():
            logits: torch.Tensor = self._model(**inputs, use_cache=False).logits[0]
        return logits.float()

    def _compute_packed(self, probes: Sequence[Probe]) -> list[torch.Tensor]:
        """Return the logits of each sequence, of all together in two passes; clears the cache."""
        requests = [probe.request for probe in probes]
        sequences = [[*probe.request.prompt, *probe.further] for probe in probes]
        lengths = np.array([len(tokens) for tokens in sequences])
        self.cache.resize(len(sequences), int(lengths.max()), 0)
        found: list[list[torch.Tensor]] = [[] for _ in sequences]
        cached = np.zeros_like(lengths)
        for ends in (np.array([len(request.prompt) for request in requests]), lengths):
            added = ends - cached
            tokens = [token for one, start, end in zip(sequences, cached, ends, strict=True) for token in one[start:end]]
            logits = self.forward(tokens, self.layout(cached, added, int(lengths.max()), requests), range(len(tokens)))
            for rows, part in zip(found, torch.tensor_split(logits.float(), np.cumsum(added)[:-1].tolist()), strict=True):
                rows.append(part)
            cached = ends
        self.cache.clear()
        return [torch.cat(rows) for rows in found]

    def _first_position(self) -> torch.Tensor:
        return torch.zeros(1, dtype=torch.long, device=self.device)

    def _token_inputs(self, tokens: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return the model's inputs for packed `tokens` (ids)."""
        return {"input_ids": torch.tensor(tokens, device=self.device)[None]}

    def _run(self, tokens: Sequence[int], positions: torch.Tensor, logit_indices: Sequence[int]) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = self._model(
                **self._token_inputs(tokens),
                position_ids=positions.unsqueeze(-2),
                attention_mask=self._no_mask,
                use_cache=False,
                logits_to_keep=torch.as_tensor(logit_indices, device=self.device),
            ).logits[0]
        return logits
