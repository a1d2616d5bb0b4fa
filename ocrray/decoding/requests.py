"""What decoding is asked for, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw: after `temperature` (> 0), from the most likely tokens that together have the probability `top_p` (0..1].

    What is drawn hangs on `seed` and the request alone, whatever is decoded beside it.
    """

    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True, slots=True)
class Request:
    """One text to write: token ids of the prompt, and at most `bound` new tokens, the end-of-text token among them.

    `source` are the tokens that the output is likely to copy, in any tokenization; it makes decoding fast and changes no token.
    Without `sampling` the most likely token is written every time.
    """

    prompt: Sequence[int]
    bound: int
    source: Sequence[int] = ()
    sampling: Sampling | None = None

    @property
    def needed_tokens(self) -> int:
        """How many tokens have to be held at once at most."""
        return len(self.prompt) + self.bound


@dataclass(frozen=True, slots=True)
class Generation:
    """The tokens that a model wrote, without the end-of-text token; `finished` is False when the bound stopped it.

    `probabilities`, 0..1, are the model's own of each of these tokens and, when finished, of the end of the text.
    `refused`: there was no room for it, and nothing was written.
    """

    tokens: list[int]
    finished: bool
    refused: bool = False
    probabilities: list[float] = field(default_factory=list, compare=False)  # rounding does not make it another text
