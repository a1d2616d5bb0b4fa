"""Rendering of text in a period font, as an image of a page or of one line, with the ground truth by line."""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ocrray.errors import ConfigError, RecordError

MAX_HEIGHT_PX = MAX_WIDTH_PX = 12_000
MAX_WORD_CHARS = 1_000

_FONT_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".local/share/fonts",
    Path.home() / ".fonts",
)

Script = Literal["latin", "devanagari"]
Style = Literal["period", "modern"]
"""Period: print of 1700-1920 (Latin), or old Devanagari type. Modern: office documents and typewriters."""

# Debian package -> its font files.
_FONT_FILES: dict[tuple[Script, Style], dict[str, tuple[str, ...]]] = {
    ("latin", "period"): {
        "fonts-oldstandard": ("OldStandard-Regular.ttf",),
        "fonts-gfs-didot": ("GFSDidot.otf",),
        "fonts-adf-baskervald": ("BaskervaldADFStd.otf",),
        "fonts-century-catalogue": ("Century-Catalogue.ttf",),
        "fonts-ebgaramond": ("EBGaramond08-Regular.otf", "EBGaramond12-Regular.otf"),
        "fonts-goudybookletter": ("GoudyBookletter1911.otf",),
        "fonts-linuxlibertine": ("LinLibertine_R.otf",),
        "fonts-essays1743": ("Essays1743.ttf",),
        "fonts-junicode": ("JunicodeTwoBeta-Regular.otf",),
    },
    ("latin", "modern"): {
        "fonts-dejavu-core": ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"),
        "fonts-dejavu-extra": ("DejaVuSansCondensed.ttf", "DejaVuSerifCondensed.ttf"),
        "fonts-liberation": (
            *("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", "LiberationSansNarrow-Regular.ttf"),
            *("LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf", "LiberationMono-Regular.ttf"),
        ),
    },
    ("devanagari", "period"): {
        "fonts-lohit-deva": ("Lohit-Devanagari.ttf",),
        "fonts-sil-annapurna": ("AnnapurnaSIL-Regular.ttf",),
        "fonts-sahadeva": ("sahadeva.ttf",),
        "fonts-deva-extra": ("chandas1-2.ttf",),
    },
    ("devanagari", "modern"): {
        "fonts-gargi": ("Gargi.ttf",),
        "fonts-nakula": ("nakula.ttf",),
    },
}

_SYLLABLE_END = re.compile(r"(?<=\w[aeiouy][bcdfgklmnprst])(?=[bcdfgklmnprst][aeiouy]\w)")
_NATURAL_BREAK = re.compile(r"(?<=[\w.,;:!?’”][—-])(?=\w)|(?<=—)(?=[\w“‘])")


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """Rendered image, black on white (mode L), and its lines of text from top to bottom."""

    image: Image.Image
    lines: list[str]


def fonts(script: Script = "latin", styles: Sequence[Style] = ("period",)) -> list[Path]:
    """Return the installed fonts for `script` of these styles, sorted by file name.

    Raises: ConfigError: when there is none.
    """
    packages = {package: names for style in styles for package, names in _FONT_FILES[script, style].items()}
    wanted = {name for names in packages.values() for name in names}
    found = {path.name: path for folder in _FONT_FOLDERS for path in folder.rglob("*.[ot]tf") if path.name in wanted}
    if not found:
        kind = " or ".join(styles)
        raise ConfigError(f"no {script} font of {kind} style is installed: apt-get install {' '.join(packages)}")
    return [found[name] for name in sorted(found)]


def is_period(font_path: Path) -> bool:
    """Return whether this is a font of old print."""
    files = (names for (_, style), packages in _FONT_FILES.items() if style == "period" for names in packages.values())
    return any(font_path.name in names for names in files)


def render_page(
    text: str,
    *,
    font_path: str | Path,
    font_size_px: int,
    width_px: int,
    rng: np.random.Generator,
    leading: float = 1.25,
    hyphenate: bool = False,
) -> RenderedPage:
    """Render `text`, of a script that runs from left to right, in justified lines on a page `width_px` wide, as high as needed.

    Paragraphs are separated by a blank line; a paragraph in capitals that fits on one line is centred, like a heading.
    `leading` is the distance between baselines in font sizes. With `hyphenate`, Latin words may be divided at line ends; the
    hyphen is then part of the line of text.

    Raises: RecordError: `missing_glyph` when the font lacks a character, `too_long` when the page would be higher than
        MAX_HEIGHT_PX or a word has more than MAX_WORD_CHARS.
    ConfigError: when `font_path` is not a font.
    ValueError: when the page is narrower than ten font sizes.
    """
    font = load_font(str(font_path), font_size_px)
    require_settable(str(font_path), text)
    if width_px < 10 * font_size_px:
        raise ValueError(f"a page {width_px} px wide is too narrow for type of {font_size_px} px")
    margin_px = round(font_size_px * rng.uniform(1.5, 3.0))
    setter = _Setter(font, width_px - 2 * margin_px, hyphenate)
    indent_px = round(font_size_px * rng.uniform(0.8, 2.0))
    pitch_px = round(font_size_px * leading)
    # One line more than fits shows that the text is too long, without setting the rest of it.
    set_lines = list(islice(setter.lines(text, indent_px), MAX_HEIGHT_PX // pitch_px + 1))
    headings = sum(line.align == "centre" for line in set_lines)
    height_px = 2 * margin_px + round((max(1, len(set_lines)) + headings / 2) * pitch_px)
    if height_px > MAX_HEIGHT_PX:
        raise RecordError(f"the text makes a page more than {MAX_HEIGHT_PX:,} px high; split it", kind="too_long")
    image = Image.new("L", (width_px, height_px), 255)
    draw = ImageDraw.Draw(image)
    baseline_px = margin_px + font_size_px
    for line in set_lines:
        for word, x_px in setter.positions(line):
            # In hand-set type the letters do not stand exactly level.
            y_px = baseline_px + rng.normal(0, font_size_px / 80)
            draw.text((margin_px + x_px, y_px), word, fill=0, font=font, anchor="ls")
        baseline_px += round(pitch_px * (1.5 if line.align == "centre" else 1))
    return RenderedPage(image, [" ".join(line.words) for line in set_lines])


def render_line(
    text: str, *, font_path: str | Path, font_size_px: int, rng: np.random.Generator, tight: bool = False
) -> RenderedPage:
    """Render the whole `text` as one line with a narrow margin.

    With `tight`, the margin above and below is as narrow as line segmentation leaves it: 0.1 to 0.4 font sizes around the ink,
    but never less than the place of capitals and descenders, so that the height of a lone comma is seen.

    Raises: as `render_page`; RecordError `too_long` when the line would be wider than MAX_WIDTH_PX.
    """
    font = load_font(str(font_path), font_size_px)
    require_settable(str(font_path), text)
    margin_px = round(font_size_px * rng.uniform(0.3, 0.8))
    width_px = 2 * margin_px + math.ceil(font.getlength(text))
    if width_px > MAX_WIDTH_PX:
        raise RecordError(f"the text makes a line more than {MAX_WIDTH_PX:,} px wide; split it", kind="too_long")
    ascent_px, descent_px = font.getmetrics()
    image = Image.new("L", (width_px, 2 * margin_px + ascent_px + descent_px), 255)
    draw = ImageDraw.Draw(image)
    space_px, x_px = font.getlength(" "), float(margin_px)
    for word in text.split():
        y_px = margin_px + ascent_px + rng.normal(0, font_size_px / 80)
        draw.text((x_px, y_px), word, fill=0, font=font, anchor="ls")
        x_px += font.getlength(word) + space_px
    if tight:
        image = cropped_line(image, margin_px + ascent_px, font_size_px, rng)
    return RenderedPage(image, [" ".join(text.split())])


def cropped_line(image: Image.Image, baseline_px: int, font_size_px: int, rng: np.random.Generator) -> Image.Image:
    """Return the line of text in its full width, with a narrow margin above and below."""
    rows = np.flatnonzero((np.asarray(image) < 128).any(axis=1)).tolist() or [baseline_px]
    above_px, below_px = (font_size_px * rng.uniform(0.1, 0.4, size=2)).tolist()
    top_px = round(min(rows[0], baseline_px - 0.7 * font_size_px) - above_px)
    bottom_px = round(max(rows[-1] + 1, baseline_px + 0.2 * font_size_px) + below_px)
    cropped = Image.new("L", (image.width, bottom_px - top_px), 255)
    cropped.paste(image, (0, -top_px))
    return cropped


@dataclass(frozen=True, slots=True)
class _SetLine:
    words: list[str]
    align: Literal["justify", "left", "centre"]
    indent_px: int


class _Setter:
    """Breaks paragraphs into lines `measure_px` wide and places the words of a line."""

    def __init__(self, font: ImageFont.FreeTypeFont, measure_px: int, hyphenate: bool) -> None:
        self.font = font
        self.measure_px = measure_px
        self.hyphenate = hyphenate
        self.length_px = lru_cache(maxsize=65_536)(font.getlength)
        self.space_px = font.getlength(" ")

    def lines(self, text: str, indent_px: int) -> Iterator[_SetLine]:
        for paragraph in re.split(r"\n\s*\n", text):
            yield from self._paragraph(paragraph.split(), indent_px)

    def _paragraph(self, words: list[str], indent_px: int) -> Iterator[_SetLine]:
        if " ".join(words).isupper() and self._width(words) <= self.measure_px:
            yield _SetLine(words, "centre", 0)
            return
        pending = words[::-1]
        while pending:
            line: list[str] = []
            while pending and self._width([*line, pending[-1]]) <= self.measure_px - indent_px:
                line.append(pending.pop())
            if pending:
                word = pending.pop()
                head, tail = self._divide(word, line, self.measure_px - indent_px)
                line += [head] if head else []
                pending += [tail] if tail else []
            yield _SetLine(line, "justify" if pending else "left", indent_px)
            indent_px = 0

    def positions(self, line: _SetLine) -> Iterator[tuple[str, float]]:
        """Yield each word with its distance from the left margin in pixels."""
        spare_px = self.measure_px - line.indent_px - self._width(line.words)
        x_px = line.indent_px + (spare_px / 2 if line.align == "centre" else 0)
        gap_px = self.space_px + (spare_px / max(1, len(line.words) - 1) if line.align == "justify" else 0)
        for word in line.words:
            yield word, x_px
            x_px += self.length_px(word) + gap_px

    def _divide(self, word: str, line: list[str], room_px: float) -> tuple[str, str]:
        """Return head and tail of a word too long for the rest of a line; an empty head moves the whole word to the next line."""
        breaks = [(word[: m.start()], word[m.start() :]) for m in _NATURAL_BREAK.finditer(word)]
        if self.hyphenate:
            breaks += [(word[: m.start()] + "-", word[m.start() :]) for m in _SYLLABLE_END.finditer(word)]
        fitting = [(head, tail) for head, tail in breaks if self._width([*line, head]) <= room_px]
        if fitting:
            return max(fitting, key=lambda pair: len(pair[0]))
        if line:
            return "", word
        end = bisect_right(range(2, len(word) + 1), room_px, key=lambda end: self.font.getlength(word[:end])) + 1
        return word[:end], word[end:]

    def _width(self, words: list[str]) -> float:
        return sum(map(self.length_px, words)) + self.space_px * max(0, len(words) - 1)


@lru_cache(maxsize=64)
def load_font(path: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Return a font of this size, kept for the next call.

    Raises: ConfigError: when the file is not a font.
    """
    try:
        return ImageFont.truetype(path, size_px)
    except OSError as err:
        raise ConfigError(f"{path}: not a readable font: {err}") from None


def require_settable(font_path: str, text: str) -> None:
    """Check that the font has all characters of `text`.

    Raises: RecordError: `missing_glyph` when it lacks one, `too_long` for a word of more than MAX_WORD_CHARS.
    """
    if max(map(len, text.split()), default=0) > MAX_WORD_CHARS:
        raise RecordError(f"a word of more than {MAX_WORD_CHARS:,} characters; is this text?", kind="too_long")
    missing = sorted(char for char in set(text) if not char.isspace() and not _has_glyph(font_path, char))
    if missing:
        names = " ".join(f"{char!r} (U+{ord(char):04X})" for char in missing[:5])
        raise RecordError(f"{Path(font_path).name} has no glyph for {names}; use another font", kind="missing_glyph")


@lru_cache(maxsize=65_536)
def _has_glyph(path: str, char: str) -> bool:
    """Return True if the font draws `char` other than as its missing-glyph sign (Pillow does not expose the cmap)."""
    font = load_font(path, 32)
    mask, missing = font.getmask(char), font.getmask("\U0010ffff")
    return mask.size != missing.size or bytes(mask) != bytes(missing)
