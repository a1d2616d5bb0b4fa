"""Clean text for pairs: gather it into passages, cut excerpts, and vary typesetting."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

PASSAGE_CHARS = 1500

_STRAIGHT = str.maketrans("“”‘’—–", "\"\"''--")
_EMPHASIS = re.compile(r"_([^_\n]{1,200})_")
_LATIN = re.compile(r"[A-Za-z]")
_BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Passage:
    """Whole paragraphs, one a line; `source` names the first of the texts that they come from."""

    text: str
    source: str


def passages(texts: Iterable[tuple[str, str]], min_chars: int = PASSAGE_CHARS) -> Iterator[Passage]:
    """Gather (source, text) in order into passages of at least `min_chars` characters and less than three times that.

    A text may be a line, a paragraph or a whole book with blank lines between paragraphs; the last passage may be shorter. Line
    ends within a paragraph and marks of emphasis (`_so_`) are removed.
    """
    pending: list[str] = []
    chars, first = 0, ""
    for source, text in texts:
        for paragraph in _paragraphs(text, 2 * min_chars):
            first = first if pending else source
            pending.append(paragraph)
            chars += len(paragraph)
            if chars >= min_chars:
                yield Passage("\n".join(pending), first)
                pending, chars = [], 0
    if pending:
        yield Passage("\n".join(pending), first)


def excerpt(text: str, chars: tuple[int, int], rng: np.random.Generator) -> str:
    """Return a piece of `text` of `chars` (least, most) characters or slightly fewer, cut at white space where there is any."""
    length = int(rng.integers(chars[0], chars[1] + 1))
    start = int(rng.integers(max(1, len(text) - length + 1)))
    word_start = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1
    if start - word_start < length:  # else this is one long word, or a script without spaces
        start = word_start
    start += len(text[start:]) - len(text[start:].lstrip())
    end = start + length
    cuts_a_word = end < len(text) and not text[end - 1].isspace() and not text[end].isspace()
    piece = text[start:end].strip()
    return piece.rsplit(maxsplit=1)[0] if cuts_a_word else piece


def straighten(text: str) -> str:
    """Return the text with straight quotation marks and dashes, of the same length."""
    return text.translate(_STRAIGHT)


def vary(passage: str, rng: np.random.Generator) -> str:
    """Return the passage with another printer's quotation marks, figures, capitals and line ends."""
    if rng.random() < 0.7:
        passage = straighten(passage)
    if rng.random() < 0.5 and _LATIN.search(passage):
        passage = _with_figures(passage, rng)
    if rng.random() < 0.5:
        return passage.replace("\n", " ")
    return "\n".join(_set_in_lines(passage, int(rng.integers(25, 75)), rng.random() < 0.6))


def _paragraphs(text: str, max_chars: int) -> Iterator[str]:
    """Yield the paragraphs of a text on one line each, longer ones in pieces cut at spaces where there are any."""
    for part in _BLANK_LINE.split(text):
        paragraph = " ".join(_EMPHASIS.sub(r"\1", part).split())
        start = 0
        while len(paragraph) - start > max_chars:
            space = paragraph.rfind(" ", start + max_chars // 2, start + max_chars + 1)
            end = space if space > 0 else start + max_chars
            yield paragraph[start:end]
            start = end + (space > 0)
        if start < len(paragraph):
            yield paragraph[start:]


def _with_figures(passage: str, rng: np.random.Generator) -> str:
    """Insert figures, abbreviations and capitals between words: newspapers are full of them, novels have few."""
    words = re.split(r"( )", passage)
    for index in range(0, len(words), 2):
        draw = rng.random()
        if draw < 0.03:
            words[index] += " " + _figure(rng)
        elif draw < 0.05:
            words[index] = words[index].upper()
        elif draw < 0.07:
            words[index] = words[index].capitalize()
    return "".join(words)


def _figure(rng: np.random.Generator) -> str:
    number = int(rng.integers(1, 10 ** int(rng.integers(1, 5))))
    forms = (
        *(f"{number}", f"{number},", f"{number}.", f"No. {number},", f"{number % 31 + 1}th", f"£{number}", f"{number:,}l."),
        *(f"{number % 20}s.", f"{number % 20}s. {number % 12}d.", f"£{number:,} {number % 20}s. {number % 12}d.", f"({number})"),
        *(f"{1700 + number % 220}", f"{number % 100} per cent.", f"{number % 12 + 1} o'clock", f"{number}½"),
        *(f"Capt. {chr(65 + number % 26)}.", f"{chr(65 + number % 26)}.", "&c.", "Esq.,", "inst.", "ult.", "Messrs.", "St."),
        *("Co.", "a.m.", "p.m.", "Rev.", "Hon.", "per", "ditto", "do.", "Jan.", "Feb.", "Aug.", "Sept.", "Nov."),
    )
    return forms[int(rng.integers(len(forms)))]


def _set_in_lines(passage: str, width_chars: int, hyphenate: bool) -> list[str]:
    lines = []
    for paragraph in passage.split("\n"):
        line = ""
        for word in paragraph.split():
            room = width_chars - len(line) - 1
            if len(word) <= room or not line:
                line = f"{line} {word}" if line else word
            elif hyphenate and room >= 4 and len(word) > 6 and word[: room - 1].isalpha() and word[room - 1 :][:2].isalpha():
                lines.append(f"{line} {word[: room - 1]}-")
                line = word[room - 1 :]
            else:
                lines.append(line)
                line = word
        lines.append(line)
    return lines
