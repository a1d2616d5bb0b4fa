"""Generation in padded batches: the plain way, and the reference for the faster one."""

from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from ocrray.decoding.requests import Generation, Request
from ocrray.decoding.sampling import likelihoods
from ocrray.models.generator import Generator

_BATCH_SIZE_TOKENS = 16_384


class PaddedDecoder:
    """Writes texts in batches of about the same length, of at most `batch_size_tokens` with their padding."""

    def __init__(self, generator: Generator, *, batch_size_tokens: int | None = None) -> None:
        self._generator = generator
        self._batch_size_tokens = batch_size_tokens or _BATCH_SIZE_TOKENS

    def fits(self, request: Request) -> bool:
        """Whether prompt and longest output fit the model's context."""
        # An encoder and its decoder have a context each; the decoder begins with a token of its own.
        longest_part = max(len(request.prompt), request.bound + 1)
        needed = longest_part if self._generator.is_seq2seq else request.needed_tokens
        return needed <= (self._generator.context_tokens or needed)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One Generation a request, in order; all of them greedy."""

        def generate(some: Sequence[Request]) -> list[Generation]:
            return generate_padded(self._generator, [one.prompt for one in some], [one.bound for one in some])

        written: dict[int, Generation] = {}
        needed = {number: request.needed_tokens for number, request in enumerate(requests)}
        for group in batches(needed, self._batch_size_tokens):
            written |= zip(group, halved_to_fit(generate, [requests[number] for number in group]), strict=True)
        return [written[number] for number in range(len(requests))]

    def close(self) -> None:
        """Nothing is left to end."""


class _RowBounds(StoppingCriteria):
    """Stops each row at its own number of new tokens, so that no row depends on what else is in its batch."""

    def __init__(self, bounds: torch.Tensor, start: int) -> None:
        self.ends = bounds + start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:  # noqa: ARG002
        return input_ids.shape[1] >= self.ends


class _Likelihoods(LogitsProcessor):
    """Notes how likely the token is that greedy decoding takes at every step, and changes nothing."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        self.steps.append(likelihoods(scores, scores.argmax(-1)))
        return scores


@torch.inference_mode()
def generate_padded(generator: Generator, prompts: Sequence[Sequence[int]], bounds: Sequence[int]) -> list[Generation]:
    """One Generation a prompt (token ids), each of at most its bound of new tokens, the end-of-text token among them."""
    width = max(len(prompt) for prompt in prompts)
    left = 0 if generator.is_seq2seq else 1
    ids = torch.full((len(prompts), width), generator.pad_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        first = left * (width - len(prompt))
        ids[row, first : first + len(prompt)] = torch.tensor(prompt)
        mask[row, first : first + len(prompt)] = 1
    device = generator.model.device
    start = 1 if generator.is_seq2seq else width
    likely = _Likelihoods()
    output = generator.model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=max(bounds),
        logits_processor=LogitsProcessorList([likely]),
        stopping_criteria=StoppingCriteriaList([_RowBounds(torch.tensor(bounds, device=device), start)]),
    )
    rows = zip(output[:, start:].tolist(), torch.stack(likely.steps, dim=1).tolist(), bounds, strict=True)
    return [_until_end(tokens[:bound], shares[:bound], generator.eos_ids) for tokens, shares, bound in rows]


def batches(lengths: dict[int, int], budget: int) -> Iterator[list[int]]:
    """The keys of `lengths`, longest first, in groups whose padded size (rows x longest) is at most `budget`, or of one key."""
    group: list[int] = []
    for key in sorted(lengths, key=lengths.__getitem__, reverse=True):
        if group and (len(group) + 1) * lengths[group[0]] > budget:
            yield group
            group = []
        group.append(key)
    if group:
        yield group


def halved_to_fit(generate: Callable[[Sequence[Request]], list[Generation]], requests: Sequence[Request]) -> list[Generation]:
    """`generate(requests)`, in two halves (and so on) where the GPU's memory does not hold all of them at once."""
    try:
        return generate(requests)
    except torch.OutOfMemoryError:
        if len(requests) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(requests) // 2
    return halved_to_fit(generate, requests[:middle]) + halved_to_fit(generate, requests[middle:])


def _until_end(tokens: list[int], probabilities: list[float], eos_ids: Sequence[int]) -> Generation:
    end = next((position for position, token in enumerate(tokens) if token in eos_ids), None)
    if end is None:
        return Generation(tokens, finished=False, probabilities=probabilities)
    return Generation(tokens[:end], finished=True, probabilities=probabilities[: end + 1])
