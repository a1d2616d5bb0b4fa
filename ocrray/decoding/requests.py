"""Input and output of decoding."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports torch, which takes seconds, and configs are checked without it
    from ocrray.models.vision.prompts import ImagePrompt


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of temperature and nucleus sampling; the result depends on `seed` and the request, not on the batch."""

    temperature: float
    """Divisor of the logits, > 0."""
    top_p: float
    """Probability mass of the tokens to sample from, in (0, 1]."""
    seed: int


@dataclass(frozen=True, slots=True)
class Request:
    """One text to generate; greedily without `sampling`."""

    prompt: Sequence[int]
    """Token ids."""
    max_new_tokens: int
    """Maximum length of the output in tokens, the end-of-text token included."""
    source: Sequence[int] = ()
    """Token ids that the output is likely to copy, under any tokenization: they affect speed and no token."""
    sampling: Sampling | None = None

    @property
    def max_total_tokens(self) -> int:
        """Maximum of prompt and output tokens together."""
        return len(self.prompt) + self.max_new_tokens


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image to read, greedily."""

    prompt: "ImagePrompt"
    max_new_tokens: int
    """Maximum length of the answer in tokens, the end token included."""
    source: Sequence[int] = ()
    """Token ids that the answer is likely to repeat, another engine's text for instance: they affect speed and no token."""

    @property
    def max_total_tokens(self) -> int:
        """Maximum of prompt and answer tokens together."""
        return len(self.prompt.ids) + self.max_new_tokens


@dataclass(frozen=True, slots=True)
class Generation:
    """Output for one request."""

    tokens: list[int]
    """Token ids without the end-of-text token."""
    finished: bool
    """True if the model ended the text, False if `max_new_tokens` did."""
    refused: bool = False
    """True if the request does not fit the memory or the context: nothing was generated."""
    probabilities: list[float] = field(default_factory=list, compare=False)  # rounding must not affect equality
    """The model's probability (0..1) of each token, and of the end-of-text token if finished."""
