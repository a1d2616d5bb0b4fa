"""What Ray Train makes of Ctrl-C, and what ocrray makes of it."""

import os
import signal

import pytest

from ocrray.runtime.trainer import interruptible


def test_train_interrupt_that_ray_swallows_is_heard_all_the_same():
    """Ray Train answers Ctrl-C by nothing where training has just ended; the handler from before is back in any case."""
    handler = signal.getsignal(signal.SIGINT)

    def train(*, interrupted: bool) -> None:
        with interruptible():
            signal.signal(signal.SIGINT, lambda *_: None)
            if interrupted:
                os.kill(os.getpid(), signal.SIGINT)

    train(interrupted=False)
    assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(KeyboardInterrupt):
        train(interrupted=True)
    assert signal.getsignal(signal.SIGINT) is handler
