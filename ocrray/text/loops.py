"""Text that says one thing over and over: the failure of language models that never come to an end."""

import re
from dataclasses import dataclass

_TAIL_CHARS = 4_000
_LEAST_REPEATS, _LEAST_CHARS = 4, 40
# Of a text that its model ended itself: registers and refrains repeat, too. Chosen, not fitted.
_LEAST_REPEATS_FINISHED, _LEAST_CHARS_FINISHED = 12, 240


@dataclass(frozen=True, slots=True)
class Loop:
    """A text that ends in `repeats` times `unit`; `start` is the offset of the first of them."""

    unit: str
    repeats: int
    start: int


def find_loop(text: str, *, finished: bool) -> Loop | None:
    """Return the loop that `text` ends in, None without one; `finished` is True where the model ended the text itself.

    A run without letters and digits (dot leaders, rules, columns of ditto marks) is a loop only in a text that is not finished.
    """
    repeats, chars = (_LEAST_REPEATS_FINISHED, _LEAST_CHARS_FINISHED) if finished else (_LEAST_REPEATS, _LEAST_CHARS)
    tail = text.rstrip()[-_TAIL_CHARS:] if finished else text[-_TAIL_CHARS:]
    best: Loop | None = None
    for period in range(1, len(tail) // repeats + 1):
        count = _repeats(tail, period)
        if count >= repeats and count * period >= chars and (best is None or count * period > best.repeats * len(best.unit)):
            best = Loop(tail[-period:], count, len(text.rstrip() if finished else text) - count * period)
    return None if best and finished and not re.search(r"\w", best.unit) else best


def _repeats(text: str, period: int) -> int:
    """Return how often the last `period` characters stand at the end of `text`."""
    unit, count = text[-period:], 1
    while text[-(count + 1) * period : -count * period] == unit:
        count += 1
    return count
