"""Directories of a TIFF: which of them are pages, and where their chain breaks off."""

import io
import logging
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

from ocrray.errors import RecordError, StoreError

if TYPE_CHECKING:
    from tifffile import TiffPage

MAX_FRAMES = 100_000
_MAX_TAGS = 4096
_REDUCED_OR_MASK = 0b101  # NewSubfileType: bit 0 a smaller version of another frame, bit 2 a mask


@dataclass(frozen=True, slots=True)
class Frame:
    """One directory; `problem` says why it cannot be used, and then `size` is (0, 0)."""

    offset: int
    size: tuple[int, int] = (0, 0)
    is_page: bool = True
    problem: RecordError | None = None


def page_frames(file: BinaryIO, uri: str) -> list[Frame]:
    """Return the frames that are pages: no thumbnails, masks or pyramid levels.

    Where the chain of directories breaks off, the last frame has the `problem`; a file without one whole frame raises it.

    Raises: RecordError: `truncated`, `unreadable`; StoreError: from reading the file.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it tells of odd tags, which are read all the same
    frames = []
    try:
        offsets, problem = _chain(file, uri)
        if offsets:
            file.seek(0)
            with tifffile.TiffFile(file, name="scan.tif") as tiff:
                frames = [_frame(tiff, offset, number, uri) for number, offset in enumerate(offsets)]
    except (RecordError, StoreError):
        raise
    except struct.error:
        raise RecordError(f"{uri}: the image is truncated; copy the file again", kind="truncated") from None
    except Exception as err:  # the parser raises errors of many types on broken headers
        problem = RecordError(f"{uri}: the image's header is broken: {' '.join(str(err).split())}", kind="unreadable")
    whole = [frame for frame in frames if not frame.problem]
    if not whole:
        raise next((frame.problem for frame in frames if frame.problem), problem) or _no_frames(uri)
    if problem and not frames[-1].problem:
        frames.append(Frame(0, problem=problem))
    if len(whole) > 1 and len(whole) == len(frames) and all(_halved(a.size, b.size) for a, b in pairwise(whole)):
        return whole[:1]
    pages = [frame for frame in frames if frame.is_page]
    return pages if any(not frame.problem for frame in pages) else [whole[0], *pages]


def _no_frames(uri: str) -> RecordError:
    return RecordError(f"{uri}: the TIFF has no directory, so no page", kind="unreadable")


def _chain(file: BinaryIO, uri: str) -> tuple[list[int], RecordError | None]:
    """Return the offsets of all directories, and the damage that ends their chain."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    at_count, at_next, tag_bytes = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}H", f"{order}I", 12)
    (offset,) = struct.unpack_from(at_next, head, 8 if big else 4)
    offsets: dict[int, None] = {}  # ordered, and fast to look up in
    where = "page 1"
    while offset and len(offsets) <= MAX_FRAMES:
        if offset in offsets:
            is_ring = len(offsets) > 1 and offset == next(iter(offsets))
            return list(offsets), None if is_ring else _broken(uri, where, "it points back")
        if offset + 8 > size:
            reason = f"it should stand at byte {offset:,} of {size:,}"
            return list(offsets), _broken(uri, where, reason, "truncated")
        file.seek(offset)
        (tags,) = struct.unpack(at_count, file.read(struct.calcsize(at_count)))
        if not 0 < tags <= _MAX_TAGS:
            return list(offsets), _broken(uri, where, f"it claims {tags:,} entries")
        end = offset + struct.calcsize(at_count) + tags * tag_bytes
        if end > size:
            return list(offsets), _broken(uri, where, "it goes beyond the end of the file", "truncated")
        offsets[offset] = None
        where = f"page {len(offsets) + 1}"
        file.seek(end)
        raw = file.read(struct.calcsize(at_next))
        offset = struct.unpack(at_next, raw)[0] if len(raw) == struct.calcsize(at_next) else 0
    return list(offsets), None


def _broken(uri: str, where: str, reason: str, kind: str = "unreadable") -> RecordError:
    message = f"{uri}: the TIFF directory of {where} is broken ({reason}): the pages from there on are lost; copy the file again"
    return RecordError(message, kind=kind)


def _unusable(uri: str, number: int, reason: str) -> RecordError:
    message = f"{uri}: the TIFF directory of page {number + 1} cannot be read ({reason}); copy the file again"
    return RecordError(message, kind="unreadable")


def _frame(tiff: object, offset: int, number: int, uri: str) -> Frame:
    try:
        page = read_directory(tiff, offset, number)
    except StoreError:
        raise
    except Exception as err:  # tifffile raises errors of many types; the frame says what is wrong with it
        return Frame(offset, problem=_unusable(uri, number, " ".join(str(err).split()) or type(err).__name__))
    if not (page.imagewidth > 0 and page.imagelength > 0):
        return Frame(offset, problem=_unusable(uri, number, "it states no size"))
    if not page.dataoffsets:
        return Frame(offset, problem=_unusable(uri, number, "it does not say where the pixels are"))
    return Frame(offset, (page.imagewidth, page.imagelength), not page.subfiletype & _REDUCED_OR_MASK)


def read_directory(tiff: object, offset: int, number: int) -> "TiffPage":
    """Parse one directory of a `tifffile.TiffFile`; raises errors of many types where it is broken."""
    from tifffile import TiffPage

    tiff.filehandle.seek(offset)  # type: ignore[attr-defined]  # TiffFile is imported late
    return TiffPage(tiff, number)  # type: ignore[arg-type]


def _halved(size: tuple[int, int], next_size: tuple[int, int]) -> bool:
    return all(abs(2 * small - large) <= 2 for large, small in zip(size, next_size, strict=True))
