"""One decoder for many threads, so that it stays full while their batches come and go."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from ocrray.decoding.decoder import Decoder
from ocrray.decoding.requests import Generation, Request
from ocrray.models.generator import Generator


class Feed:
    """Decodes in a thread of its own whatever any thread asks for; a batch that ends leaves its place to the next one at once."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._asked: deque[tuple[Sequence[Request], list[Future[Generation]]]] = deque()
        self._answers: dict[int, Future[Generation]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    def fits(self, request: Request) -> bool:
        """Whether there is room for prompt and longest output, in the model's context and in the memory."""
        return self._decoder.fits(request)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One Generation a request, in order; raises whatever ended the decoding."""
        answers: list[Future[Generation]] = [Future() for _ in requests]
        with self._changed:
            if self._closed:
                raise RuntimeError("decoding has ended")
            self._asked.append((requests, answers))
            self._changed.notify()
        return [answer.result() for answer in answers]

    def close(self) -> None:
        """End the thread; what is still asked for is not answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._take_in():
                for number, generation in self._decoder.step():
                    self._answers.pop(number).set_result(generation)
        except Exception as error:  # whoever waits is told, whatever it is
            self._fail(error)
        else:
            self._fail(RuntimeError("decoding has ended"))

    def _take_in(self) -> bool:
        """Submit what was asked for since, after waiting for it where there is nothing else to do; False once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._closed or not self._decoder.idle)
            while self._asked:
                requests, answers = self._asked[0]  # until it is submitted, so that a request that cannot be is answered too
                self._answers.update(zip(self._decoder.submit(requests), answers, strict=True))
                self._asked.popleft()
            return not self._closed

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._closed = True
            waiting = [*self._answers.values(), *(answer for _, answers in self._asked for answer in answers)]
        for answer in waiting:
            answer.set_exception(error)


def open_feed(generator: Generator, *, batch_size_tokens: int | None = None, constant: Sequence[int] = ()) -> Feed:
    """A decoder for several threads, with the arguments of `Decoder`."""
    return Feed(Decoder(generator, batch_size_tokens=batch_size_tokens, constant=constant))
