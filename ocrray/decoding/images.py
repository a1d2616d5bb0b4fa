"""Decoders of images: reading many images with one vision-language model."""

from collections.abc import Sequence
from typing import Protocol

from ocrray.decoding.padded import PaddedImageDecoder
from ocrray.decoding.requests import Generation, ImageRequest
from ocrray.models.vision.model import VisionModel


class ImageDecoder(Protocol):
    """Reads images greedily; an answer does not depend on its batch."""

    def fits(self, request: ImageRequest) -> bool:
        """Return True if prompt and longest answer fit the model's context and the memory."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[Generation]:
        """Return one generation per request, in order."""

    def close(self) -> None:
        """Release what the decoder holds."""


def open_vision_decoder(model: VisionModel, *, padded: bool, batch_size_tokens: int | None = None) -> ImageDecoder:
    """Return a decoder of images: transformers' `generate` in left-padded batches, or with its tokens packed.

    `batch_size_tokens` is the maximum of prompt and answer tokens held at once; None: 16,384.
    """
    del padded  # the packed decoder follows
    return PaddedImageDecoder(model, batch_size_tokens=batch_size_tokens)
