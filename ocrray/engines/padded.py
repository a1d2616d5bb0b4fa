"""Generation of one padded batch: the plain way, and the reference for every faster one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from ocrray.models.loading import Generator

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True)
class Generation:
    """The tokens that a model wrote, without the end-of-text token; `finished` is False when the bound stopped it."""

    tokens: list[int]
    finished: bool


class _RowBounds(StoppingCriteria):
    """Stops each row at its own number of new tokens, so that no row depends on what else is in its batch."""

    def __init__(self, bounds: torch.Tensor, start: int) -> None:
        self.ends = bounds + start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:  # noqa: ARG002
        return input_ids.shape[1] >= self.ends


@torch.inference_mode()
def generate_padded(
    generator: Generator, prompts: Sequence[Sequence[int]], bounds: Sequence[int], processors: Sequence[LogitsProcessor] = ()
) -> list[Generation]:
    """One Generation a prompt (token ids), each of at most its bound of new tokens, the end-of-text token among them.

    The next token is the most likely one after `processors` have changed what is likely.
    """
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
    output = generator.model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=max(bounds),
        logits_processor=LogitsProcessorList(processors),
        stopping_criteria=StoppingCriteriaList([_RowBounds(torch.tensor(bounds, device=device), start)]),
    )
    return [_until_end(row[:bound], generator.eos_ids) for row, bound in zip(output[:, start:].tolist(), bounds, strict=True)]


def halved_to_fit(generate: Callable[[Sequence[RequestT]], list[Generation]], requests: Sequence[RequestT]) -> list[Generation]:
    """`generate(requests)`, in two halves (and so on) where the GPU's memory does not hold all of them at once."""
    try:
        return generate(requests)
    except torch.OutOfMemoryError:
        if len(requests) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(requests) // 2
    return halved_to_fit(generate, requests[:middle]) + halved_to_fit(generate, requests[middle:])


def _until_end(tokens: list[int], eos_ids: Sequence[int]) -> Generation:
    end = next((position for position, token in enumerate(tokens) if token in eos_ids), None)
    return Generation(tokens if end is None else tokens[:end], finished=end is not None)
