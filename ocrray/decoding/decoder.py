"""Greedy decoding (or sampling) of many texts at once, each drafted from its own source.

One step, for three texts of which one is still reading its prompt:

                 known, not yet cached   drafted from the source      the model agrees with   written
    text a       ... t h e               _ q v i c k                  _ q                     _ q u
    text b       ... d o g               . END                        . END                   . END    its slot is refilled
    text c       <64 tokens of prompt>   (nothing yet)

Everything in the two middle columns goes through the model in ONE forward pass, packed without padding. Of each draft the longest
beginning that the model would have written itself is kept, with the token that the model puts after it: exactly what it writes
greedily, in fewer passes. What was refused stays in the cache behind the sequence's end, where nothing sees it, and is
overwritten by the next step.
"""

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, groupby

import numpy as np
import torch

from ocrray.decoding.attention import KeyValueCache, Packing, attach, context_limit
from ocrray.decoding.draft import Draft, Vocabulary
from ocrray.decoding.packing import lay_out
from ocrray.decoding.requests import Generation, Request
from ocrray.decoding.sampling import drawn, likelihoods, numbers
from ocrray.models.generator import Generator

MAX_SEQUENCES = 256
_WIDTH_STEP_TOKENS = 32  # texts of about the same length share a geometry of the cache
_CPU_CACHE_TOKENS = 16_384  # more texts at once are no faster on a CPU
_MEMORY_SHARE = {"cuda": 0.7, "cpu": 0.25}  # of what is free
# A CPU pays for every token, drafted in vain or not, and for every query that attention is padded with: 15 to 31 are about as
# fast as each other, more are slower. A GPU reads its weights once for all of them.
_STEP_TOKENS = {"cuda": 4_096, "cpu": 1_024}
_LONGEST_DRAFT = {"cuda": 63, "cpu": 23}


@dataclass
class Stats:
    """What was done since the start: `sequence_steps` counts, for each forward pass, the texts that it wrote something of."""

    forwards: int = 0
    sequence_steps: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    forward_tokens: int = 0
    forward_s: float = 0.0
    total_s: float = 0.0


@dataclass(slots=True)
class _Sequence:
    number: int
    batch: int
    request: Request
    tokens: list[int]  # prompt and output
    draft: Draft | None
    numbers: torch.Tensor | None  # to sample with
    cached: int = 0
    drafted: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)  # of what was written

    @property
    def written(self) -> int:
        return len(self.tokens) - len(self.request.prompt)


class Decoder:
    """Writes texts with a causal language model on its device; the model's attention is the decoder's from then on.

    `batch_size_tokens` bounds how many tokens of prompts and outputs are held at once; None measures what the memory takes. When
    a GPU's memory runs out all the same, the bound is halved and the same work goes on. `constant` are tokens that most prompts
    begin with; they are read once. `longest_draft` is in tokens, where many texts are written, None what suits the device. One
    thread uses a decoder at a time (`feed.Feed` serves several).
    Raises EngineError for a model whose attention cannot be replaced.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        batch_size_tokens: int | None = None,
        constant: Sequence[int] = (),
        longest_draft: int | None = None,
    ) -> None:
        self.stats = Stats()
        self._model = generator.model
        self._eos_ids = frozenset(generator.eos_ids)
        self._end = generator.eos_ids[0]
        self._vocabulary = Vocabulary(generator.tokenizer)
        self._device = self._model.device
        self._longest_draft = longest_draft or _LONGEST_DRAFT[self._device.type]
        self._step_tokens = _STEP_TOKENS[self._device.type]
        self._cache = KeyValueCache()
        attach(self._model, self._cache)
        self._no_mask = torch.zeros(1, 1, 1, 1, device=self._device)
        self._forward([self._end], torch.zeros(1, dtype=torch.long, device=self._device), None, [0])  # a trial, to see shapes
        limits = (generator.context_tokens, context_limit(self._model))
        self.context_tokens = min((limit for limit in limits if limit), default=None)
        self.batch_size_tokens = batch_size_tokens or self._measured_budget()
        self._numbers, self._batches = count(), count()
        # A heap: batch by batch, so that an old one is not kept waiting, and the longest of each first.
        self._pending: list[tuple[int, int, int, _Sequence]] = []
        self._live: list[_Sequence | None] = []  # by slot
        self._free: list[int] = []  # slots whose text is finished; None stands there
        self._constant = list(constant)
        self._start = self._read_constant() if constant else []

    @property
    def idle(self) -> bool:
        """Whether everything submitted is written."""
        return not self._pending and len(self._live) == len(self._free)

    def fits(self, request: Request) -> bool:
        """Whether there is room for prompt and longest output, in the model's context and in the memory."""
        room = min(self.batch_size_tokens, self.context_tokens or self.batch_size_tokens)
        return bool(request.prompt) and request.needed_tokens <= room

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One Generation a request, in order."""
        asked = self.submit(requests)
        done: dict[int, Generation] = {}
        while not self.idle:
            done.update(self.step())
        return [done[number] for number in asked]

    def submit(self, requests: Sequence[Request]) -> list[int]:
        """Queue a batch behind those before it; each request's number comes back from the `step` that finishes it."""
        batch = next(self._batches)
        return [self._queue(self._sequence(batch, request)) for request in requests]

    def step(self) -> list[tuple[int, Generation]]:
        """One forward pass for everything under way; returns what it finished, and what was refused for want of room."""
        started = time.perf_counter()
        done: list[tuple[int, Generation]] = []
        try:
            self._admit(done)
            if self._live:
                self._advance(done)
        except torch.OutOfMemoryError:
            done += self._retreat()
        self.stats.total_s += time.perf_counter() - started
        return done

    def _sequence(self, batch: int, request: Request) -> _Sequence:
        greedy = request.sampling is None
        draft = Draft(request.source, self._vocabulary, self._end) if greedy else None
        random = None if greedy else numbers(request.sampling.seed, request.bound)
        return _Sequence(next(self._numbers), batch, request, list(request.prompt), draft, random)

    def _queue(self, sequence: _Sequence) -> int:
        heapq.heappush(self._pending, (sequence.batch, -sequence.request.needed_tokens, sequence.number, sequence))
        return sequence.number

    def _admit(self, done: list[tuple[int, Generation]]) -> None:
        """Fill the slots that were let go, and new ones, with the next texts that wait."""
        begun: list[int] = []
        for slot in self._free:
            sequence = self._next(done)
            if sequence is None or sequence.request.needed_tokens > self._cache.width:
                break
            self._live[slot] = self._begin(sequence, slot, begun)
        self._close_gaps()
        while (sequence := self._next(done)) and len(self._live) < MAX_SEQUENCES:
            if not self._make_room(sequence.request.needed_tokens):
                break
            self._live.append(self._begin(sequence, len(self._live), begun))
        if begun:
            self._cache.share(self._start, torch.tensor(begun, device=self._device))

    def _next(self, done: list[tuple[int, Generation]]) -> _Sequence | None:
        """The next text that waits; those for which there is no room any more are refused."""
        while self._pending:
            sequence = self._pending[0][-1]
            if self.fits(sequence.request):
                return sequence
            heapq.heappop(self._pending)
            done.append((sequence.number, Generation([], finished=False, refused=True)))
        return None

    def _begin(self, sequence: _Sequence, slot: int, begun: list[int]) -> _Sequence:
        heapq.heappop(self._pending)
        length = len(self._constant)
        if self._start and len(sequence.tokens) > length and sequence.tokens[:length] == self._constant:
            sequence.cached = length
            begun.append(slot)
        return sequence

    def _close_gaps(self) -> None:
        """The last texts move into the slots that nothing refilled, so that those that live are the first ones."""
        for slot in sorted((slot for slot in self._free if self._live[slot] is None), reverse=True):
            last = self._live.pop()
            if last is not None and slot < len(self._live):
                self._live[slot] = last
                self._cache.move(len(self._live), slot, last.cached)
        self._free.clear()

    def _make_room(self, needed_tokens: int) -> bool:
        """Whether there is a free slot for a text of that length, after the cache has been resized where that makes one."""
        if needed_tokens <= self._cache.width and len(self._live) < self._cache.slots:
            return True
        longest = max([needed_tokens, *(sequence.request.needed_tokens for sequence in self._live)])
        width = min(-(-longest // _WIDTH_STEP_TOKENS) * _WIDTH_STEP_TOKENS, self.batch_size_tokens)
        slots = min(self.batch_size_tokens // width, MAX_SEQUENCES, len(self._live) + len(self._pending))
        # Resizing copies everything that lives: only for a good deal more room.
        if slots <= len(self._live) or (self._live and slots < 1.25 * self._cache.slots and needed_tokens <= self._cache.width):
            return False
        self._cache.resize(slots, width, len(self._live))
        return True

    def _advance(self, done: list[tuple[int, Generation]]) -> None:
        """Read what is known of each text and not yet cached, as far as a step goes, and verify a draft behind it."""
        tokens: list[int] = []
        added, asked = np.zeros(len(self._live), np.int64), np.zeros(len(self._live), np.int64)
        to_read = max(self._longest_draft, self._step_tokens - sum(len(one.tokens) == one.cached + 1 for one in self._live))
        for slot, sequence in enumerate(self._live):
            unread = len(sequence.tokens) - sequence.cached
            if unread > 1:
                unread = min(unread, to_read)
                to_read -= unread
            end = sequence.cached + unread
            tokens += sequence.tokens[sequence.cached : end]
            added[slot] = unread
            if unread and end == len(sequence.tokens):
                room = min(self._longest_draft, sequence.request.bound - sequence.written - 1)
                sequence.drafted = sequence.draft.propose(room) if sequence.draft else []
                tokens += sequence.drafted
                added[slot] += len(sequence.drafted)
                asked[slot] = len(sequence.drafted) + 1
        cached = np.fromiter((sequence.cached for sequence in self._live), np.int64, len(self._live))
        layout = lay_out(cached, added, self._cache.width, self._longest_draft + 1, self._model.dtype, self._device)
        ends = np.cumsum(added)
        within = np.arange(asked.sum()) - np.repeat(np.cumsum(asked) - asked, asked)
        logits = self._forward(tokens, layout.positions, layout.packing, np.repeat(ends - asked, asked) + within)
        chosen, probabilities = self._chosen(logits, asked)
        self.stats.forwards += 1
        self.stats.forward_tokens += len(tokens)
        self._take(added, asked, chosen, probabilities, done)

    def _forward(
        self, tokens: Sequence[int], positions: torch.Tensor, packing: Packing | None, asked: Sequence[int]
    ) -> torch.Tensor:
        """Logits (asked, vocabulary) after the packed tokens at the places `asked`."""
        started = time.perf_counter()
        self._cache.packing = packing
        with torch.inference_mode():
            logits = self._model(
                input_ids=torch.tensor(tokens, device=self._device)[None],
                position_ids=positions[None],
                attention_mask=self._no_mask,
                use_cache=False,
                logits_to_keep=torch.as_tensor(asked, device=self._device),
            ).logits[0]
        self.stats.forward_s += time.perf_counter() - started
        return logits

    def _chosen(self, logits: torch.Tensor, asked: np.ndarray) -> tuple[list[int], list[float]]:
        """The next token after each place that was asked for, and its probability."""
        started = time.perf_counter()
        best = logits.argmax(-1)
        sampled = [slot for slot, sequence in enumerate(self._live) if sequence.numbers is not None and asked[slot]]
        places = np.cumsum(asked) - asked

        def how(slot: int) -> tuple[float, float]:
            return self._live[slot].request.sampling.temperature, self._live[slot].request.sampling.top_p

        for (temperature, top_p), slots in groupby(sorted(sampled, key=how), how):
            group = list(slots)
            rows = torch.from_numpy(places[group]).to(self._device)
            number = torch.stack([self._live[slot].numbers[self._live[slot].written] for slot in group])
            best[rows] = drawn(logits[rows], number, temperature, top_p)[:, 0]
        chosen = best.tolist(), likelihoods(logits, best).tolist()
        self.stats.forward_s += time.perf_counter() - started
        return chosen

    def _take(
        self,
        added: np.ndarray,
        asked: np.ndarray,
        chosen: list[int],
        probabilities: list[float],
        done: list[tuple[int, Generation]],
    ) -> None:
        """Write down what the model chose, as far as it agrees with the drafts, and let go of the texts that are finished."""
        place = 0
        for slot, (sequence, read, answers) in enumerate(zip(self._live, added.tolist(), asked.tolist(), strict=True)):
            if not answers:
                sequence.cached += read
                continue
            own, likely = chosen[place : place + answers], probabilities[place : place + answers]
            place += answers
            agreed = 0
            for drafted, token in zip(sequence.drafted, own, strict=False):
                if drafted != token:
                    break
                agreed += 1
            del own[agreed + 1 :]
            # The last token is known and not yet read; what was refused behind the others is overwritten in the cache.
            sequence.cached += read - answers + len(own)
            ended = not self._eos_ids.isdisjoint(own)
            if ended:
                del own[next(number for number, token in enumerate(own) if token in self._eos_ids) :]
            sequence.tokens += own
            sequence.probabilities += likely[: len(own) + ended]
            self.stats.sequence_steps += 1
            self.stats.output_tokens += len(own) + ended
            if ended or sequence.written >= sequence.request.bound:
                start = len(sequence.request.prompt)
                self.stats.input_tokens += start
                written = Generation(sequence.tokens[start:], finished=ended, probabilities=sequence.probabilities)
                done.append((sequence.number, written))
                self._live[slot] = None
                self._free.append(slot)
            elif sequence.draft:
                sequence.draft.written(own, min(agreed, len(own)), len(sequence.drafted))

    def _retreat(self) -> list[tuple[int, Generation]]:
        """After the memory ran out: hold and read half as much, and read again what was under way; refuse what fails alone."""
        self._cache.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        under_way = [sequence for sequence in self._live if sequence]
        self._live, self._free = [], []
        if len(under_way) == 1:
            return [(under_way[0].number, Generation([], finished=False, refused=True))]
        self.batch_size_tokens = max(1, self.batch_size_tokens // 2)
        self._step_tokens = max(self._longest_draft, self._step_tokens // 2)
        for sequence in under_way:
            sequence.cached = 0
            self._queue(sequence)
        return []

    def _measured_budget(self) -> int:
        """How many tokens of keys and values there is memory for."""
        if self._device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._device)
            return max(1, int(free * _MEMORY_SHARE["cuda"]) // self._cache.token_bytes)
        import psutil

        free = psutil.virtual_memory().available
        return max(1, min(_CPU_CACHE_TOKENS, int(free * _MEMORY_SHARE["cpu"]) // self._cache.token_bytes))

    def _read_constant(self) -> list[torch.Tensor]:
        """Keys and values of the constant beginning."""
        length = len(self._constant)
        self._cache.resize(1, length, 0)
        layout = lay_out(np.zeros(1, np.int64), np.full(1, length), length, length, self._model.dtype, self._device)
        self._forward(self._constant, layout.positions, layout.packing, [length - 1])
        start = self._cache.start(length)
        self._cache.clear()
        return start
