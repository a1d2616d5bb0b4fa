"""Seconds that the phases of a run take."""

import time
from collections.abc import Mapping


class Stopwatch:
    """Charges the time since the last lap to a phase; `seconds` are those of the phases in their order."""

    def __init__(self, before: Mapping[str, float]) -> None:
        """Start; `before` holds phases that have ended already."""
        self.seconds = dict(before)
        self._last = time.monotonic()

    def lap(self, phase: str) -> None:
        """End this phase."""
        now = time.monotonic()
        self.seconds[phase] = now - self._last
        self._last = now
