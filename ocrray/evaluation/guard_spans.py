"""Precision and recall of a run's guard: every span applied alone, against the truth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ocrray.guard.labels import span_gains
from ocrray.guard.spans import spans_of
from ocrray.records import edits_from_rows


@dataclass(slots=True)
class GuardSpans:
    """Counts of refused and accepted spans; a span is wrong when it alone increases its record's distance to the truth.

    A span that leaves the distance as it is, in white space for instance, is not wrong.
    """

    refused: int = 0
    refused_wrong: int = 0
    accepted: int = 0
    accepted_wrong: int = 0

    @property
    def wrong(self) -> int:
        """Number of wrong spans, refused or accepted."""
        return self.refused_wrong + self.accepted_wrong

    @property
    def precision(self) -> float | None:
        """Fraction of the refused spans that are wrong; None where none is refused."""
        return self.refused_wrong / self.refused if self.refused else None

    @property
    def recall(self) -> float | None:
        """Fraction of the wrong spans that are refused; None where none is wrong."""
        return self.refused_wrong / self.wrong if self.wrong else None

    @property
    def accepted_wrong_frac(self) -> float | None:
        """Fraction of the accepted spans that are wrong; None where none is accepted."""
        return self.accepted_wrong / self.accepted if self.accepted else None

    def add(self, gains: Iterable[int], *, accepted: bool) -> None:
        """Count spans by the characters by which each alone reduces its record's distance to the truth."""
        gains = list(gains)
        wrong = sum(gain < 0 for gain in gains)
        if accepted:
            self.accepted, self.accepted_wrong = self.accepted + len(gains), self.accepted_wrong + wrong
        else:
            self.refused, self.refused_wrong = self.refused + len(gains), self.refused_wrong + wrong

    def add_record(self, raw: str, truth: str, run_values: Mapping[str, Any]) -> None:
        """Count the spans of one record of a run, from its columns `edits` and `refused_edits`."""
        for name, accepted in (("edits", True), ("refused_edits", False)):
            edits = edits_from_rows(run_values.get(name))
            self.add(span_gains(raw, spans_of(raw, edits), truth) if edits else (), accepted=accepted)

    def as_json(self) -> dict[str, float | None]:
        """Return counts and rates by name."""
        names = ("refused", "refused_wrong", "accepted", "accepted_wrong", "precision", "recall", "accepted_wrong_frac")
        return {name: getattr(self, name) for name in names}
