"""Whether an edit is one that OCR errors explain: how often each group of characters is misread as each other."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ocrray.errors import ConfigError
from ocrray.records import Edit
from ocrray.text.edits import edits_between

UNKNOWN_BITS = 18.0  # a character that was never seen misread as this one


@dataclass(frozen=True)
class Confusions:
    """`{printed: {read: bits}}`, printed with or without a neighbour: -log2 of its share of all misreadings."""

    bits: dict[str, dict[str, float]]

    @classmethod
    def fit(cls, pairs: Iterable[tuple[str, str]], min_count: int = 5) -> "Confusions":
        """Count what differs in (clean, read) pairs; rarer confusions than this are left out."""
        counts: Counter[tuple[str, str]] = Counter()
        total = 0
        for clean, read in pairs:
            for edit in edits_between(clean, read):
                total += 1
                counts.update(set(_views(clean, edit)))
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
        """Read what `save` wrote; raises ConfigError when the file holds no confusions."""
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: holds no confusions: {error}") from None

    def cost(self, printed: str, read: str) -> tuple[float, float]:
        """Bits to explain that `printed` was read as `read`: of all misreadings together, and of the least likely one."""
        costs = [self._edit_bits(printed, edit) for edit in edits_between(printed, read)]
        return sum(costs), max(costs, default=0.0)

    def _edit_bits(self, clean: str, edit: Edit) -> float:
        known = [self.bits[printed][seen] for printed, seen in _views(clean, edit) if seen in self.bits.get(printed, ())]
        if known:
            return min(known)
        length = max(len(edit.raw), len(edit.corrected))
        if length == 1:
            return UNKNOWN_BITS
        pieces = ((edit.raw[place : place + 1], edit.corrected[place : place + 1]) for place in range(length))
        return sum(self.bits.get(printed, {}).get(seen, UNKNOWN_BITS) for printed, seen in pieces if printed != seen)


def _views(clean: str, edit: Edit) -> Iterator[tuple[str, str]]:
    """The edit bare and with its neighbours."""
    left, right = clean[max(0, edit.start - 1) : edit.start], clean[edit.end : edit.end + 1]
    for before, after in (("", ""), (left, ""), ("", right), (left, right)):
        yield before + edit.raw + after, before + edit.corrected + after
