"""Records kept with their texts for the report: those made worst, those with refused corrections, and a random sample."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """One record with its texts and counts."""

    id: str
    raw: str
    corrected: str
    truth: str
    counts: dict[str, int]
    """Values of `counts.COUNTS`."""
    labels: tuple[str, ...] = ()
    """Language, source or stratum."""
    guard: dict[str, Any] = field(default_factory=dict)
    """Of a run: the columns `inputs.GUARD_COLUMNS`."""
    wrong_fields: list[str] | None = None
    """Paths of the wrong fields; None where fields are not scored."""

    @property
    def is_refused(self) -> bool:
        """True where the guard refused all or part of the correction."""
        return bool(self.guard.get("refused_edits")) or self.guard.get("status") == "kept_raw"


@dataclass(slots=True)
class TopRecords:
    """Keeps the `size` records of the highest rank among all offered."""

    size: int
    _best: list[tuple[float, float, ReportRecord]] = field(default_factory=list)

    def offer(self, rank: float, tie_break: float, record: ReportRecord) -> None:
        """Consider a record; of equal rank the one with the higher `tie_break` stays."""
        self._best.append((rank, tie_break, record))
        if len(self._best) > 2 * self.size:
            self._trim()

    @property
    def records(self) -> list[ReportRecord]:
        """Records kept, highest rank first."""
        self._trim()
        return [record for *_, record in self._best]

    def _trim(self) -> None:
        self._best = sorted(self._best, key=lambda entry: entry[:2], reverse=True)[: self.size]


class RecordSelection:
    """Selects at most `size` records: up to 30 % made worst, up to 20 % with a refused correction, the rest at random.

    Of `answers_only` the worst ones take the place of those made worst.
    """

    def __init__(self, size: int, *, answers_only: bool = False) -> None:
        self._size = size
        self._answers_only = answers_only
        self._made_worse = TopRecords(size * 3 // 10)
        self._refused = TopRecords(size * 2 // 10)
        self._any = TopRecords(size)

    def offer(self, record: ReportRecord, random_key: float) -> None:
        """Consider a record; `random_key`, uniform in 0..1, decides among equals."""
        self._any.offer(0, random_key, record)
        errors = record.counts["corrected_distance"]
        added_errors = errors if self._answers_only else errors - record.counts["raw_distance"]
        if added_errors > 0:
            self._made_worse.offer(added_errors, random_key, record)
        if record.is_refused:
            self._refused.offer(0, random_key, record)

    @property
    def records(self) -> list[ReportRecord]:
        """Selected records, each once, those made worse and refused first."""
        everything = [record for top in (self._made_worse, self._refused, self._any) for record in top.records]
        return list({id(record): record for record in everything}.values())[: self._size]
