"""Exceptions of ocrray: message first and every other argument optional, so that Ray can pickle them."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")


class OcrrayError(Exception):
    """Base class of all errors that ocrray raises on purpose."""


class ConfigError(OcrrayError):
    """Invalid configuration or input; `str()` is shown to the user, one line a problem. Exit code 2."""


class RecordError(OcrrayError):
    """One record cannot be processed; it becomes a `failed` row with this `kind` and message, and the run goes on."""

    def __init__(self, message: str, kind: str = "unknown") -> None:
        super().__init__(message)
        self.kind = kind


class EngineError(OcrrayError):
    """An engine is broken or unreachable, so that no record can be processed; the run ends, and can be resumed.

    `transient` is True where waiting may help, and was tried: a server that is away or overloaded.
    """

    def __init__(self, message: str, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class StoreError(OcrrayError):
    """A file system or object store fails, so that no record can be read or written; the run ends, and can be resumed.

    `transient` is False where waiting would not help: a full disk, a bucket that does not exist.
    """

    def __init__(self, message: str, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class Problems(list[str]):
    """Problems of a config or an input, one line each, collected so that a user sees all of them at once."""

    def checked(
        self, check: Callable[Parameters, ResultT], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> ResultT | None:
        """Return `check(*args, **kwargs)`; where it raises ConfigError, add its lines to these problems and return None."""
        try:
            return check(*args, **kwargs)
        except ConfigError as error:
            self.extend(str(error).splitlines())
            return None

    def raise_if_any(self) -> None:
        """Raise ConfigError with every line, unless there is none."""
        if self:
            raise ConfigError("\n".join(self))
