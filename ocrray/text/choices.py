"""Deterministic choices that depend on a text alone."""

import zlib
from collections.abc import Sequence
from typing import TypeVar

OptionT = TypeVar("OptionT")


def stable_choice(text: str, options: Sequence[OptionT], *, skip: int = 1) -> OptionT:
    """Return the element of `options` that `text` selects, the same in every process, run and machine (unlike `hash`).

    The choice is the CRC-32 of the UTF-8 bytes, divided by `skip`, modulo the number of options. Set `skip` to the product of the
    numbers of options of earlier choices by the same text, which makes the choices independent of each other.
    """
    return options[zlib.crc32(text.encode()) // skip % len(options)]
