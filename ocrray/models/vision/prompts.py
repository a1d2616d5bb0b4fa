"""One image with its instruction as a model reads them, and batches of them, padded on the left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

IGNORED_LABEL = -100


@dataclass(frozen=True, slots=True)
class ImagePrompt:
    """Inputs of a model for one image and its instruction; the answer follows directly."""

    ids: list[int]
    """Token ids, with one placeholder for each image token."""
    pixels: Mapping[str, torch.Tensor]
    """Further inputs of the image by their name (`pixel_values`, `image_grid_thw`); batches join them along the first axis."""
    image_positions: range | list[int]
    """Positions of the placeholders in `ids`."""
    token_types: Mapping[str, list[int]] = field(default_factory=dict)
    """Further inputs with a value for each of `ids` (`token_type_ids`, `mm_token_type_ids`)."""


def make_batch(
    prompts: Sequence[ImagePrompt], answers: Sequence[Sequence[int]], pad_id: int, answer_type: int
) -> dict[str, torch.Tensor | int]:
    """Return the inputs of a model for `prompts`, padded on the left, with their `answers` (token ids), if any.

    Answers add `labels` for the last `logits_to_keep` positions only, the longest answer and one: logits of the others, which
    no loss needs, would take gigabytes of a large vocabulary. `answer_type` is the token type of answers.

    Raises:
        ValueError: when the images are of different kinds (different shapes beyond the first axis).
    """
    answers = answers or [()] * len(prompts)
    rows = [[*prompt.ids, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    width = max(map(len, rows))
    batch: dict[str, torch.Tensor | int] = {
        "input_ids": _left_padded(rows, width, pad_id),
        "attention_mask": _left_padded([[1] * len(row) for row in rows], width, 0),
        **_joined_pixels(prompts),
    }
    for name in prompts[0].token_types:
        types = [[*prompt.token_types[name], *[answer_type] * len(a)] for prompt, a in zip(prompts, answers, strict=True)]
        batch[name] = _left_padded(types, width, 0)
    if longest := max(map(len, answers)):
        batch["labels"] = _left_padded(answers, longest + 1, IGNORED_LABEL)
        batch["logits_to_keep"] = longest + 1
    return batch


def _left_padded(rows: Sequence[Sequence[int]], width: int, value: int) -> torch.Tensor:
    return torch.tensor([[*[value] * (width - len(row)), *row] for row in rows])


def _joined_pixels(prompts: Sequence[ImagePrompt]) -> dict[str, torch.Tensor]:
    joined = {}
    for name in prompts[0].pixels:
        parts = [prompt.pixels[name] for prompt in prompts]
        if len({tuple(part.shape[1:]) for part in parts}) > 1:
            shapes = " and ".join(str(tuple(part.shape)) for part in parts[:2])
            raise ValueError(f"images of one batch have {name} of different shapes, {shapes}: set a batch of one image")
        joined[name] = torch.cat(parts)
    return joined
