"""The project's exceptions: message first and every other argument optional, so that they survive pickling in Ray."""

from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")


class OcrrayError(Exception):
    """Anything that ocrray raises on purpose."""


class ConfigError(OcrrayError):
    """The configuration or the input cannot be run; `str()` is what a user reads, one line a problem. Exit code 2."""


class RecordError(OcrrayError):
    """One record cannot be processed; it becomes a `failed` row with this `kind` and message, and the run goes on."""

    def __init__(self, message: str, kind: str = "unknown") -> None:
        super().__init__(message)
        self.kind = kind


class EngineError(OcrrayError):
    """An engine itself is broken or out of reach; `retryable` says whether the same call may succeed later."""

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class Problems(list[str]):
    """What is wrong with a config or an input, a line each, gathered so that a user is told all of it at once."""

    def checked(self, check: Callable[[], ResultT]) -> ResultT | None:
        """What `check` returns; None where it raises ConfigError, whose lines are gathered."""
        try:
            return check()
        except ConfigError as error:
            self.extend(str(error).splitlines())
            return None

    def raise_if_any(self) -> None:
        """Raise ConfigError with every line, unless there is none."""
        if self:
            raise ConfigError("\n".join(self))
