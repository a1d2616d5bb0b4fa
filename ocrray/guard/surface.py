"""Surface signals of one span, which need no language model: shape, digits, capitals, punctuation and spelling."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from ocrray.guard.spans import Span
from ocrray.text.normalise import without_accents
from ocrray.text.orthography import modernises


@lru_cache(maxsize=4_096)  # called four times for each text of a span
def letters(text: str) -> str:
    """Return the letters and digits of `text` with their combining marks, in lower case."""
    return "".join(char for char in text.lower() if char.isalnum() or unicodedata.category(char)[0] == "M")


def style_only(span: Span) -> bool:
    """Return True when only capitals, punctuation and spaces change."""
    return letters(span.raw) == letters(span.corrected)


def similarity(raw: str, corrected: str) -> float:
    """Return 1 - Levenshtein distance / characters of the longer text, 0..1."""
    return 1 - Levenshtein.distance(raw, corrected) / max(len(raw), len(corrected), 1)


def shape(span: Span) -> tuple[float, ...]:
    """Return letter_similarity, letter_changes, first_letter_same, last_letter_same, longest_insertion, longest_deletion and
    worst_word."""
    raw, corrected = letters(span.raw), letters(span.corrected)
    inserted = deleted = changes = 0
    for edit in Levenshtein.opcodes(raw, corrected):
        if edit.tag != "equal":
            before, after = edit.src_end - edit.src_start, edit.dest_end - edit.dest_start
            changes += max(before, after)
            inserted, deleted = max(inserted, after), max(deleted, before)
    words = [letters(word) for word in span.corrected.split()]
    worst = min((_best_match(word, raw) for word in words if len(word) > 1), default=1.0)
    same_ends = raw[:1] == corrected[:1], raw[-1:] == corrected[-1:]
    return 1 - changes / max(len(raw), len(corrected), 1), changes, *same_ends, inserted, deleted, worst


def _best_match(word: str, text: str) -> float:
    """Return the similarity of `word` to the most similar part of `text`, 0..1."""
    return fuzz.partial_ratio(word, text) / 100 if len(text) >= len(word) else fuzz.ratio(word, text) / 100


def digits(span: Span) -> tuple[float, ...]:
    """Return raw_digits and digits_changed."""
    before, after = re.findall(r"\d", span.raw), re.findall(r"\d", span.corrected)
    return len(before), before != after


def capitals(span: Span) -> tuple[float, ...]:
    """Return raw_capital, corrected_capital, capitals_gained and case_only."""
    gained = sum(map(str.isupper, span.corrected)) - sum(map(str.isupper, span.raw))
    case_only = span.raw.lower() == span.corrected.lower()
    return span.raw[:1].isupper(), span.corrected[:1].isupper(), gained, case_only


def marks(span: Span) -> tuple[float, ...]:
    """Return raw_marks, marks_gained, spaces_gained, hyphens_gained and marks_only."""
    before, after = (sum(not (char.isalnum() or char.isspace()) for char in text) for text in (span.raw, span.corrected))
    spaces, hyphens = (span.corrected.count(char) - span.raw.count(char) for char in " -")
    return before, after - before, spaces, hyphens, style_only(span)


def drift(span: Span) -> tuple[float, ...]:
    """Return modernised and accents_only."""
    accents_only = span.raw != span.corrected and without_accents(span.raw) == without_accents(span.corrected)
    return modernises(span.raw, span.corrected), accents_only


def word_differences(raw: list[str], corrected: list[str]) -> tuple[list[str], list[str]]:
    """Return the multiset differences (words removed from `raw`, words added in `corrected`)."""
    before, after = Counter(raw), Counter(corrected)
    return list((before - after).elements()), list((after - before).elements())
