"""Process in which Tesseract reads page after page for one `ocrray.engines.tesseract.Tesseract`.

Tesseract does not look at its own deadline during layout analysis, which a page full of specks can keep busy for many minutes,
and no thread can stop it. So the kernel does: an alarm set before each page ends this whole process. A page on which the C++ code
crashes takes only this process with it, too. Nothing heavy is imported here: there is one such process a core.
"""

import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

import tesserocr
from tesserocr import RIL

# What goes over the connection, as plain tuples: a page as its pixels row by row, and a line or word as its text, box
# (left, top, right, bottom; pixels) and confidence (0..100).
Page = tuple[bytes, int, int, int, int]  # pixels, width, height, bytes per pixel (0: bits, 1 is white; 1: grey; 3: RGB), dpi
Item = tuple[str, tuple[int, int, int, int], float]
LineItems = tuple[Item, list[Item]]  # a line, its words


def main(connection: Connection, tessdata: str, languages: str, page_segmentation: int, timeout_s: float) -> None:
    """Load the language data, report so by sending None, then answer each Page with its LineItems until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the connection
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, whatever C++ code it is in
    # Both libraries would print warnings for many pages.
    tesserocr.set_leptonica_log_level(tesserocr.LeptLogLevel.NONE)
    api = tesserocr.PyTessBaseAPI(
        path=f"{tessdata}/", lang=languages, psm=page_segmentation, variables={"debug_file": "/dev/null"}
    )
    connection.send(None)
    with suppress(EOFError, ConnectionError):  # the other end is closed, or its process is gone
        while True:
            page = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, timeout_s)
            lines = read(api, page)
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(lines)


def read(api: tesserocr.PyTessBaseAPI, page: Page) -> list[LineItems]:
    """Return the lines of a page in reading order.

    Raises: RuntimeError: when Tesseract fails on the page.
    """
    pixels, width, height, bytes_per_pixel, dpi = page
    # Raw bytes and the resolution: `SetImage` encodes the image as a BMP or PNG file first and loses the resolution, without
    # which layout analysis finds other lines than it does for the same file.
    api.SetImageBytes(pixels, width, height, bytes_per_pixel, len(pixels) // height)
    api.SetSourceResolution(dpi)
    if not api.Recognize():
        raise RuntimeError("Tesseract gave up on the page")
    iterator = api.GetIterator()
    lines: list[LineItems] = []
    if iterator is None:
        return lines
    for position in tesserocr.iterate_level(iterator, RIL.WORD):
        if position.Empty(RIL.WORD):  # a picture or a rule
            continue
        if not lines or position.IsAtBeginningOf(RIL.TEXTLINE):
            lines.append((_item(position, RIL.TEXTLINE), []))
        lines[-1][1].append(_item(position, RIL.WORD))
    return lines


def _item(position: tesserocr.PyResultIterator, level: int) -> Item:
    return position.GetUTF8Text(level), position.BoundingBox(level), position.Confidence(level)


if __name__ == "__main__":
    fd, tessdata, languages, page_segmentation, timeout_s = sys.argv[1:]
    main(Connection(int(fd)), tessdata, languages, int(page_segmentation), float(timeout_s))
