"""TIFF: frames of every kind, decoded by the library that decodes them right.

Pillow decodes the common kinds (1 to 8 bits of grey, palette, RGB, CMYK and YCbCr); tifffile returns the samples of all others,
and libtiff itself converts what is neither.
"""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ocrray.sources.scans.samples import Meaning, to_image
from ocrray.sources.scans.tiff_frames import read_directory

if TYPE_CHECKING:
    pass

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _ORIENTATION = 282, 283, 296, 274
_MAX_SAMPLE_VALUE, _S_MAX_SAMPLE_VALUE = 281, 341
_NO_UNIT, _INCH, _CM = 1, 2, 3
_OLD_JPEG = 6
_JPEG_COMPRESSIONS = (7, 33003, 33005, 34892, 33007, 34712)  # decoded to RGB by their own rules
_PILLOW_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000)
_LIBTIFF_COMPRESSIONS = (*_PILLOW_COMPRESSIONS, _OLD_JPEG, 32809, 34676, 34677, 34887, 50001)
_FAX_COMPRESSIONS = (2, 3, 4)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR = range(7)
_LABS = (8, 9, 10)
_LOGARITHMIC = (32844, 32845)
_LINEAR_RAW = 34892
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """Pixels along the rows and the columns as they are stored, per inch or (`unit` False) only relative to each other."""

    x: float
    y: float
    unit: bool


class TiffFrame:
    """One frame of a TIFF with this content, ready to be decoded.

    Raises errors of many types where the file is broken.
    """

    def __init__(self, data: bytes, offset: int) -> None:
        import tifffile

        self._data = data
        self._offset = offset
        self._tiff = tifffile.TiffFile(io.BytesIO(data), name="scan.tif")
        self._page = read_directory(self._tiff, offset, 0)
        self.size = (self._page.imagewidth, self._page.imagelength)

    @property
    def samples_per_pixel(self) -> int:
        """Number of samples of a pixel, colours and others."""
        return int(self._page.samplesperpixel)

    @property
    def compression_name(self) -> str:
        """Name of the compression."""
        number = int(self._page.compression)
        name = getattr(self._page.compression, "name", "")
        return _COMPRESSION_NAMES.get(number) or (f"{name} ({number})" if name else f"number {number}")

    @property
    def orientation(self) -> int:
        """Value of the tag: 1 is upright."""
        value = self._page.tags.valueof(_ORIENTATION)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1

    @property
    def resolution(self) -> Resolution | None:
        """Value of the tags, None without them."""
        try:
            x, y = (float(np.divide(*self._page.tags.valueof(tag))) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
            unit = int(self._page.tags.valueof(_RESOLUTION_UNIT, default=_INCH))
        except (TypeError, ValueError):
            return None
        factor = 2.54 if unit == _CM else 1.0
        return Resolution(x * factor, y * factor, unit != _NO_UNIT)

    def check_extents(self) -> None:
        """Refuse a strip or tile beyond the end of the file: fax decoders fill it with white without an error.

        Raises: OSError.
        """
        ends = (start + count for start, count in zip(self._page.dataoffsets, self._page.databytecounts, strict=False))
        if any(end > len(self._data) for end in ends):
            raise OSError("a strip or tile lies beyond the end of the file")

    def decode(self) -> Image.Image:
        """Return the upright image, of any mode that Pillow has for eight bits or fewer.

        Raises: Exception: the first decoder's error where none can read it.
        """
        errors = []
        for decoder in self._decoders():
            try:
                return decoder()
            # Each library raises errors of many types; the next one may know what this one does not.
            except Exception as err:
                errors.append(err)
        raise errors[0]

    def _decoders(self) -> Sequence[Callable[[], Image.Image]]:
        page = self._page
        if page.compression in _FAX_COMPRESSIONS and page.bitspersample != 1:
            raise OSError(f"fax compression of samples of {page.bitspersample} bits")
        if page.compression == _OLD_JPEG or page.photometric in _LOGARITHMIC:
            return self._by_libtiff, self._by_pillow
        if page.photometric == _YCBCR and page.compression not in _JPEG_COMPRESSIONS and page.bitspersample == 8:
            return self._by_pillow, self._by_libtiff
        if self._is_common:
            return self._by_pillow, self._by_samples
        if page.compression not in _LIBTIFF_COMPRESSIONS:
            return (self._by_samples,)
        return self._by_samples, self._by_libtiff

    @property
    def _is_common(self) -> bool:
        page = self._page
        return (
            page.bitspersample in (1, 2, 4, 8)
            and page.sampleformat in (1, 4)
            and page.compression in _PILLOW_COMPRESSIONS
            and page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR)
            and (page.planarconfig == 1 or page.bitspersample == 8)
            and page.samplesperpixel in (1, 3, 4)
            and not (page.photometric == _PALETTE and (page.samplesperpixel > 1 or self._palette_bits == 8))
            and not (page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and page.samplesperpixel > 1)
            and not (page.photometric == _CMYK and page.samplesperpixel != 4)
        )

    @property
    def _palette_bits(self) -> int:
        """Return the depth of the palette: 16, or 8 where a writer took it for that, and all would be black."""
        colormap = self._page.colormap
        return 8 if colormap is not None and colormap.max() < 256 else 16

    def _by_pillow(self) -> Image.Image:
        data = self._data
        # The header is made to point to this frame: Pillow would set up all frames before it, and stop at an odd one.
        start, size = (8, "Q") if data[2:4] in (b"+\0", b"\0+") else (4, "I")
        pointer = struct.pack(("<" if data[:2] == b"II" else ">") + size, self._offset)
        if data[start : start + len(pointer)] != pointer:
            data = data[:start] + pointer + data[start + len(pointer) :]
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            image.load()  # turns it upright, too
            return image.copy()

    def _by_libtiff(self) -> Image.Image:
        import imagecodecs

        number = [page.offset for page in self._tiff.pages].index(self._offset)
        pixels = imagecodecs.tiff_decode(self._data, index=number, asrgb=True)
        if not pixels.any():  # on an error it returns a black page
            raise OSError("libtiff decodes no pixel")
        colours = 4 if pixels.shape[-1] == 4 else 3
        meaning = Meaning(colour="rgb", bits=8, alpha="premultiplied" if colours == 4 else "none")  # TIFFReadRGBAImage
        return self._upright(to_image(pixels, meaning))

    def _by_samples(self) -> Image.Image:
        page = self._page
        samples = page.asarray()
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            samples = np.moveaxis(samples, 0, -1)
        while samples.ndim > 3 or (samples.ndim == 3 and samples.shape[-1] != page.samplesperpixel):
            samples = samples[0]  # a volume: its first sheet
        if page.photometric == _PALETTE:
            if page.colormap is None:
                raise ValueError("a palette image without its palette")
            indices = samples if samples.ndim == 2 else samples[..., 0]
            colours = np.moveaxis(page.colormap, 0, -1)[indices]
            return self._upright(to_image(colours, Meaning(colour="rgb", bits=self._palette_bits)))
        return self._upright(to_image(samples, self._meaning()))

    def _meaning(self) -> Meaning:
        page = self._page
        bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
        colour, white_is_zero = "grey", page.photometric == _WHITE_IS_ZERO
        if page.photometric == _YCBCR:
            colour = "rgb" if page.compression in _JPEG_COMPRESSIONS else "ycc"
        elif page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _LINEAR_RAW) and page.samplesperpixel >= 3:
            colour = "rgb"
        elif page.photometric == _CMYK:
            colour, white_is_zero = ("cmyk", False) if page.samplesperpixel >= 4 else ("grey", True)  # of one ink
        kinds = {1: "premultiplied", 2: "straight"}
        extra = page.extrasamples[0] if page.extrasamples else 0
        alpha = "none" if page.photometric in _LABS else kinds.get(int(extra), "none")
        return Meaning(colour=colour, bits=bits, white_is_zero=white_is_zero, alpha=alpha, white=self._white())  # type: ignore[arg-type]

    def _white(self) -> float | None:
        for tag in (_S_MAX_SAMPLE_VALUE, _MAX_SAMPLE_VALUE):
            value = self._page.tags.valueof(tag)
            values = value if isinstance(value, tuple) else (value,)
            if all(isinstance(value, int | float) for value in values):
                return float(max(values))
        return None

    def _upright(self, image: Image.Image) -> Image.Image:
        return image.transpose(_UPRIGHT[self.orientation]) if self.orientation > 1 else image


_COMPRESSION_NAMES = {
    _OLD_JPEG: "old-style JPEG (6)",
    7: "JPEG (7)",
    34712: "JPEG 2000 (34712)",
    34887: "LERC (34887)",
    34926: "WebP (34926)",
    50001: "WebP (50001)",
    50002: "JPEG XL (50002)",
    52546: "JPEG XL (52546)",
}
