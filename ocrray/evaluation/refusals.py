"""Whether the guard refused the right changes: every span of a run, made alone, against the truth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ocrray.guard.labels import span_gains
from ocrray.guard.spans import spans_of
from ocrray.records import edits_from_rows


@dataclass(slots=True)
class Refusals:
    """Spans that the guard refused and let pass; one is wrong when it alone takes its record further from the truth.

    A span that changes nothing for better or worse, in white space say, is neither wrong nor a loss.
    """

    refused: int = 0
    refused_wrong: int = 0
    accepted: int = 0
    accepted_wrong: int = 0

    @property
    def precision(self) -> float | None:
        """Share of the refused spans that are wrong; None where none is refused."""
        return self.refused_wrong / self.refused if self.refused else None

    @property
    def recall(self) -> float | None:
        """Share of the wrong spans that are refused; None where none is wrong."""
        wrong = self.refused_wrong + self.accepted_wrong
        return self.refused_wrong / wrong if wrong else None

    @property
    def accepted_wrong_frac(self) -> float | None:
        """Share of the accepted spans that are wrong; None where none is accepted."""
        return self.accepted_wrong / self.accepted if self.accepted else None

    def add(self, gains: Iterable[int], *, accepted: bool) -> None:
        """Count spans by how many characters nearer to the truth each alone brings its record."""
        gains = list(gains)
        wrong = sum(gain < 0 for gain in gains)
        if accepted:
            self.accepted, self.accepted_wrong = self.accepted + len(gains), self.accepted_wrong + wrong
        else:
            self.refused, self.refused_wrong = self.refused + len(gains), self.refused_wrong + wrong

    def add_record(self, raw: str, truth: str, of_run: Mapping[str, Any]) -> None:
        """Count the spans of one record of a run, from its `edits` and `refused_edits`."""
        for name, accepted in (("edits", True), ("refused_edits", False)):
            edits = edits_from_rows(of_run.get(name))
            self.add(span_gains(raw, spans_of(raw, edits), truth) if edits else (), accepted=accepted)

    def as_json(self) -> dict[str, float | None]:
        """Counts and rates by name."""
        names = ("refused", "refused_wrong", "accepted", "accepted_wrong", "precision", "recall", "accepted_wrong_frac")
        return {name: getattr(self, name) for name in names}
