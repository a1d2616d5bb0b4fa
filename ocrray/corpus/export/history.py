"""Who changed a file, when and with what: what goes into its own processing history."""

import re
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
        """What was done."""
        return f"text corrected by ocrray {self.version}" + (f" ({self.corrector})" if self.corrector else "")

    @property
    def line(self) -> str:
        """What was done, and when."""
        return f"{self.description} {self.date}"

    @property
    def comment(self) -> str:
        """The same as a comment, for a file that has no place for its history."""
        return f"<!-- {re.sub('-(?=-)', '- ', self.line)} -->"
