"""Speculative greedy decoding (or sampling) of many sequences at once, each drafted from its own source.

One step, for three sequences of which one still processes its prompt:

                  known, not yet cached   drafted from the source   accepted   appended
    sequence a    ... t h e               _ q v i c k               _ q        _ q u
    sequence b    ... d o g               . END                     . END      . END    its slot is refilled
    sequence c    <64 prompt tokens>      (none)

The two middle columns of all sequences pass through the model in ONE forward pass, packed without padding. Of each draft the
longest prefix that the model agrees with is accepted, and the model's own next token appended: exactly the greedy output, in
fewer passes. Rejected tokens stay in the cache behind the sequence's end, where nothing attends to them, and are overwritten by
the next step.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch

from ocrray.decoding.admission import Admission
from ocrray.decoding.draft import Drafter, TokenStrings
from ocrray.decoding.packed_model import PackedModel
from ocrray.decoding.requests import Generation, Request
from ocrray.decoding.sampling import sample_tokens, sampler_for, token_probabilities
from ocrray.decoding.sequence import SequenceState
from ocrray.models.generator import Generator

# A CPU pays for every token, accepted or not, and for every query that attention is padded with: drafts of 15 to 31 are about
# as fast as each other, longer ones are slower. A GPU reads its weights once for all tokens.
_STEP_TOKENS = {"cuda": 4_096, "cpu": 1_024}
_MAX_DRAFT_TOKENS = {"cuda": 63, "cpu": 23}


@dataclass
class Stats:
    """Counts and times since the decoder's start."""

    forwards: int = 0
    sequence_steps: int = 0
    """Sequences that got output, summed over forward passes."""
    input_tokens: int = 0
    output_tokens: int = 0
    """End-of-text tokens included."""
    forward_tokens: int = 0
    """Tokens that passed through the model, rejected drafts included."""
    forward_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Step:
    """Input of one forward pass."""

    tokens: list[int]
    """Packed token ids."""
    added: np.ndarray
    """Packed tokens per slot, (slots,), int64."""
    answers: np.ndarray
    """Logits needed per slot, those after its last tokens, (slots,), int64; 0 while it processes its prompt."""


class Decoder:
    """Generates text with a causal language model on its device; replaces the model's attention permanently.

    Not thread-safe; `scheduler.Scheduler` serves several threads.

    Args:
        generator: the model.
        batch_size_tokens: maximum of prompt and output tokens in the cache; None: what the free memory takes. It is halved
            whenever a GPU's memory runs out, and the interrupted sequences start again.
        shared_prefix: token ids that most prompts begin with; they are processed once.
        max_draft_tokens: maximum length of a draft; None: 63 on a GPU, 23 on a CPU.
        model: what computes the forward passes; None: a `PackedModel` of `generator`.

    Raises:
        EngineError: when the attention of this architecture cannot be replaced.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        batch_size_tokens: int | None = None,
        shared_prefix: Sequence[int] = (),
        max_draft_tokens: int | None = None,
        model: PackedModel | None = None,
    ) -> None:
        self.stats = Stats()
        self._eos_ids = frozenset(generator.eos_ids)
        self._end = generator.eos_ids[0]
        self._strings = TokenStrings(generator.tokenizer)
        self._model = model or PackedModel(generator)
        device = self._model.device.type
        self._max_draft_tokens = max_draft_tokens or _MAX_DRAFT_TOKENS[device]
        self._step_tokens = _STEP_TOKENS[device]
        self._admission = Admission(self._model, batch_size_tokens, shared_prefix)
        self._numbers, self._batches = count(), count()

    @property
    def idle(self) -> bool:
        """True if every submitted request is complete."""
        return self._admission.idle

    @property
    def context_tokens(self) -> int | None:
        """Maximum of prompt and output tokens of one request; None: unlimited."""
        return self._model.context_tokens

    @property
    def batch_size_tokens(self) -> int:
        """Maximum of prompt and output tokens in the cache at present."""
        return self._admission.batch_size_tokens

    def fits(self, request: Request) -> bool:
        """Return True if prompt and longest output fit the model's context and the memory."""
        return self._admission.fits(request)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Return one generation per request, in order."""
        numbers = self.submit(requests)
        done: dict[int, Generation] = {}
        while not self.idle:
            done.update(self.step())
        return [done[number] for number in numbers]

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Append a batch to the queue; return the number by which `step` reports each request."""
        batch = next(self._batches)
        sequences = [self._sequence(batch, request) for request in requests]
        for sequence in sequences:
            self._admission.enqueue(sequence)
        return [sequence.number for sequence in sequences]

    def step(self) -> list[tuple[int, Generation]]:
        """Run one forward pass over all active sequences; return the requests that it completed or refused."""
        started = time.perf_counter()
        done: list[tuple[int, Generation]] = []
        try:
            self._admission.admit()
            if self._admission.active:
                done += self._advance()
        except torch.OutOfMemoryError:
            self._handle_out_of_memory()
        done += [(one.number, Generation([], finished=False, refused=True)) for one in self._admission.refused]
        self._admission.refused.clear()
        self.stats.total_s += time.perf_counter() - started
        return done

    def _sequence(self, batch: int, request: Request) -> SequenceState:
        sampler = sampler_for(request)
        drafter = None if sampler or not request.source else Drafter(request.source, self._strings, self._end)
        return SequenceState(next(self._numbers), batch, request, list(request.prompt), drafter, sampler)

    def _advance(self) -> list[tuple[int, Generation]]:
        step = self._next_step()
        cached = np.fromiter((sequence.cached for sequence in self._admission.active), np.int64, len(step.added))
        requests = [sequence.request for sequence in self._admission.active]
        layout = self._model.layout(cached, step.added, self._max_draft_tokens + 1, requests)
        within = np.arange(step.answers.sum()) - np.repeat(np.cumsum(step.answers) - step.answers, step.answers)
        indices = np.repeat(np.cumsum(step.added) - step.answers, step.answers) + within
        started = time.perf_counter()
        chosen, probabilities = self._choose(self._model.forward(step.tokens, layout, indices), step.answers)
        self.stats.forward_s += time.perf_counter() - started
        self.stats.forwards += 1
        self.stats.forward_tokens += len(step.tokens)
        return self._accept(step, chosen, probabilities)

    def _next_step(self) -> _Step:
        """Collect each sequence's uncached tokens, as far as the step's token limit allows, and a draft behind them."""
        active = self._admission.active
        tokens: list[int] = []
        added, answers = np.zeros(len(active), np.int64), np.zeros(len(active), np.int64)
        generating = sum(len(sequence.tokens) == sequence.cached + 1 for sequence in active)
        prompt_room = full_room = max(self._max_draft_tokens, self._step_tokens - generating)
        for slot, sequence in enumerate(active):
            uncached = len(sequence.tokens) - sequence.cached
            if uncached > 1:
                uncached = self._prompt_tokens(sequence, prompt_room, is_first=prompt_room == full_room)
                prompt_room -= uncached
            end = sequence.cached + uncached
            tokens += sequence.tokens[sequence.cached : end]
            added[slot] = uncached
            if uncached and end == len(sequence.tokens):
                drafted = sequence.draft(self._max_draft_tokens)
                tokens += drafted
                added[slot] += len(drafted)
                answers[slot] = len(drafted) + 1
        return _Step(tokens, added, answers)

    def _prompt_tokens(self, sequence: SequenceState, room: int, is_first: bool) -> int:
        """Return how many tokens to read, at most `room`; of a model that reads prompts whole all or none, too many at worst."""
        whole = len(sequence.request.prompt) - sequence.cached if self._model.whole_prompts else 0
        if whole > room:
            return whole if is_first else 0
        return min(len(sequence.tokens) - sequence.cached, max(room, 0))

    def _choose(self, logits: torch.Tensor, answers: np.ndarray) -> tuple[list[int], list[float]]:
        """Return the model's choice for each row of `logits` (rows, vocabulary), and its probability."""
        chosen = logits.argmax(-1)
        rows = (np.cumsum(answers) - answers).tolist()
        by_settings: dict[tuple[float, float], list[tuple[int, torch.Tensor]]] = {}
        for slot, sequence in enumerate(self._admission.active):
            if (sampler := sequence.sampler) and answers[slot]:
                group = by_settings.setdefault((sampler.temperature, sampler.top_p), [])
                group.append((rows[slot], sampler.uniforms[sequence.output_length]))
        for (temperature, top_p), group in by_settings.items():
            sampled = torch.tensor([row for row, _ in group], device=logits.device)
            uniform = torch.stack([number for _, number in group])
            chosen[sampled] = sample_tokens(logits[sampled], uniform, temperature, top_p)[:, 0]
        return chosen.tolist(), token_probabilities(logits, chosen).tolist()

    def _accept(self, step: _Step, chosen: list[int], probabilities: list[float]) -> list[tuple[int, Generation]]:
        """Append what the model chose to each sequence, and release the slots of complete ones."""
        done: list[tuple[int, Generation]] = []
        row = 0
        counts = zip(step.added.tolist(), step.answers.tolist(), strict=True)
        for slot, (sequence, (added, answers)) in enumerate(zip(self._admission.active, counts, strict=True)):
            if not answers:
                sequence.cached += added
                continue
            end, before = row + answers, len(sequence.probabilities)
            generation = sequence.accept(chosen[row:end], probabilities[row:end], added, self._eos_ids)
            row = end
            self.stats.sequence_steps += 1
            self.stats.output_tokens += len(sequence.probabilities) - before
            if generation:
                self.stats.input_tokens += len(sequence.request.prompt)
                done.append((sequence.number, generation))
                self._admission.release(slot)
        return done

    def _handle_out_of_memory(self) -> None:
        """Halve the limits on cached and processed tokens and requeue all active sequences; refuse one that fails alone."""
        interrupted = self._admission.reset()
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(interrupted) == 1:
            self._admission.refused += interrupted
            return
        self._admission.batch_size_tokens = max(1, self.batch_size_tokens // 2)
        self._step_tokens = max(self._max_draft_tokens, self._step_tokens // 2)
        for sequence in interrupted:
            sequence.cached = 0
            self._admission.enqueue(sequence)
