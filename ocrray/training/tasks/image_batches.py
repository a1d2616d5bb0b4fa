"""Batches of images with their instructions and answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocrray.training.images import open_image
from ocrray.training.tasks.base import Sample

if TYPE_CHECKING:
    import torch

    from ocrray.models.vision.encoder import ImageTextEncoder


@dataclass(frozen=True, slots=True)
class ImageBatches:
    """Collator: opens the images of samples, and encodes them with their instructions as `ImageTextEncoder.batch` does."""

    encoder: "ImageTextEncoder"

    def __call__(self, samples: Sequence[Sample]) -> "dict[str, torch.Tensor]":
        """Return inputs padded on the left, `labels` of the last `logits_to_keep` positions, and that number."""
        prompts = [self.encoder.encode_prompt(open_image(sample["images"][0]), str(sample["source"])) for sample in samples]
        answers = [[int(token) for token in sample["labels"]] for sample in samples]
        # The trainer takes what is no tensor as it is.
        return self.encoder.batch(prompts, answers)  # type: ignore[return-value]
