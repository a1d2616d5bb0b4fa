"""Text layer of a PDF page: words and lines with boxes in the pixels of the rendered page."""

import ctypes
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from ocrray.records import Line, Word
from ocrray.sources.scans.pdf import Sheet, open_sheet
from ocrray.sources.scans.reading_order import Placed, lines_of
from ocrray.text.normalise import sanitise

if TYPE_CHECKING:
    from pypdfium2 import PdfTextPage

_PREVIEW_REDUCTION = 3  # of a page rendered at 300 dpi
_WORD_GAP = 0.45  # of the height of the characters: where a file has neither a space nor PDFium adds one
_SAME_PLACE = 0.6  # common area of a word that stands twice at one place
_LINE_END_HYPHENS = ("\u0002", "\ufffe", "\u00ad")  # by which PDFium replaces a hyphen at the end of a line
_NOT_CHARACTERS = ("Co", "Cn", "Cc", "Cs")

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels of the rendered page."""


@dataclass(frozen=True, slots=True)
class TextLayer:
    """Text of one page."""

    lines: Sequence[Line]
    unmapped_frac: float
    """Share of characters (0..1) that the file maps to none of Unicode."""
    image_frac: float
    """Share of the page (0..1) that images cover: most of it on a scan."""
    preview: Image.Image
    """The page, a third of its size."""
    preview_boxes: Sequence[Box]
    """Boxes of the words in pixels of `preview`."""

    @property
    def text(self) -> str:
        """Return the text of all lines."""
        return "\n".join(line.text for line in self.lines)


@dataclass(slots=True)
class _Char:
    text: str
    box: Box | None
    line_box: Box | None
    """As high as its font, where `box` is that of the ink."""
    turns: int
    is_unmapped: bool


@dataclass(slots=True)
class _Word:
    turns: int
    starts_line: bool
    chars: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    line_boxes: list[Box] = field(default_factory=list)

    @property
    def box(self) -> Box:
        return _around(self.boxes)

    @property
    def line_box(self) -> Box:
        return _around(self.line_boxes)

    @property
    def text(self) -> str:
        return sanitise("".join(self.chars))


def read_text_layer(data: bytes, page: int, uri: str, max_pixels: int) -> TextLayer:
    """Return the text layer of one page (0-based), with the values of its form; `uri` names the file in messages.

    Boxes are in the pixels of the page as `pdf.decode_page` renders it. Text outside the visible page is left out, and a word
    that stands twice at one place is read once.

    Raises: RecordError: as `pdf.open_sheet`.
    """
    with open_sheet(data, page, uri, max_pixels, merge_forms=True) as sheet:
        preview = sheet.render(_PREVIEW_REDUCTION)
        chars, image_frac = list(_characters(sheet)), _image_frac(sheet)
    visible = [char for char in chars if char.box is None or _is_inside(char.box, sheet.size)]
    inked = [char for char in visible if char.box is not None]
    unmapped = sum(char.is_unmapped for char in inked)
    words = _without_doubles(_words(visible))
    lines = [_line(line) for turns in _by_frequency(words) for line in _lines([w for w in words if w.turns == turns], sheet.size)]
    frac = unmapped / len(inked) if inked else 0.0
    boxes = [_reduced(word.box) for word in words]
    return TextLayer([line for line in lines if line.text], frac, image_frac, preview, boxes)


def _image_frac(sheet: Sheet) -> float:
    from pypdfium2 import raw

    to_pixels = _ToPixels(sheet)
    area = 0.0
    for item in sheet.page.get_objects(max_depth=1):
        is_form = item.type == raw.FPDF_PAGEOBJ_FORM and _holds_image(item.raw)
        if is_form or item.type == raw.FPDF_PAGEOBJ_IMAGE:
            left, top, right, bottom = to_pixels(*item.get_bounds())
            width = min(right, sheet.size[0]) - max(left, 0)
            height = min(bottom, sheet.size[1]) - max(top, 0)
            area += max(0.0, width) * max(0.0, height)
    return min(1.0, area / (sheet.size[0] * sheet.size[1]))


def _holds_image(form: object) -> bool:
    from pypdfium2 import raw

    parts = (raw.FPDFFormObj_GetObject(form, number) for number in range(raw.FPDFFormObj_CountObjects(form)))
    return any(raw.FPDFPageObj_GetType(part) == raw.FPDF_PAGEOBJ_IMAGE for part in parts)


def _characters(sheet: Sheet) -> Iterator[_Char]:
    from pypdfium2 import raw

    page = sheet.page.get_textpage()
    to_pixels = _ToPixels(sheet)
    rotation = sheet.page.get_rotation()
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    loose = raw.FS_RECTF()
    high = ""
    for index in range(page.count_chars()):
        code = raw.FPDFText_GetUnicode(page, index)
        if 0xD800 <= code < 0xDC00:
            high = chr(code)
            continue
        text = (high + chr(code)).encode("utf-16", "surrogatepass").decode("utf-16", "replace") if high else chr(code)
        high = ""
        if text in "\r\n" or text.isspace():
            yield _Char("\n" if text in "\r\n" else " ", None, None, 0, False)
            continue
        is_hyphen = text in _LINE_END_HYPHENS or raw.FPDFText_IsHyphen(page, index) == 1
        if raw.FPDFText_IsGenerated(page, index) == 1 and not is_hyphen:
            continue
        if not raw.FPDFText_GetCharBox(page, index, left, right, bottom, top):
            continue
        box = to_pixels(left.value, bottom.value, right.value, top.value)
        has_loose = raw.FPDFText_GetLooseCharBox(page, index, loose)
        line_box = to_pixels(loose.left, loose.bottom, loose.right, loose.top) if has_loose else box
        is_unmapped = not is_hyphen and _is_unmapped(page, index, text)
        yield _Char("-" if is_hyphen else text, box, line_box, _turns(page, index, rotation), is_unmapped)


def _is_unmapped(page: "PdfTextPage", index: int, text: str) -> bool:
    from pypdfium2 import raw

    return text == "\ufffd" or unicodedata.category(text) in _NOT_CHARACTERS or raw.FPDFText_HasUnicodeMapError(page, index) == 1


def _turns(page: "PdfTextPage", index: int, rotation: int) -> int:
    """Return by how many quarter turns clockwise the character is turned on the rendered page, 0..3."""
    from pypdfium2 import raw

    angle = raw.FPDFText_GetCharAngle(page, index)
    return round((math.degrees(angle) + rotation) / 90) % 4 if angle >= 0 else round(rotation / 90) % 4


class _ToPixels:
    """Converts a box of the page's coordinates (left, bottom, right, top) to pixels of the rendered page."""

    def __init__(self, sheet: Sheet) -> None:
        from pypdfium2 import raw

        self._fine = 64  # PDFium returns whole pixels
        width, height = (side * self._fine for side in sheet.size)
        x, y = ctypes.c_int(), ctypes.c_int()

        def at(page_x: float, page_y: float) -> tuple[float, float]:
            raw.FPDF_PageToDevice(sheet.page, 0, 0, width, height, 0, page_x, page_y, x, y)
            return x.value / self._fine, y.value / self._fine

        side = 1000.0
        self._origin, right, up = at(0, 0), at(side, 0), at(0, side)
        self._x = [(end - start) / side for start, end in zip(self._origin, right, strict=True)]
        self._y = [(end - start) / side for start, end in zip(self._origin, up, strict=True)]

    def __call__(self, left: float, bottom: float, right: float, top: float) -> Box:
        (x1, y1), (x2, y2) = (
            tuple(o + a * x + b * y for o, a, b in zip(self._origin, self._x, self._y, strict=True))
            for x, y in ((left, bottom), (right, top))
        )
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _is_inside(box: Box, size: tuple[int, int]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return 0 <= x <= size[0] and 0 <= y <= size[1]


def _words(chars: Sequence[_Char]) -> list[_Word]:
    words: list[_Word] = []
    word: _Word | None = None
    starts_line = True
    for char in chars:
        if char.box is None:
            starts_line = starts_line or char.text == "\n"
            word = None
            continue
        if word is None or char.line_box is None or not _is_next(word, char):
            word = _Word(char.turns, starts_line)
            words.append(word)
            starts_line = False
        word.chars.append(char.text)
        word.boxes.append(char.box)
        word.line_boxes.append(char.line_box or char.box)
    return words


def _is_next(word: _Word, char: _Char) -> bool:
    if word.turns != char.turns or char.box is None:
        return False
    # On the axis along the line 0 is left or top; on the axis across it the two must overlap.
    along, across = (0, 1) if char.turns % 2 == 0 else (1, 0)
    last, box, line = word.boxes[-1], char.box, word.line_box
    height = max(last[across + 2] - last[across], box[across + 2] - box[across], 1e-6)
    gap = max(box[along] - last[along + 2], last[along] - box[along + 2])
    return gap <= _WORD_GAP * height and line[across] <= (box[across] + box[across + 2]) / 2 <= line[across + 2]


def _without_doubles(words: Sequence[_Word]) -> list[_Word]:
    """Leave out words that stand twice at one place: printed bold by a shift, or a layer of OCR over real text."""
    kept: list[_Word] = []
    places: dict[str, list[Box]] = {}
    for word in words:
        box, known = word.box, places.setdefault(word.text, [])
        if any(_common_frac(box, other) >= _SAME_PLACE for other in known):
            continue
        known.append(box)
        kept.append(word)
    return kept


def _common_frac(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min(*((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)))
    return width * height / smaller if width > 0 and height > 0 and smaller > 0 else 0.0


def _by_frequency(words: Sequence[_Word]) -> list[int]:
    return [turns for turns, _ in Counter({word.turns: 0 for word in words} | Counter(w.turns for w in words)).most_common()]


def _lines(words: Sequence[_Word], size: tuple[int, int]) -> list[list[_Word]]:
    """Return the words of each line in reading order, of words that are turned alike."""
    letters = [char for word in words for char in word.chars if char.isalpha()]
    right_to_left = 2 * sum(unicodedata.bidirectional(char) in ("R", "AL") for char in letters) > len(letters)
    placed = []
    for index, word in enumerate(words):
        _, line_top, _, line_bottom = _upright(word.line_box, word.turns, size)
        box = _upright(word.box, word.turns, size)
        placed.append(Placed(index, len(word.text), *box, line_top, line_bottom, word.starts_line))
    return [[words[place.index] for place in line] for line in lines_of(placed, right_to_left=right_to_left)]


def _upright(box: Box, turns: int, size: tuple[int, int]) -> Box:
    left, top, right, bottom = box
    width, height = size
    if turns == 1:  # the text runs downwards
        return top, width - right, bottom, width - left
    if turns == 2:
        return width - right, height - bottom, width - left, height - top
    if turns == 3:
        return height - bottom, left, height - top, right
    return box


def _line(words: Sequence[_Word]) -> Line:
    parts = [Word(word.text, *_rounded(word.box)) for word in words if word.text.strip()]
    if not parts:
        return Line("")
    return Line(" ".join(word.text for word in parts), *_rounded(_around([word.box for word in words])), None, parts)


def _around(boxes: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _reduced(box: Box) -> Box:
    left, top, right, bottom = (value / _PREVIEW_REDUCTION for value in box)
    return left, top, right, bottom


def _rounded(box: Box) -> tuple[int, int, int, int]:
    left, top, right, bottom = (max(0, round(value)) for value in box)
    return left, top, right, bottom
