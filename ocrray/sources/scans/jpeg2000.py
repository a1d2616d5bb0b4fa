"""JPEG 2000 of other depths than 8 bits: Pillow shifts them with an overflow, so that white turns black."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from ocrray.sources.scans.samples import Meaning, to_image

_SIGNATURE, _CODESTREAM = b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"
_CMYK = 12  # EnumCS of the box `colr`; luminance and chrominance (18) come decoded as RGB
_ALPHA_TYPES = {1: "straight", 2: "premultiplied"}


@dataclass(frozen=True, slots=True)
class Header:
    """Facts from the boxes and the codestream's header."""

    depths: tuple[int, ...]
    """Bits of each component, without sign."""
    signed: bool
    palette_bits: int = 0
    """Depth of the palette, 0 without one."""
    colour_space: int = 0
    alpha: str = ""
    """`straight` or `premultiplied`; empty where no box tells of alpha."""

    @property
    def is_plain(self) -> bool:
        """Return True for what Pillow decodes right: eight bits, without a palette."""
        return not self.palette_bits and set(self.depths) == {8} and not self.signed


def read_header(data: bytes) -> Header | None:
    """Return the header of a JPEG 2000 file or codestream; None where the file is neither, or broken."""
    try:
        if data.startswith(_CODESTREAM):
            return Header(*_components(data))
        return _file_header(data) if data.startswith(_SIGNATURE) else None
    except (struct.error, IndexError):
        return None


def decode(data: bytes, header: Header) -> Image.Image:
    """Decode into mode L or RGB.

    Raises: Exception: of many types, where the data is broken.
    """
    import imagecodecs

    samples = imagecodecs.jpeg2k_decode(data)
    count = 1 if samples.ndim == 2 else samples.shape[-1]
    colour = "grey" if count < 3 else "rgb"
    if header.colour_space == _CMYK and count >= 4:
        colour = "cmyk"
    bits = header.palette_bits or max(header.depths)
    has_alpha = count == {"grey": 1, "cmyk": 4}.get(colour, 3) + 1
    meaning = Meaning(
        colour=colour,  # type: ignore[arg-type]
        bits=bits,
        alpha=(header.alpha or "straight") if has_alpha else "none",  # type: ignore[arg-type]
    )
    return to_image(samples, meaning)


def _components(codestream: bytes) -> tuple[tuple[int, ...], bool]:
    (count,) = struct.unpack_from(">H", codestream, 40)
    depths = [codestream[42 + 3 * number] for number in range(count)]
    return tuple((depth & 127) + 1 for depth in depths), any(depth & 128 for depth in depths)


def _file_header(data: bytes) -> Header | None:
    palette_bits, colour_space, alpha = 0, 0, ""
    for name, start, end in _boxes(data, 0, len(data)):
        if name == b"jp2c":
            return Header(*_components(data[start : start + 42 + 3 * 16384]), palette_bits, colour_space, alpha)
        if name != b"jp2h":
            continue
        for inner, first, last in _boxes(data, start, end):
            if inner == b"pclr":
                palette_bits = max(depth & 127 for depth in data[first + 3 : first + 3 + data[first + 2]]) + 1
            elif inner == b"colr" and data[first] == 1 and not colour_space:
                (colour_space,) = struct.unpack_from(">I", data, first + 3)
            elif inner == b"cdef":
                for at in range(first + 2, last - 5, 6):
                    alpha = _ALPHA_TYPES.get(struct.unpack_from(">H", data, at + 2)[0], alpha)
    return None


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each box."""
    while start + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        elif length == 0:
            length = end - start
        if length < header:
            return
        yield name, start + header, min(start + length, end)
        start += length
