"""Standard streams that outlive their terminal, pipe or log file."""

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def secure_standard_streams() -> None:
    """Replace closed standard streams by the null device, also later, when a terminal or the reader of a pipe goes away.

    Streams that a program put in place of Python's own are left alone.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(2)


def _text(descriptor: int) -> io.TextIOWrapper:
    binary = io.BufferedWriter(_Lasting(descriptor, "wb", closefd=False))
    line_buffering = descriptor == 2 or binary.isatty()
    return io.TextIOWrapper(binary, errors="backslashreplace", line_buffering=line_buffering)


class _Lasting(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:  # no reader, no terminal, or a full disk below a log file: a run of days goes on
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes
