"""Pace of requests to a server: limits a minute, and pauses that the server asks for."""

import threading
import time


class Throttle:
    """Keeps the requests of one client, in any number of threads, to a pace.

    Requests are spread evenly over the minute, so that no window of a server sees more of them than it allows.
    """

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._request_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._token_s = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._paused_until_s = 0.0

    def wait(self, tokens: int, closing: threading.Event) -> None:
        """Wait for the turn of a request of about so many tokens, or until `closing` is set."""
        with self._lock:
            turn_s = max(time.monotonic(), self._next_s)
            self._next_s = turn_s + max(self._request_s, tokens * self._token_s)
        while (left_s := max(turn_s, self._paused_until_s) - time.monotonic()) > 0 and not closing.wait(left_s):
            pass

    def correct(self, tokens: int) -> None:
        """Count tokens that a request took beyond the number given for its turn, or, negative, fewer than it."""
        with self._lock:
            self._next_s += tokens * self._token_s

    def pause(self, seconds: float) -> None:
        """Hold all requests back for so long."""
        with self._lock:
            self._paused_until_s = max(self._paused_until_s, time.monotonic() + seconds)
