"""Admission of waiting requests to slots of the key-value cache, and the cache's geometry."""

import heapq
from collections import deque
from collections.abc import Sequence

import torch

from ocrray.decoding.packed_model import PackedModel
from ocrray.decoding.requests import Request
from ocrray.decoding.sequence import SequenceState

MAX_SEQUENCES = 256
_WIDTH_STEP_TOKENS = 32  # sequences of about the same length share a geometry of the cache
_MIN_GROWTH = 1.25  # a resize copies every active sequence, so it has to make a good deal more room


class Admission:
    """Queue of waiting sequences and table of active ones, limited by `batch_size_tokens` in the cache.

    `shared_prefix` are token ids that most prompts begin with: they are processed once and copied to each slot.
    """

    def __init__(self, model: PackedModel, batch_size_tokens: int | None, shared_prefix: Sequence[int]) -> None:
        self.active: list[SequenceState] = []
        """Sequences by slot; after `admit` without gaps."""
        self.refused: list[SequenceState] = []
        """Sequences that `admit` found not to fit (any more); whoever reports them clears the list."""
        self._cache, self._device = model.cache, model.device
        self._context_tokens = model.context_tokens
        self.batch_size_tokens = batch_size_tokens or self._cache.budget_tokens()
        self._prefix_tokens = list(shared_prefix)
        self._prefix = model.compute_prefix(self._prefix_tokens) if self._prefix_tokens else []
        # A heap by batch, so that no old batch has to wait, and by length within it, the longest first.
        self._waiting: list[tuple[int, int, int, SequenceState]] = []
        self._free: deque[int] = deque()  # slots whose sequence is complete, in ascending order

    @property
    def idle(self) -> bool:
        """True if no sequence waits or is active."""
        return not self._waiting and len(self.active) == len(self._free)

    def fits(self, request: Request) -> bool:
        """Return True if prompt and longest output fit the context and the memory; an empty prompt never fits."""
        room = min(self.batch_size_tokens, self._context_tokens or self.batch_size_tokens)
        return bool(request.prompt) and request.max_total_tokens <= room

    def enqueue(self, sequence: SequenceState) -> None:
        """Append a sequence to the queue."""
        heapq.heappush(self._waiting, (sequence.batch, -sequence.request.max_total_tokens, sequence.number, sequence))

    def admit(self) -> None:
        """Move waiting sequences into free and new slots."""
        with_prefix: list[int] = []
        while self._free:
            sequence = self._peek()
            if sequence is None or sequence.request.max_total_tokens > self._cache.width:
                break
            self.active[self._free[0]] = self._start(sequence, self._free[0], with_prefix)
            self._free.popleft()
        self._close_gaps()  # gaps lie behind the slots refilled above, whose prefix is not written yet: these never move
        while (sequence := self._peek()) and len(self.active) < MAX_SEQUENCES:
            if not self._make_room(sequence.request.max_total_tokens):
                break
            self.active.append(self._start(sequence, len(self.active), with_prefix))
        if with_prefix:
            self._cache.write_prefix(self._prefix, torch.tensor(with_prefix, device=self._device))

    def release(self, slot: int) -> None:
        """Free the slot of a complete sequence; call in ascending order between two calls of `admit`."""
        self._free.append(slot)

    def reset(self) -> list[SequenceState]:
        """Release the cache's memory and return the sequences that were active, which have to start again."""
        self._cache.clear()
        free = set(self._free)
        interrupted = [sequence for slot, sequence in enumerate(self.active) if slot not in free]
        self.active.clear()
        self._free.clear()
        return interrupted

    def _peek(self) -> SequenceState | None:
        """Return the next waiting sequence, moving those that do not fit to `refused`."""
        while self._waiting:
            sequence = self._waiting[0][-1]
            if self.fits(sequence.request):
                return sequence
            heapq.heappop(self._waiting)
            self.refused.append(sequence)
        return None

    def _start(self, sequence: SequenceState, slot: int, with_prefix: list[int]) -> SequenceState:
        """Take the first waiting sequence off the queue, for `slot`."""
        heapq.heappop(self._waiting)
        length = len(self._prefix_tokens)
        if length and len(sequence.tokens) > length and sequence.tokens[:length] == self._prefix_tokens:
            sequence.cached = length
            with_prefix.append(slot)
        return sequence

    def _close_gaps(self) -> None:
        """Move the last sequences into the free slots, so that the active ones are the first of the cache."""
        while self._free:
            slot, last = self._free.pop(), self.active.pop()
            if slot < len(self.active):
                self.active[slot] = last
                self._cache.copy_slot(len(self.active), slot, last.cached)

    def _make_room(self, needed_tokens: int) -> bool:
        """Return True if there is a slot for a sequence of `needed_tokens`, after resizing the cache if that creates one."""
        if needed_tokens <= self._cache.width and len(self.active) < self._cache.slots:
            return True
        longest = max([needed_tokens, *(sequence.request.max_total_tokens for sequence in self.active)])
        width = min(-(-longest // _WIDTH_STEP_TOKENS) * _WIDTH_STEP_TOKENS, self.batch_size_tokens)
        slots = min(self.batch_size_tokens // width, MAX_SEQUENCES, len(self.active) + len(self._waiting))
        gains_little = slots < _MIN_GROWTH * self._cache.slots and needed_tokens <= self._cache.width
        if slots <= len(self.active) or (self.active and gains_little):
            return False
        self._cache.resize(slots, width, len(self.active))
        return True
