"""`engine: fake`: literal replacements instead of a model, to test and to time a pipeline. It corrects nothing."""

import time
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from ocrray.config import StrictModel
from ocrray.engines.base import Correction, EngineInfo
from ocrray.errors import EngineError


class FakeConfig(StrictModel):
    """Without settings every text comes back as it is."""

    engine: Literal["fake"]
    replace: dict[str, str] = Field(default_factory=dict)
    """Each key becomes its value, in this order."""
    delay_s: NonNegativeFloat = 0.0
    """Seconds that every text takes."""
    max_chars: PositiveInt | None = None
    """The longest text that fits; null takes any."""
    fail_on: str | None = None
    """A text that holds this raises EngineError."""


def check(config: FakeConfig) -> EngineInfo:  # noqa: ARG001 (every engine's check takes its config)
    """Always the same: nothing can be wrong with it."""
    return EngineInfo(engine="fake")


class FakeCorrector:
    """Replaces literally, deterministically, text by text."""

    def __init__(self, config: FakeConfig) -> None:
        self.info = check(config)
        self._config = config

    def fits(self, text: str) -> bool:
        """Whether `text` is no longer than `max_chars`."""
        return self._config.max_chars is None or len(text) <= self._config.max_chars

    def correct(self, texts: Sequence[str]) -> list[Correction]:
        """Raises EngineError at a text that holds `fail_on`."""
        return [self._correct(text) for text in texts]

    def close(self) -> None:
        """Nothing to let go."""

    def _correct(self, text: str) -> Correction:
        if self._config.delay_s:
            time.sleep(self._config.delay_s)
        if self._config.fail_on is not None and self._config.fail_on in text:
            raise EngineError(f"the fake corrector fails on {self._config.fail_on!r}, as configured")
        for old, new in self._config.replace.items():
            text = text.replace(old, new)
        return Correction(text)
