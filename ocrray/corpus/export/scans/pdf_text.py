"""Text layer of a PDF page: invisible words, each as wide as its box on the scan."""

import unicodedata
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import zip_longest

from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)

from ocrray.corpus.export.boxes import Box, Direction, direction_of
from ocrray.corpus.export.scans.words import PlacedLine, PlacedWord
from ocrray.sources.scans.page_size import Matrix

FONT_NAME = "/OcrrayText"
_FONT_FILE = "glyphless.ttf"  # Tesseract's pdf.ttf (Apache 2.0): one empty glyph, half as wide as high
_GLYPH_WIDTH = 0.5
_MAX_LINE_HEIGHT = 1.6  # in heights of its highest word; more is a skewed line, whose words have their own places
# Every code is the UTF-16 unit that it stands for.
_TO_UNICODE = b"""/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
1 beginbfrange
<0000> <FFFF> <0000>
endbfrange
endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


def text_content(lines: Sequence[PlacedLine], matrix: Matrix, width: int, height: int) -> bytes:
    """Return the content stream of a text layer.

    `matrix` maps pixels, y downwards, to the page's coordinates; `width` and `height` are the page's in pixels. A line without a
    box gets a strip of the page, so that the page is found at least.
    """
    a, b, c, d, e, f = matrix
    upwards = (a, b, -c, -d, e + c * height, f + d * height)  # pixels, y upwards: in them text stands upright
    operators = [f"q {' '.join(map(_number, upwards))} cm BT 3 Tr"]
    for index, line in enumerate(lines):
        top, bottom = (height * part / len(lines) for part in (index, index + 1))
        operators += _line_operators(line, line.box or Box(0, top, width, bottom), height)
    return " ".join([*operators, "ET Q\n"]).encode("ascii")


def _line_operators(line: PlacedLine, line_box: Box, height: int) -> Iterator[str]:
    words = [word for word in line.words if word.box]
    if len(words) < len(line.words) or not words:
        words = [PlacedWord(line.text, line_box)]
    boxes = [word.box for word in words if word.box]
    direction = direction_of(boxes, line.text)
    boxes = _as_high_as_the_line(boxes, line_box, direction)
    for index, (word, box) in enumerate(zip(words, _apart(boxes, direction), strict=True)):
        text = _in_visual_order(word.text)
        if index + 1 < len(words) and not (direction.axis == 0 and direction.backwards):
            text += " "  # towards the left a reader finds it by the gap
        yield _word_operators(text, len(_units(word.text)), box, direction, height)


def _in_visual_order(word: str) -> str:
    """Return the characters from left to right, as PDF has them: readers turn words of scripts that run to the left around."""
    kinds = set(map(unicodedata.bidirectional, word))
    return word[::-1] if kinds & {"R", "AL"} and not kinds & {"L", "EN", "AN"} else word


def _as_high_as_the_line(boxes: Sequence[Box], line: Box, direction: Direction) -> list[Box]:
    """Return the boxes with the line's extent across the text, so that what a reader marks is even, unless the line is skewed."""
    low, high = (1, 3) if direction.axis == 0 else (0, 2)
    if line[high] - line[low] > _MAX_LINE_HEIGHT * max(1, *(box[high] - box[low] for box in boxes)):
        return list(boxes)
    if direction.axis == 0:
        return [Box(box.left, line.top, box.right, line.bottom) for box in boxes]
    return [Box(line.left, box.top, line.right, box.bottom) for box in boxes]


def _apart(boxes: Sequence[Box], direction: Direction) -> list[Box]:
    """Cut a box off where the next one begins: readers drop the space between words that overlap."""
    low, high = direction.axis, direction.axis + 2
    apart: list[Box] = []
    for box, following in zip_longest(boxes, boxes[1:]):
        edges = list(box)
        if following is not None and direction.backwards and box[low] < following[high] < box[high]:
            edges[low] = following[high]
        elif following is not None and not direction.backwards and box[low] < following[low] < box[high]:
            edges[high] = following[low]
        apart.append(Box(*edges))
    return apart


def _word_operators(text: str, units: int, box: Box, direction: Direction, height: int) -> str:
    """Set the text so that its first `units` UTF-16 units fill the box."""
    if direction.axis == 0:
        place = f"1 0 0 1 {_number(box.left)} {_number(height - box.bottom)}"
        length, size = box.right - box.left, box.bottom - box.top
    elif direction.backwards:  # runs upwards
        place = f"0 1 -1 0 {_number(box.right)} {_number(height - box.bottom)}"
        length, size = box.bottom - box.top, box.right - box.left
    else:
        place = f"0 -1 1 0 {_number(box.left)} {_number(height - box.top)}"
        length, size = box.bottom - box.top, box.right - box.left
    size = max(1.0, size)
    scale = 100 * max(1.0, length) / (max(1, units) * _GLYPH_WIDTH * size)
    return f"{FONT_NAME} {_number(size)} Tf {_number(scale)} Tz {place} Tm <{''.join(_units(text))}> Tj"


def _units(text: str) -> list[str]:
    data = text.encode("utf-16-be", "replace").hex().upper()
    return [data[start : start + 4] for start in range(0, len(data), 4)]


def _number(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".")


def add_font(writer: PdfWriter) -> IndirectObject:
    """Add the font of text layers to a document."""
    data = resources.files(__package__).joinpath(_FONT_FILE).read_bytes()
    file = _stream(data, Length1=len(data))
    descriptor = _dictionary(
        Type="/FontDescriptor",
        FontName="/GlyphLessFont",
        Flags=5,
        FontBBox=_numbers(0, 0, 500, 1000),
        ItalicAngle=0,
        Ascent=1000,
        Descent=-1,
        CapHeight=1000,
        StemV=80,
        FontFile2=writer._add_object(file),
    )
    info = DictionaryObject(
        {
            NameObject("/Registry"): TextStringObject("Adobe"),
            NameObject("/Ordering"): TextStringObject("Identity"),
            NameObject("/Supplement"): NumberObject(0),
        }
    )
    descendant = _dictionary(
        Type="/Font",
        Subtype="/CIDFontType2",
        BaseFont="/GlyphLessFont",
        DW=500,
        CIDSystemInfo=info,
        CIDToGIDMap=writer._add_object(_stream(b"\x00\x01" * 65_536)),  # every code is the one glyph
        FontDescriptor=writer._add_object(descriptor),
    )
    font = _dictionary(
        Type="/Font",
        Subtype="/Type0",
        BaseFont="/GlyphLessFont",
        Encoding="/Identity-H",
        DescendantFonts=ArrayObject([writer._add_object(descendant)]),
        ToUnicode=writer._add_object(_stream(_TO_UNICODE)),
    )
    return writer._add_object(font)


def compressed_stream(data: bytes) -> StreamObject:
    """Return a stream, deflated."""
    stream = DecodedStreamObject()
    stream.set_data(data)
    return stream.flate_encode()


def _stream(data: bytes, **entries: int) -> StreamObject:
    stream = compressed_stream(data)
    stream.update({NameObject(f"/{name}"): NumberObject(value) for name, value in entries.items()})
    return stream


def _dictionary(**entries: object) -> DictionaryObject:
    converted = {NameObject(f"/{name}"): _object(value) for name, value in entries.items()}
    return DictionaryObject(converted)


def _object(value: object) -> object:
    if isinstance(value, str):
        return NameObject(value)
    return NumberObject(value) if isinstance(value, int) else value


def _numbers(*values: float) -> ArrayObject:
    return ArrayObject(FloatObject(value) for value in values)
