"""Character confusions: what stands in a text where the truth has something else."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

MAX_CHARS = 4
"""Longest side of a confusion; longer differences are counted, but not told apart."""
_MAX_DISTINCT = 200_000  # some 50 MB; beyond that the rarer half is forgotten

Confusion = tuple[str, str]
"""Characters of the truth, and those that the text has in their place; either may be empty."""


@dataclass(slots=True)
class Confusions:
    """Numbers of confusions in the raw and in the corrected texts, and of differences that are longer than `MAX_CHARS`."""

    raw: Counter[Confusion] = field(default_factory=Counter)
    corrected: Counter[Confusion] = field(default_factory=Counter)
    raw_longer: int = 0
    corrected_longer: int = 0

    def add(self, raw: str, corrected: str, truth: str) -> None:
        """Count the confusions of one record; the texts must be normalised."""
        before = _differences(raw, truth)
        after = before if corrected == raw else _differences(corrected, truth)
        self.raw.update(pair for pair in before if _is_short(pair))
        self.corrected.update(pair for pair in after if _is_short(pair))
        self.raw_longer += sum(not _is_short(pair) for pair in before)
        self.corrected_longer += sum(not _is_short(pair) for pair in after)

    def merge(self, other: "Confusions") -> None:
        """Add the confusions of other records."""
        for own, others in ((self.raw, other.raw), (self.corrected, other.corrected)):
            own.update(others)
            if len(own) > _MAX_DISTINCT:
                for pair, _ in own.most_common()[_MAX_DISTINCT // 2 :]:
                    del own[pair]
        self.raw_longer += other.raw_longer
        self.corrected_longer += other.corrected_longer

    def most_frequent(self, number: int) -> list[tuple[Confusion, int, int]]:
        """Return the confusions that are most frequent in either text, with their numbers in the raw and in the corrected one."""
        every = self.raw | self.corrected  # the larger of both numbers
        ranked = sorted(every, key=lambda pair: (-every[pair], -self.raw[pair], pair))[:number]
        return [(pair, self.raw[pair], self.corrected[pair]) for pair in ranked]


def confusions_of(raw: Sequence[str], corrected: Sequence[str], truth: Sequence[str]) -> Confusions:
    """Return the confusions in normalised texts of many records."""
    found = Confusions()
    for texts in zip(raw, corrected, truth, strict=True):
        found.add(*texts)
    return found


def _differences(text: str, truth: str) -> list[Confusion]:
    return [] if text == truth else list(_runs(text, truth))


def _runs(text: str, truth: str) -> Iterator[Confusion]:
    """Yield the differences of a minimal alignment, neighbours joined: `rn` read as `m` is one, not two."""
    true, read = "", ""
    for op in Levenshtein.opcodes(truth, text):
        if op.tag != "equal":
            true, read = true + truth[op.src_start : op.src_end], read + text[op.dest_start : op.dest_end]
        elif true or read:
            yield from _parts(true, read)
            true = read = ""
    if true or read:
        yield from _parts(true, read)


def _parts(true: str, read: str) -> Iterator[Confusion]:
    """Yield one difference, or, where it is long and both sides are equally long, its characters one by one."""
    if len(true) == len(read) > MAX_CHARS:
        yield from ((left, right) for left, right in zip(true, read, strict=True) if left != right)
    else:
        yield true, read


def _is_short(pair: Confusion) -> bool:
    return len(pair[0]) <= MAX_CHARS and len(pair[1]) <= MAX_CHARS
