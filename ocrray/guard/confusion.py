"""Confusion model: which character groups OCR misreads as which, and how often."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ocrray.errors import ConfigError
from ocrray.records import Edit
from ocrray.text.edits import edits_between

UNKNOWN_BITS = 18.0  # cost of a character confusion that was never observed


@dataclass(frozen=True)
class Confusions:
    """Costs of observed confusions."""

    bits: dict[str, dict[str, float]]
    """`{printed: {read: bits}}`: -log2 of the confusion's share of all misreadings; `printed` with or without its neighbours."""

    @classmethod
    def fit(cls, pairs: Iterable[tuple[str, str]], min_count: int = 5) -> "Confusions":
        """Count the differences in (clean, read) pairs; confusions seen fewer than `min_count` times are left out."""
        counts: Counter[tuple[str, str]] = Counter()
        total = 0
        for clean, read in pairs:
            for edit in edits_between(clean, read):
                total += 1
                counts.update(set(_in_contexts(clean, edit)))
        table: dict[str, dict[str, float]] = {}
        for (printed, seen), count in sorted(counts.items()):
            if count >= min_count and len(printed) <= 4 and len(seen) <= 5:
                table.setdefault(printed, {})[seen] = round(-math.log2(count / total), 2)
        return cls(table)

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(self.bits, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Confusions":
        """Read a file written by `save`.

        Raises: ConfigError: when the file cannot be read as JSON.
        """
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: not a confusion model of the guard: {error}") from None

    def cost(self, printed: str, read: str) -> tuple[float, float]:
        """Return the bits needed to explain that `printed` was read as `read`: (sum over all misreadings, highest of one)."""
        costs = [self._edit_bits(printed, edit) for edit in edits_between(printed, read)]
        return sum(costs), max(costs, default=0.0)

    def _edit_bits(self, clean: str, edit: Edit) -> float:
        known = [self.bits[printed][seen] for printed, seen in _in_contexts(clean, edit) if seen in self.bits.get(printed, ())]
        if known:
            return min(known)
        length = max(len(edit.raw), len(edit.corrected))
        if length == 1:
            return UNKNOWN_BITS
        pairs = ((edit.raw[place : place + 1], edit.corrected[place : place + 1]) for place in range(length))
        return sum(self.bits.get(printed, {}).get(seen, UNKNOWN_BITS) for printed, seen in pairs if printed != seen)


def _in_contexts(clean: str, edit: Edit) -> Iterator[tuple[str, str]]:
    """Yield (printed, read) of the edit alone, with its left, its right and both neighbouring characters."""
    left, right = clean[max(0, edit.start - 1) : edit.start], clean[edit.end : edit.end + 1]
    for before, after in (("", ""), (left, ""), ("", right), (left, right)):
        yield before + edit.raw + after, before + edit.corrected + after
