"""Splits a long text into passages that fit a model; joined, the passages are the text."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

import regex

# Where to cut, best first; a cut falls after the match.
_PARAGRAPH_END = regex.compile(r"(?:\r\n|[\n\r\u2029])[^\S\n\r]*[\n\r\u2029]\s*")
_LINE_END = regex.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")
_SENTENCE_END = regex.compile(r"[.!?…।॥][\p{Pe}\p{Pf}\"']*\s+|[。！？][\p{Pe}\p{Pf}]*")
_SPACE = regex.compile(r"\s+")
_LEVELS = (_PARAGRAPH_END, _LINE_END, _SENTENCE_END, _SPACE)
_CLUSTER = regex.compile(r"\X")
_FIRST_GUESS = 1_000  # clusters


def split(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Split `text` into passages that each `fits` or are one grapheme cluster; an empty text has no passages.

    A passage ends after a paragraph, else a line, a sentence, a word, and only inside a word when nothing else is in reach.
    `fits` should be (roughly) true of every beginning of a text that fits; it is called O(passages x log(characters)) times.
    """
    if not text:
        return []
    if fits(text):
        return [text]
    bounds = _cluster_bounds(text)
    last = len(bounds) - 1
    passages, first, reach = [], 0, _FIRST_GUESS
    while first < last:
        end = _longest(text, bounds, first, reach, fits)
        reach = end - first
        if end < last:
            end = _natural_end(text, bounds, first, end, fits)
        passages.append(text[bounds[first] : bounds[end]])
        first = end
    return passages


def frame(passage: str) -> tuple[str, str, str]:
    """Split a passage into leading white space, the text that goes to a model, and trailing white space."""
    core = passage.strip()
    if len(core) == len(passage):
        return "", passage, ""
    start = passage.index(core) if core else len(passage)
    return passage[:start], core, passage[start + len(core) :]


def _cluster_bounds(text: str) -> Sequence[int]:
    """Return the offsets at which a cut may fall: 0, then the end of every grapheme cluster."""
    if text.isascii() and "\r" not in text:
        return range(len(text) + 1)
    return array("q", [0, *(match.end() for match in _CLUSTER.finditer(text))])


def _longest(text: str, bounds: Sequence[int], first: int, reach: int, fits: Callable[[str], bool]) -> int:
    """Return the index into `bounds` where the longest passage from `first` ends, within 3 %; `reach` clusters is a first guess.

    Passages of a text have similar lengths, so the search begins near the last one: two or three calls of `fits`, not ten.
    """
    low, high = first + 1, len(bounds) - 1
    probe, step = min(first + max(2, reach), high), max(1, reach // 32)
    while high - low > (low - first) // 32:
        taken = fits(text[bounds[first] : bounds[probe]])
        low, high = (probe, high) if taken else (low, probe - 1)
        middle = (low + high + 1) // 2
        probe = min(middle, probe + step) if taken else max(middle, probe - step)
        step *= 2
    return low


def _natural_end(text: str, bounds: Sequence[int], first: int, limit: int, fits: Callable[[str], bool]) -> int:
    """Return the index into `bounds`, at most `limit`, of the best place to end a passage that starts at `first`."""
    start, span, rest = bounds[first], bounds[limit] - bounds[first], len(text) - bounds[first]
    if rest < 1.5 * span:  # the next passage is the last: two of about the same length rather than a tiny tail
        shortest, longest = rest - 0.95 * span, 0.55 * rest
    else:
        shortest, longest = 0.5 * span, span
    end = None
    for low, high in ((shortest, longest), (0, span)):
        for level in _LEVELS:
            end = end or _last_end(level, text, bounds, start + int(low), start + int(high))
    end = end or max(first + 1, bisect_right(bounds, start + int(longest)) - 1)
    return end if end == limit or fits(text[start : bounds[end]]) else limit


def _last_end(level: regex.Pattern[str], text: str, bounds: Sequence[int], low: int, high: int) -> int | None:
    """Return the index into `bounds` of the cluster in which the last match of `level` in `text[low:high]` ends."""
    matches = list(level.finditer(text, low, high))
    return bisect_left(bounds, matches[-1].end()) if matches else None
