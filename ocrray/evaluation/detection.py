"""Error detection on tokens, as the ICDAR competitions on post-OCR text correction count it.

The definition is Task 1 (error detection) of the ICDAR 2017 and 2019 competitions on post-OCR text correction, as in
`task1_eval` of their evalTool_ICDAR2017.py: tokens of the raw text are separated by spaces; a token is wrong when it differs
from the truth aligned with it, the space before and after it included, so that split and merged words are wrong too.
Left out are tokens with a hyphen in or beside them and tokens whose truth holds `#`, which there stands for illegible text.
Their alignment is given, here it is a minimal set of character edits; they average over files, here tokens are summed.
"""

import re
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein, Opcodes

_HYPHENATED = re.compile(r"[^ ]*(?: ?-[^ ]|[^ ]- ?)[^ ]*")
_ILLEGIBLE = "#"


class Detection(NamedTuple):
    """Numbers of tokens of one raw text: wrong, changed by the corrector, and both."""

    wrong: int
    changed: int
    wrong_and_changed: int


class _Tokens:
    """Spans of the tokens of a text."""

    def __init__(self, text: str) -> None:
        spans = [match.span() for match in re.finditer(r"[^ ]+", text)]
        self.starts = [start for start, _ in spans]
        self.ends = [end for _, end in spans]

    def at(self, start: int, end: int) -> range:
        """Return the tokens that `text[start:end]` touches, the space before and after each included."""
        return range(bisect_left(self.ends, start), bisect_right(self.starts, end))

    def over(self, start: int, end: int) -> range:
        """Return the tokens that share a character with `text[start:end]`."""
        return range(bisect_right(self.ends, start), bisect_left(self.starts, end))


def detect(raw: str, corrected: str, truth: str) -> Detection:
    """Count the tokens of `raw`; the texts must be normalised, with single spaces."""
    if raw == truth == corrected:
        return Detection(0, 0, 0)
    tokens = _Tokens(raw)
    to_truth = Levenshtein.opcodes(raw, truth)
    wrong = _touched(tokens, to_truth)
    changed = wrong if corrected == truth else _touched(tokens, Levenshtein.opcodes(raw, corrected))
    ignored = _ignored(tokens, raw, truth, to_truth)
    wrong, changed = wrong - ignored, changed - ignored
    return Detection(len(wrong), len(changed), len(wrong & changed))


def _touched(tokens: _Tokens, ops: Opcodes) -> set[int]:
    return {token for op in ops if op.tag != "equal" for token in tokens.at(op.src_start, op.src_end)}


def _ignored(tokens: _Tokens, raw: str, truth: str, to_truth: Opcodes) -> set[int]:
    ignored = {token for match in _HYPHENATED.finditer(raw) for token in tokens.over(*match.span())} if "-" in raw else set()
    if _ILLEGIBLE in truth:
        for op in to_truth:
            for place in range(op.dest_start, op.dest_end):
                if truth[place] == _ILLEGIBLE:
                    start = op.src_start if op.tag == "insert" else op.src_start + place - op.dest_start
                    ignored.update(tokens.at(start, start if op.tag == "insert" else start + 1))
    return ignored
