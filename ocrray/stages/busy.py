"""Time of calls of a stage that overlap in several threads."""

import time
from threading import Lock


class BusyClock:
    """Charge each call with its share of the time, so that the seconds of all calls add up to those in which any call ran."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls = 0
        self._last = self._share_s = 0.0

    def __reduce__(self) -> tuple[type["BusyClock"], tuple[()]]:
        return BusyClock, ()  # a stage that is sent to another process has its own clock there

    def start(self) -> float:
        """Begin a call; returns the value that `stop` takes."""
        return self._change(1)

    def stop(self, started: float) -> float:
        """End a call; returns the seconds that it is charged with."""
        return self._change(-1) - started

    def _change(self, calls: int) -> float:
        with self._lock:
            now = time.perf_counter()
            if self._calls:
                self._share_s += (now - self._last) / self._calls
            self._last = now
            self._calls += calls
            return self._share_s
