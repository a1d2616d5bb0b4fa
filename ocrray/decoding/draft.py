"""What a corrector is likely to write next: its own source, from the place that the output has reached.

    source   t b e _ q v i c k _ f o x
    output   t h e _ q u                     `at` stands behind `v`, so the draft is  i c k _ f o x

Both are compared as the strings of their tokens (`convert_ids_to_tokens`), in which every token keeps its spaces and bytes. So a
source and an output that are cut into tokens differently are aligned by characters all the same, and a draft from the middle of
a source token is cut anew, by the longest tokens that fit, until a boundary of the source is met again.

A draft is a guess: a wrong one costs time and never changes what is written.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

# Where the output's last n characters may stand in the source, at most so many characters from where they are expected.
_REACH_CHARS = ((8, 96), (5, 32), (3, 8), (2, 4), (1, 1))
_MISSES_TO_LOOKUP = 3  # drafts in a row of which nothing was right, before the output itself is asked,
_CHARS_TO_TRUST = 4  # until the output has followed the source for so long
_LOOKUP_TOKENS = 3
_FIRST_RUN_TOKENS = 10.0
_LOOKUP_REACH_TOKENS = 200


class Vocabulary:
    """The tokens of a tokenizer as strings, and back."""

    def __init__(self, tokenizer: Any) -> None:
        self.ids: dict[str, int] = tokenizer.get_vocab()
        self._pieces = {number: piece for piece, number in self.ids.items()}
        special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._pieces.update(dict.fromkeys(special, ""))
        self.longest = max(map(len, self.ids), default=1)

    def piece(self, token: int) -> str:
        """The string of a token; nothing for a special one, and for a number beyond the tokenizer's."""
        return self._pieces.get(token, "")

    def longest_token(self, text: str, start: int) -> int | None:
        """The longest token that `text` has at `start`, None without any."""
        for end in range(min(start + self.longest, len(text)), start, -1):
            token = self.ids.get(text[start:end])
            if token is not None:
                return token
        return None


class Draft:
    """Drafts for one output; to be told everything that the model writes.

    As many tokens are drafted as pay at the moment: about as many as were right lately, and somewhat more.
    """

    def __init__(self, source: Sequence[int], vocabulary: Vocabulary, end: int) -> None:
        self._vocabulary = vocabulary
        self._source = list(source)
        pieces = [vocabulary.piece(token) for token in self._source]
        self._text = "".join(pieces)
        self._boundaries = [0]  # where in `_text` each token starts, and the last one ends
        for piece in pieces:
            self._boundaries.append(self._boundaries[-1] + len(piece))
        self._end = end
        self._at = 0
        self._tail = ""
        self._run = _FIRST_RUN_TOKENS  # tokens that were right in a row, a moving average
        self._misses = 0
        self._followed = 0  # characters in a row that were the source's
        self._from_source = True
        self._output: list[int] = []

    def propose(self, room: int) -> list[int]:
        """At most `room` tokens that may come next."""
        length = min(room, int(self._run * 1.25) + 2)
        if length < 1 or not self._source:
            return []
        self._from_source = self._misses < _MISSES_TO_LOOKUP or self._followed >= _CHARS_TO_TRUST
        return self._ahead(length) if self._from_source else self._lookup(length)

    def written(self, tokens: Sequence[int], agreed: int, drafted: int) -> None:
        """Take note of what was written: the first `agreed` of the `drafted` tokens, then one token of the model's own."""
        self._output += tokens
        if drafted:
            if self._from_source:
                self._misses = 0 if agreed else self._misses + 1
            # A run that the draft's end cut off was longer than it shows.
            self._run += 0.3 * ((agreed if agreed < drafted else 2 * agreed) - self._run)
        pieces = [self._vocabulary.piece(token) for token in tokens]
        self._tail = (self._tail + "".join(pieces))[-_REACH_CHARS[0][0] :]
        if not self._from_source:
            agreed = 0
        copied = sum(map(len, pieces[:agreed]))
        self._at += copied
        self._followed += copied
        for piece in pieces[agreed:]:
            self._follow(piece)

    def _follow(self, piece: str) -> None:
        """Move on over a token that the draft did not hold."""
        expected = self._at + len(piece)
        if self._text.startswith(piece, self._at):
            self._at = expected
            self._followed += len(piece)
            return
        for size, reach in _REACH_CHARS:
            ending = self._tail[-size:]
            if len(ending) == size and (found := self._nearest(ending, expected, reach)) is not None:
                self._at, self._followed = found, size
                return
        self._at, self._followed = min(expected, len(self._text)), 0  # one misreading for another

    def _nearest(self, ending: str, expected: int, reach: int) -> int | None:
        """Where in the source `ending` ends, as near as possible to `expected`; the later of two that are equally near."""
        size = len(ending)
        lowest, highest = max(0, expected - reach - size), expected + reach
        later = self._text.find(ending, max(0, expected - size), highest)
        earlier = self._text.rfind(ending, lowest, max(0, expected - 1))
        ends = [start + size for start in (later, earlier) if start >= 0]
        return min(ends, key=lambda end: abs(end - expected), default=None)

    def _ahead(self, length: int) -> list[int]:
        """The source from `_at` on, and the end of the text behind its last token."""
        ahead: list[int] = []
        at = self._at
        while len(ahead) < length:
            number = bisect_left(self._boundaries, at)
            if number < len(self._boundaries) and self._boundaries[number] == at:
                ahead += self._source[number : number + length - len(ahead)]
                break
            token = self._vocabulary.longest_token(self._text, at)
            if token is None:
                return ahead
            ahead.append(token)
            at += len(self._vocabulary.piece(token))
        return [*ahead, self._end] if len(ahead) < length else ahead

    def _lookup(self, length: int) -> list[int]:
        """What followed the last tokens of the output when they were last written (Prompt Lookup Decoding, Saxena 2023)."""
        recent = self._output[-_LOOKUP_TOKENS:]
        for start in range(len(self._output) - _LOOKUP_TOKENS - 1, max(-1, len(self._output) - _LOOKUP_REACH_TOKENS), -1):
            if self._output[start : start + _LOOKUP_TOKENS] == recent:
                return self._output[start + _LOOKUP_TOKENS :][:length]
        return []
