"""Who changed a file, when and with what: what goes into its own processing history."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Step:
    """The step that corrected a document: the version of ocrray, the `corrector` with its model, and when the run ended."""

    version: str
    corrector: str
    finished: datetime

    @property
    def date(self) -> str:
        """When the run ended, in UTC, as XML Schema writes it."""
        return self.finished.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def description(self) -> str:
        """What was done, in one line."""
        return (
            f"text corrected by ocrray {self.version} ({self.corrector})"
            if self.corrector
            else f"text corrected by ocrray {self.version}"
        )
