"""Clean text to train on: read it, and vary how it is set so that a corrector meets more than novels."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PASSAGE_CHARS = 1500

_STRAIGHT = str.maketrans("“”‘’—–", "\"\"''--")
_EMPHASIS = re.compile(r"_([^_\n]{1,200})_")


def read_passages(paths: Sequence[Path]) -> list[str]:
    """Passages of about PASSAGE_CHARS characters from plain text or JSONL with a `text` key, gzipped or not.

    A passage is whole paragraphs, one a line, in the order of the file.
    """
    passages = []
    for path in paths:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            if ".jsonl" in path.suffixes:
                paragraphs = [json.loads(line)["text"] for line in file]
            else:
                paragraphs = re.split(r"\n\s*\n", file.read())
        passages += _group([" ".join(_EMPHASIS.sub(r"\1", paragraph).split()) for paragraph in paragraphs])
    return passages


def straighten(text: str) -> str:
    """The text with a typewriter's quotation marks and dashes, character for character."""
    return text.translate(_STRAIGHT)


def vary(passage: str, rng: np.random.Generator) -> str:
    """The passage as another printer or transcriber might have it: other quotation marks, figures, capitals, lines of type."""
    if rng.random() < 0.7:
        passage = straighten(passage)
    if rng.random() < 0.4:
        passage = _with_figures(passage, rng)
    if rng.random() < 0.5:
        return passage.replace("\n", " ")
    return "\n".join(_set_in_lines(passage, int(rng.integers(25, 75)), rng.random() < 0.6))


def _group(paragraphs: Sequence[str]) -> list[str]:
    passages, pending, chars = [], [], 0
    for paragraph in paragraphs:
        if not paragraph:
            continue
        pending.append(paragraph)
        chars += len(paragraph)
        if chars >= PASSAGE_CHARS:
            passages.append("\n".join(pending))
            pending, chars = [], 0
    return [*passages, "\n".join(pending)] if pending else passages


def _with_figures(passage: str, rng: np.random.Generator) -> str:
    """Novels hardly have the figures, abbreviations and capitals of which a newspaper is full: put some between the words."""
    words = re.split(r"( )", passage)
    for index in range(0, len(words), 2):
        draw = rng.random()
        if draw < 0.02:
            words[index] += " " + _figure(rng)
        elif draw < 0.04:
            words[index] = words[index].upper()
        elif draw < 0.06:
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
