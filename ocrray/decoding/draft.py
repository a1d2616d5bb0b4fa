"""Drafting of the next output tokens from the source text, at the position that the output has reached.

    source   t b e _ q v i c k _ f o x
    output   t h e _ q u                     the position is behind `v`, so the draft is  i c k _ f o x

Both are compared as the strings of their tokens (`convert_ids_to_tokens`), in which every token keeps its spaces and bytes.
Source and output are thus aligned by characters even if they are tokenized differently, and a draft that starts inside a source
token is retokenized with the longest tokens that match until a token boundary of the source is reached.

A wrong draft costs time and never changes the output.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ocrray.models.encoding import special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# (length, distance): the last `length` characters of the output are searched for in the source at most `distance` characters
# from the expected position.
_SEARCH_CHARS = ((8, 96), (5, 32), (3, 8), (2, 4), (1, 1))
_MISSES_TO_LOOKUP = 3  # consecutive drafts without a correct token, after which the output's own repetitions are drafted,
_CHARS_TO_TRUST = 4  # until the output has followed the source for this many characters
_LOOKUP_TOKENS = 3
_LOOKUP_DISTANCE_TOKENS = 200
_INITIAL_RUN_TOKENS = 10.0
_RUN_SMOOTHING = 0.3  # weight of the newest value in the moving average
_RUN_MARGIN = 1.25  # drafts are longer than the average run by this factor and by two tokens


class TokenStrings:
    """Mapping between the tokens of a tokenizer and their strings; special tokens have the empty string."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._ids: dict[str, int] = tokenizer.get_vocab()
        self._strings = {number: string for string, number in self._ids.items()}
        self._strings.update(dict.fromkeys(special_tokens(tokenizer), ""))
        self._max_chars = max(map(len, self._ids), default=1)

    def string(self, token: int) -> str:
        """Return the string of a token id; empty for a special or unknown one."""
        return self._strings.get(token, "")

    def longest_token(self, text: str, start: int) -> int | None:
        """Return the id of the longest token that `text` has at `start`; None if no token matches."""
        for end in range(min(start + self._max_chars, len(text)), start, -1):
            token = self._ids.get(text[start:end])
            if token is not None:
                return token
        return None


class Drafter:
    """Drafts for one output, which has to be reported token by token with `update`.

    The length of a draft follows a moving average of how many tokens were correct.
    """

    def __init__(self, source: Sequence[int], strings: TokenStrings, end: int) -> None:
        """Start at the beginning of `source` (token ids); `end` is the id of the end-of-text token."""
        self._strings = strings
        self._source = list(source)
        pieces = [strings.string(token) for token in self._source]
        self._text = "".join(pieces)
        self._boundaries = [0]  # character offsets in `_text` of the start of each token and of the end of the last
        for piece in pieces:
            self._boundaries.append(self._boundaries[-1] + len(piece))
        self._end = end
        self._position = 0  # character offset in `_text`
        self._tail = ""  # last characters of the output
        self._run_tokens = _INITIAL_RUN_TOKENS  # moving average of consecutive correct tokens
        self._misses = 0
        self._followed_chars = 0  # consecutive output characters that were the source's
        self._from_source = True  # origin of the last draft
        self._output: list[int] = []

    def propose(self, max_tokens: int) -> list[int]:
        """Return at most `max_tokens` token ids that are likely to come next."""
        length = min(max_tokens, int(self._run_tokens * _RUN_MARGIN) + 2)
        if length < 1 or not self._source:
            return []
        self._from_source = self._misses < _MISSES_TO_LOOKUP or self._followed_chars >= _CHARS_TO_TRUST
        return self._from_position(length) if self._from_source else self._from_output(length)

    def update(self, tokens: Sequence[int], accepted: int, drafted: int) -> None:
        """Report the next output tokens: the first `accepted` of `drafted` proposed ones, then one the model chose itself."""
        self._output += tokens
        if drafted:
            if self._from_source:
                self._misses = 0 if accepted else self._misses + 1
            # A run that ended with the draft would have been longer.
            run_tokens = accepted if accepted < drafted else 2 * accepted
            self._run_tokens += _RUN_SMOOTHING * (run_tokens - self._run_tokens)
        pieces = [self._strings.string(token) for token in tokens]
        self._tail = (self._tail + "".join(pieces))[-_SEARCH_CHARS[0][0] :]
        copied_tokens = accepted if self._from_source else 0
        copied_chars = sum(map(len, pieces[:copied_tokens]))
        self._position += copied_chars
        self._followed_chars += copied_chars
        for piece in pieces[copied_tokens:]:
            self._follow(piece)

    def _follow(self, piece: str) -> None:
        """Move the position past an output token that was not drafted from the source."""
        expected = self._position + len(piece)
        if self._text.startswith(piece, self._position):
            self._position = expected
            self._followed_chars += len(piece)
            return
        for length, distance in _SEARCH_CHARS:
            ending = self._tail[-length:]
            if len(ending) == length and (found := self._nearest(ending, expected, distance)) is not None:
                self._position, self._followed_chars = found, length
                return
        self._position, self._followed_chars = min(expected, len(self._text)), 0  # assume a substitution of equal length

    def _nearest(self, ending: str, expected: int, distance: int) -> int | None:
        """Return the offset nearest to `expected` at which `ending` ends in the source; of two equally near the later one."""
        length = len(ending)
        lowest, highest = max(0, expected - distance - length), expected + distance
        later = self._text.find(ending, max(0, expected - length), highest)
        earlier = self._text.rfind(ending, lowest, max(0, expected - 1))
        ends = [start + length for start in (later, earlier) if start >= 0]
        return min(ends, key=lambda end: abs(end - expected), default=None)

    def _from_position(self, length: int) -> list[int]:
        """Return the source tokens from the position on, and the end-of-text token behind the last."""
        tokens: list[int] = []
        position = self._position
        while len(tokens) < length:
            number = bisect_left(self._boundaries, position)
            if number < len(self._boundaries) and self._boundaries[number] == position:
                tokens += self._source[number : number + length - len(tokens)]
                break
            token = self._strings.longest_token(self._text, position)
            if token is None:
                return tokens
            tokens.append(token)
            position += len(self._strings.string(token))
        return [*tokens, self._end] if len(tokens) < length else tokens

    def _from_output(self, length: int) -> list[int]:
        """Return what followed the last three output tokens at their previous occurrence (prompt lookup, Saxena 2023)."""
        recent = self._output[-_LOOKUP_TOKENS:]
        first = max(-1, len(self._output) - _LOOKUP_DISTANCE_TOKENS)
        for start in range(len(self._output) - _LOOKUP_TOKENS - 1, first, -1):
            if self._output[start : start + _LOOKUP_TOKENS] == recent:
                return self._output[start + _LOOKUP_TOKENS :][:length]
        return []
