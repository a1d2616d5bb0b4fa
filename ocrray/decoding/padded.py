"""Generation in padded batches with transformers' `generate`: the reference for `decoder`, and for models with an encoder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from ocrray.decoding.requests import Generation, ImageRequest, Request
from ocrray.decoding.sampling import token_probabilities
from ocrray.models.generator import Generator
from ocrray.models.types import LanguageModel
from ocrray.models.vision.model import VisionModel

_BATCH_SIZE_TOKENS = 16_384

RequestT = TypeVar("RequestT", Request, ImageRequest)


class PaddedDecoder:
    """Generates greedily in batches of similar length with at most `batch_size_tokens` (default 16,384), padding included."""

    def __init__(self, generator: Generator, *, batch_size_tokens: int | None = None) -> None:
        self._generator = generator
        self._batch_size_tokens = batch_size_tokens or _BATCH_SIZE_TOKENS

    def fits(self, request: Request) -> bool:
        """Return True if prompt and longest output fit the model's context."""
        # Encoder and decoder have a context each; the decoder's begins with a start token.
        longest_part = max(len(request.prompt), request.max_new_tokens + 1)
        needed = longest_part if self._generator.is_seq2seq else request.max_total_tokens
        return needed <= (self._generator.context_tokens or needed)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Return one generation per request, in order; `sampling` is ignored."""

        def generate(some: Sequence[Request]) -> list[Generation]:
            return generate_padded(self._generator, [one.prompt for one in some], [one.max_new_tokens for one in some])

        return _in_batches(generate, requests, self._batch_size_tokens)

    def close(self) -> None:
        """Do nothing: there is no thread to end."""


class PaddedImageDecoder:
    """Reads images greedily in batches of similar length with at most `batch_size_tokens` (default 16,384), padding included."""

    def __init__(self, model: VisionModel, *, batch_size_tokens: int | None = None) -> None:
        self._model = model
        self._batch_size_tokens = batch_size_tokens or _BATCH_SIZE_TOKENS

    def fits(self, request: ImageRequest) -> bool:
        """Return True if prompt and longest answer fit the model's context."""
        return request.max_total_tokens <= (self._model.context_tokens or request.max_total_tokens)

    def generate(self, requests: Sequence[ImageRequest]) -> list[Generation]:
        """Return one generation per request, in order; `source` is ignored."""

        def generate(some: Sequence[ImageRequest]) -> list[Generation]:
            inputs = self._model.encoder.batch([one.prompt for one in some])
            return _generate(self._model.model, inputs, [one.max_new_tokens for one in some], self._model.eos_ids)

        return _in_batches(generate, requests, self._batch_size_tokens)

    def close(self) -> None:
        """Do nothing: there is no thread to end."""


def _in_batches(
    generate: Callable[[Sequence[RequestT]], list[Generation]], requests: Sequence[RequestT], max_tokens: int
) -> list[Generation]:
    """Return `generate(requests)` in order, computed in batches of similar length of at most `max_tokens`, or of one request."""
    done: dict[int, Generation] = {}
    lengths = {number: request.max_total_tokens for number, request in enumerate(requests)}
    for group in padded_batches(lengths, max_tokens):
        generations = _split_on_out_of_memory(generate, [requests[number] for number in group])
        done.update(zip(group, generations, strict=True))
    return [done[number] for number in range(len(requests))]


class _MaxNewTokensPerRow(StoppingCriteria):
    """Stops each row at its own number of new tokens, so that no row depends on its batch."""

    def __init__(self, max_new_tokens: torch.Tensor, start: int) -> None:
        self._ends = max_new_tokens + start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:  # noqa: ARG002
        return input_ids.shape[1] >= self._ends


class _GreedyProbabilities(LogitsProcessor):
    """Records the probability of the greedy token at every step, and leaves the scores unchanged."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        self.steps.append(token_probabilities(scores, scores.argmax(-1)))
        return scores


def generate_padded(generator: Generator, prompts: Sequence[Sequence[int]], max_new_tokens: Sequence[int]) -> list[Generation]:
    """Generate greedily for prompts (token ids) in one batch, each with its own maximum of new tokens."""
    width = max(len(prompt) for prompt in prompts)
    left = 0 if generator.is_seq2seq else 1
    ids = torch.full((len(prompts), width), generator.pad_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        first = left * (width - len(prompt))
        ids[row, first : first + len(prompt)] = torch.tensor(prompt)
        mask[row, first : first + len(prompt)] = 1
    start = 1 if generator.is_seq2seq else width
    return _generate(generator.model, {"input_ids": ids, "attention_mask": mask}, max_new_tokens, generator.eos_ids, start)


@torch.inference_mode()
def _generate(
    model: LanguageModel,
    inputs: Mapping[str, torch.Tensor | int],
    max_new_tokens: Sequence[int],
    eos_ids: Sequence[int],
    start: int | None = None,
) -> list[Generation]:
    """Generate greedily for one padded batch; the output begins at `start` of its rows (None: behind the input)."""
    placed = {name: value.to(model.device) for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    start = placed["input_ids"].shape[1] if start is None else start
    probabilities = _GreedyProbabilities()
    limits = torch.tensor(max_new_tokens, device=model.device)
    output = model.generate(
        **placed,
        max_new_tokens=max(max_new_tokens),
        logits_processor=LogitsProcessorList([probabilities]),
        stopping_criteria=StoppingCriteriaList([_MaxNewTokensPerRow(limits, start)]),
    )
    rows = zip(output[:, start:].tolist(), torch.stack(probabilities.steps, dim=1).tolist(), max_new_tokens, strict=True)
    return [_until_end(tokens[:limit], likelihoods[:limit], eos_ids) for tokens, likelihoods, limit in rows]


def padded_batches(lengths: dict[int, int], max_tokens: int) -> Iterator[list[int]]:
    """Yield the keys of `lengths` (tokens), longest first, in groups of at most `max_tokens` (rows x longest), or of one key."""
    group: list[int] = []
    for key in sorted(lengths, key=lengths.__getitem__, reverse=True):
        if group and (len(group) + 1) * lengths[group[0]] > max_tokens:
            yield group
            group = []
        group.append(key)
    if group:
        yield group


def _split_on_out_of_memory(
    generate: Callable[[Sequence[RequestT]], list[Generation]], requests: Sequence[RequestT]
) -> list[Generation]:
    """Return `generate(requests)`, computed in halves (recursively) when the GPU's memory runs out."""
    try:
        return generate(requests)
    except torch.OutOfMemoryError:
        if len(requests) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(requests) // 2
    return _split_on_out_of_memory(generate, requests[:middle]) + _split_on_out_of_memory(generate, requests[middle:])


def _until_end(tokens: list[int], probabilities: list[float], eos_ids: Sequence[int]) -> Generation:
    end = next((position for position, token in enumerate(tokens) if token in eos_ids), None)
    if end is None:
        return Generation(tokens, finished=False, probabilities=probabilities)
    return Generation(tokens[:end], finished=True, probabilities=probabilities[: end + 1])
