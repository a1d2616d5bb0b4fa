"""State of one request while it is decoded."""

from collections.abc import Collection
from dataclasses import dataclass, field

from ocrray.decoding.draft import Drafter
from ocrray.decoding.requests import Generation, Request
from ocrray.decoding.sampling import Sampler


@dataclass(slots=True)
class SequenceState:
    """Tokens of one request, how many of them are cached, and what is drafted beyond them."""

    number: int
    """Number of the request, counted from the decoder's start."""
    batch: int
    """Number of the batch it was submitted with."""
    request: Request
    tokens: list[int]
    """Token ids of prompt and output."""
    drafter: Drafter | None
    sampler: Sampler | None
    cached: int = 0
    """Number of leading `tokens` that are in the cache."""
    drafted: list[int] = field(default_factory=list)
    """Token ids that the current step verifies."""
    probabilities: list[float] = field(default_factory=list)
    """Probability of each output token."""

    @property
    def output_length(self) -> int:
        """Number of output tokens."""
        return len(self.tokens) - len(self.request.prompt)

    def draft(self, max_tokens: int) -> list[int]:
        """Draft at most `max_tokens` tokens, and no more than the request allows besides the model's own next token."""
        room = min(max_tokens, self.request.max_new_tokens - self.output_length - 1)
        self.drafted = self.drafter.propose(room) if self.drafter else []
        return self.drafted

    def accept(self, chosen: list[int], probabilities: list[float], added: int, eos_ids: Collection[int]) -> Generation | None:
        """Append the longest correct prefix of the draft and the token the model puts after it.

        Args:
            chosen: the model's choice after the last known token and after each drafted one.
            probabilities: of `chosen`.
            added: tokens that the forward pass processed for this sequence.
            eos_ids: ids of the end-of-text tokens.

        Returns:
            The output if it is complete.
        """
        accepted = 0
        for drafted, token in zip(self.drafted, chosen, strict=False):
            if drafted != token:
                break
            accepted += 1
        own = chosen[: accepted + 1]
        # The last token is not yet processed; rejected ones stay in the cache behind `cached` until they are overwritten.
        self.cached += added - len(chosen) + len(own)
        end = next((place for place, token in enumerate(own) if token in eos_ids), None)
        new = own[:end]
        self.tokens += new
        self.probabilities += probabilities[: len(new) + (end is not None)]
        if end is not None or self.output_length >= self.request.max_new_tokens:
            output = self.tokens[len(self.request.prompt) :]
            return Generation(output, finished=end is not None, probabilities=self.probabilities)
        if self.drafter:
            self.drafter.update(new, min(accepted, len(new)), len(self.drafted))
        return None
