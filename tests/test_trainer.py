"""Ctrl-C during `ray.train`: an interruption even where Ray swallows the signal."""

import os
import signal

import pytest

from ocrray.runtime.trainer import interruptible


def test_train_interrupt_that_ray_swallows_is_heard_all_the_same():
    """KeyboardInterrupt is raised although Ray Train ignores SIGINT at the end of training; the handler is restored."""
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
