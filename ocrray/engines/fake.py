"""`engine: fake`: fixed lines instead of a recognizer and literal replacements instead of a corrector, to test and time runs."""

import time
from collections.abc import Sequence
from typing import ClassVar, Literal

from PIL import Image
from pydantic import Field, NonNegativeFloat, PositiveInt

from ocrray.engines.base import CorrectionResult, CorrectorConfig, EngineInfo, LineRecognizer, RecognizerConfig
from ocrray.errors import EngineError
from ocrray.records import Line

_ROWS_PER_BLOCK = 1 << 15  # a whole part of the work list


class FakeRecognizerConfig(RecognizerConfig):
    """Return the same lines for every page."""

    rows_per_block: ClassVar[int] = _ROWS_PER_BLOCK

    engine: Literal["fake"]
    lines: tuple[str, ...] = ()
    """Text of each line; none: every page is blank."""
    delay_s: NonNegativeFloat = 0.0
    """Seconds that each page takes."""

    def check(self, section: str) -> EngineInfo:  # noqa: ARG002 (nothing can be wrong)
        return EngineInfo(engine="fake")

    def open(self) -> "FakeRecognizer":
        return FakeRecognizer(self)


class FakeRecognizer(LineRecognizer):
    """Recognizer that does not look at the page."""

    def __init__(self, config: FakeRecognizerConfig) -> None:
        self.info = config.check("recognize")
        self._config = config

    def recognize(self, image: Image.Image) -> list[Line]:  # noqa: ARG002 (not looked at)
        """Return the configured lines, without boxes."""
        time.sleep(self._config.delay_s)
        return [Line(text) for text in self._config.lines]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


class FakeConfig(CorrectorConfig):
    """Replace literally; without settings every text stays as it is."""

    rows_per_block: ClassVar[int] = _ROWS_PER_BLOCK
    needs_pool: ClassVar[bool] = False

    engine: Literal["fake"]
    replace: dict[str, str] = Field(default_factory=dict)
    """Each key is replaced by its value, in this order."""
    delay_s: NonNegativeFloat = 0.0
    """Seconds that each text takes."""
    max_chars: PositiveInt | None = None
    """Longest text that fits, in characters; null: any."""
    fail_on: str | None = None
    """A text that contains this raises EngineError; null: none does."""

    def check(self, section: str) -> EngineInfo:  # noqa: ARG002 (nothing can be wrong)
        return EngineInfo(engine="fake")

    def open(self) -> "FakeCorrector":
        return FakeCorrector(self)


class FakeCorrector:
    """Corrector that replaces literally."""

    def __init__(self, config: FakeConfig) -> None:
        self.info = config.check("correct")
        self._config = config

    def fits(self, text: str) -> bool:
        """Return whether `text` is no longer than `max_chars`."""
        return self._config.max_chars is None or len(text) <= self._config.max_chars

    def correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        """Replace in each text.

        Raises:
            EngineError: at a text that contains `fail_on`.
        """
        return [self._correct(text) for text in texts]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _correct(self, text: str) -> CorrectionResult:
        if self._config.delay_s:
            time.sleep(self._config.delay_s)
        if self._config.fail_on is not None and self._config.fail_on in text:
            raise EngineError(f"the fake corrector fails on {self._config.fail_on!r}, as configured")
        for old, new in self._config.replace.items():
            text = text.replace(old, new)
        return CorrectionResult(text)
