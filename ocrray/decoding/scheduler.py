"""Scheduler that lets several threads share one decoder, so that it stays full while their batches come and go."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from ocrray.decoding.decoder import Decoder
from ocrray.decoding.requests import Generation, Request
from ocrray.models.generator import Generator


class Scheduler:
    """Decodes the requests of all threads together, in a thread of its own."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._submitted: deque[tuple[Sequence[Request], list[Future[Generation]]]] = deque()
        self._futures: dict[int, Future[Generation]] = {}  # by the decoder's number
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    def fits(self, request: Request) -> bool:
        """Return True if prompt and longest output fit the model's context and the memory."""
        return self._decoder.fits(request)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Return one generation per request, in order.

        Raises:
            RuntimeError: when the scheduler is closed.
            Exception: the error that ended decoding, in every waiting thread.
        """
        return [future.result() for future in self.submit(requests)]

    def submit(self, requests: Sequence[Request]) -> list[Future[Generation]]:
        """Return the generations to be, one per request, without waiting.

        Raises:
            RuntimeError: when the scheduler is closed.
        """
        futures: list[Future[Generation]] = [Future() for _ in requests]
        with self._changed:
            if self._closed:
                raise RuntimeError("decoding has ended")
            self._submitted.append((requests, futures))
            self._changed.notify()
        return futures

    def close(self) -> None:
        """End the thread; threads that still wait get a RuntimeError."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._submit_new():
                for number, generation in self._decoder.step():
                    self._futures.pop(number).set_result(generation)
        except Exception as error:  # any error has to reach the waiting threads
            self._fail(error)
        else:
            self._fail(RuntimeError("decoding has ended"))

    def _submit_new(self) -> bool:
        """Submit new requests to the decoder, after waiting for some if it is idle; return False once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._submitted or self._closed or not self._decoder.idle)
            while self._submitted:
                requests, futures = self._submitted[0]  # removed once submitted, so that `_fail` reaches it if that raises
                self._futures.update(zip(self._decoder.submit(requests), futures, strict=True))
                self._submitted.popleft()
            return not self._closed

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._closed = True
            waiting = [*self._futures.values(), *(future for _, futures in self._submitted for future in futures)]
        for future in waiting:
            future.set_exception(error)


def open_scheduler(generator: Generator, *, batch_size_tokens: int | None = None, shared_prefix: Sequence[int] = ()) -> Scheduler:
    """Return a scheduler over a new `Decoder` with these arguments."""
    return Scheduler(Decoder(generator, batch_size_tokens=batch_size_tokens, shared_prefix=shared_prefix))
