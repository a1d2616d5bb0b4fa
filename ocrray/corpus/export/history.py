"""Entry in a file's processing history."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class ProcessingStep:
    """Processing step that corrected a file: version of ocrray, `corrector` with its model, end of the run."""

    version: str
    corrector: str
    finished: datetime

    @property
    def date(self) -> str:
        """End of the run, in UTC, in the format of XML Schema."""
        return self.finished.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def description(self) -> str:
        """Description without date."""
        return f"text corrected by ocrray {self.version}" + (f" ({self.corrector})" if self.corrector else "")

    @property
    def line(self) -> str:
        """Description and date."""
        return f"{self.description} {self.date}"

    @property
    def comment(self) -> str:
        """`line` as an XML comment, for a file without an element for its history."""
        return f"<!-- {re.sub('-(?=-)', '- ', self.line)} -->"
