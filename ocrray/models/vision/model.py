"""A loaded vision-language model with its encoder."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocrray.models.vision.encoder import ImageTextEncoder

if TYPE_CHECKING:
    from ocrray.models.types import LanguageModel


@dataclass(frozen=True, slots=True)
class VisionModel:
    """A vision-language model, ready to generate greedily."""

    model: "LanguageModel"
    encoder: ImageTextEncoder
    eos_ids: tuple[int, ...]
    """Ids of the tokens that end an answer, at least one."""
    pad_id: int
    context_tokens: int | None
    """Maximum of prompt and output tokens together; None: unlimited."""
