"""JPEG of 12 or 16 bits, or without loss, which Pillow does not open."""

from dataclasses import dataclass

from PIL import Image

from ocrray.sources.scans.samples import Meaning, to_image

_START = b"\xff\xd8\xff"
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3)  # baseline, extended, progressive, lossless
_STANDALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_SCAN = 0xDA


@dataclass(frozen=True, slots=True)
class Header:
    """Facts from the start of the frame."""

    size: tuple[int, int]
    bits: int
    components: int


def read_header(data: bytes) -> Header | None:
    """Return the header of a JPEG file; None where the file is none, or broken."""
    if not data.startswith(_START):
        return None
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _STANDALONE or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            return Header((width, height), data[at + 4], data[at + 9])
        if marker == _SCAN:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def decode(data: bytes, header: Header) -> Image.Image:
    """Decode into mode L or RGB.

    Raises: Exception: of many types, where the data is broken.
    """
    import imagecodecs

    colour = {1: "grey", 3: "rgb", 4: "cmyk"}[header.components]
    return to_image(imagecodecs.jpeg_decode(data), Meaning(colour=colour, bits=header.bits))  # type: ignore[arg-type]
