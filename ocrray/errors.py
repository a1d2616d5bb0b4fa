"""The project's exceptions: message first and every other argument optional, so that they survive pickling in Ray."""


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
