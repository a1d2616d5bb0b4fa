"""What a span shows by itself, without any knowledge of a language: its shape, digits, capitals, marks and spelling."""

import re
from collections import Counter
from functools import lru_cache

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from ocrray.guard.spans import Span
from ocrray.text.normalise import without_accents
from ocrray.text.orthography import modernises


@lru_cache(maxsize=4_096)  # each of a span's texts is looked at four times
def letters(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(char for char in text.lower() if char.isalnum())


def of_style(span: Span) -> bool:
    """Whether nothing but capitals, marks and spaces changes."""
    return letters(span.raw) == letters(span.corrected)


def likeness(raw: str, corrected: str) -> float:
    """1 - Levenshtein distance / characters of the longer text, 0..1."""
    return 1 - Levenshtein.distance(raw, corrected) / max(len(raw), len(corrected), 1)


def shape(span: Span) -> tuple[float, ...]:
    """letter_similarity, letter_changes, first_letter_same, last_letter_same, longest_insertion, longest_deletion, worst_word."""
    raw, corrected = letters(span.raw), letters(span.corrected)
    inserted = deleted = changes = 0
    for edit in Levenshtein.opcodes(raw, corrected):
        if edit.tag != "equal":
            before, after = edit.src_end - edit.src_start, edit.dest_end - edit.dest_start
            changes += max(before, after)
            inserted, deleted = max(inserted, after), max(deleted, before)
    words = [letters(word) for word in span.corrected.split()]
    worst = min((_contained(word, raw) for word in words if len(word) > 1), default=1.0)
    same_ends = raw[:1] == corrected[:1], raw[-1:] == corrected[-1:]
    return 1 - changes / max(len(raw), len(corrected), 1), changes, *same_ends, inserted, deleted, worst


def _contained(word: str, text: str) -> float:
    """How like `word` the best part of `text` is, 0..1."""
    return fuzz.partial_ratio(word, text) / 100 if len(text) >= len(word) else fuzz.ratio(word, text) / 100


def digits(span: Span) -> tuple[float, ...]:
    """raw_digits, digits_changed."""
    before, after = re.findall(r"\d", span.raw), re.findall(r"\d", span.corrected)
    return len(before), before != after


def capitals(span: Span) -> tuple[float, ...]:
    """raw_capital, corrected_capital, capitals_gained, case_only."""
    gained = sum(map(str.isupper, span.corrected)) - sum(map(str.isupper, span.raw))
    case_only = span.raw.lower() == span.corrected.lower()
    return span.raw[:1].isupper(), span.corrected[:1].isupper(), gained, case_only


def marks(span: Span) -> tuple[float, ...]:
    """raw_marks, marks_gained, spaces_gained, hyphens_gained, marks_only."""
    before, after = (sum(not (char.isalnum() or char.isspace()) for char in text) for text in (span.raw, span.corrected))
    spaces, hyphens = (span.corrected.count(char) - span.raw.count(char) for char in " -")
    return before, after - before, spaces, hyphens, of_style(span)


def drift(span: Span) -> tuple[float, ...]:
    """modernised, accents_only."""
    accents_only = span.raw != span.corrected and without_accents(span.raw) == without_accents(span.corrected)
    return modernises(span.raw, span.corrected), accents_only


def exchanged(raw: list[str], corrected: list[str]) -> tuple[list[str], list[str]]:
    """The words of one text that the other lacks: gone and new, each as often as it is too many."""
    before, after = Counter(raw), Counter(corrected)
    return list((before - after).elements()), list((after - before).elements())
