"""Decoders of images: reading many images with one vision-language model."""

from collections.abc import Sequence
from typing import Protocol

from ocrray.decoding.packed_images import PackedImageDecoder
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
    """Return a decoder of images: with their tokens packed and drafted, or transformers' `generate` in left-padded batches.

    `batch_size_tokens` is the maximum of prompt and answer tokens held at once; None: as memory allows, 16,384 if padded.

    Raises:
        EngineError: when the attention of this architecture cannot be replaced (`padded` can do it).
    """
    decoder = PaddedImageDecoder if padded else PackedImageDecoder
    return decoder(model, batch_size_tokens=batch_size_tokens)
