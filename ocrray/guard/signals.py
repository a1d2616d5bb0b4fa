"""What speaks for and against a span: numbers, in families that can be tested and switched off one by one."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocrray.guard.confusion import Confusions
from ocrray.guard.language import WORD, Language
from ocrray.guard.spans import Span

FAMILIES: dict[str, tuple[str, ...]] = {
    "length": ("raw_chars", "growth", "passage_growth"),
    "similarity": ("similarity", "letter_similarity", "letter_changes", "first_letter_same", "last_letter_same"),
    "surroundings": ("changes_near", "noise_near", "neighbour_similarity", "passage_similarity"),
    "repetition": ("repeats",),
    "digits": ("raw_digits", "digits_changed"),
    "capitals": ("raw_capital", "corrected_capital", "capitals_gained", "case_only"),
    "words": ("raw_known", "corrected_known", "raw_frequency", "corrected_frequency", "frequency_gain", "known_for_known"),
    "marks": ("raw_marks", "marks_gained", "spaces_gained", "hyphens_gained"),
    "confusion": ("confusion_bits", "confusion_bits_per_char", "worst_confusion_bits"),
    "language": ("raw_bits_per_char", "corrected_bits_per_char", "bits_gained"),
}
"""Every signal under the name of its family, which is also the reason that a verdict gives."""
NAMES = tuple(name for family in FAMILIES.values() for name in family)

_NEAR_CHARS = 60
_AFTER_CHARS = 3  # a wrong word also makes what follows it surprising
_NGRAM_WORDS = 3


@dataclass(frozen=True)
class Knowledge:
    """What signals are computed from, beside the texts."""

    language: Language
    confusions: Confusions


def signals(raw: str, corrected: str, spans: Sequence[Span], knowledge: Knowledge) -> np.ndarray:
    """One row a span, one column for each of NAMES: float64; `spans` are all that differs between the two texts."""
    if not spans:
        return np.zeros((0, len(NAMES)))
    passage = _Passage(raw, corrected, spans, knowledge)
    return np.array([[float(value) for value in passage.row(number)] for number in range(len(spans))])


class _Passage:
    """What the spans of one passage share."""

    def __init__(self, raw: str, corrected: str, spans: Sequence[Span], knowledge: Knowledge) -> None:
        self.raw, self.corrected, self.spans, self.knowledge = raw, corrected, spans, knowledge
        self.words = knowledge.language.words
        self.raw_bits = _running(knowledge.language.bits(raw))
        self.corrected_bits = _running(knowledge.language.bits(corrected))
        self.noise = _running(self._unknown_chars())
        self.changes = [sum(max(len(edit.raw), len(edit.corrected)) for edit in span.edits) for span in spans]
        self.likeness = [1.0, *(_likeness(span.raw, span.corrected) for span in spans), 1.0]
        self.similarity = 1 - sum(self.changes) / max(len(raw), len(corrected), 1)
        self.growth = (len(corrected) - len(raw)) / max(len(raw), 1)
        self.ngrams = Counter(_word_ngrams(raw))
        self.new_ngrams = Counter(_word_ngrams(corrected))

    def _unknown_chars(self) -> np.ndarray:
        unknown = np.zeros(len(self.raw))
        for match in WORD.finditer(self.raw):
            if match.group().lower() not in self.words:
                unknown[match.start() : match.end()] = 1
        return unknown

    def row(self, number: int) -> list[float]:
        """The signals of one span, in the order of NAMES."""
        span = self.spans[number]
        return [
            *(len(span.raw), len(span.corrected) - len(span.raw), self.growth),
            *self._shape(number),
            *self._surroundings(number),
            self._repeats(span),
            *_digits(span),
            *_capitals(span),
            *self._words(span),
            *_marks(span),
            *self._confusion(span),
            *self._language(span),
        ]

    def _shape(self, number: int) -> tuple[float, ...]:
        span = self.spans[number]
        raw, corrected = _letters(span.raw), _letters(span.corrected)
        changes = Levenshtein.distance(raw, corrected)
        return (
            self.likeness[number + 1],
            1 - changes / max(len(raw), len(corrected), 1),
            changes,
            raw[:1] == corrected[:1],
            raw[-1:] == corrected[-1:],
        )

    def _surroundings(self, number: int) -> tuple[float, ...]:
        span = self.spans[number]
        first, last = max(0, span.start - _NEAR_CHARS), min(len(self.raw), span.end + _NEAR_CHARS)
        others = max(1, last - first - (span.end - span.start))
        near = sum(
            changes
            for other, changes in zip(self.spans, self.changes, strict=True)
            if other is not span and other.end > first and other.start < last
        )
        noise = self.noise[last] - self.noise[first] - (self.noise[span.end] - self.noise[span.start])
        left = self.likeness[number] if number and span.start - self.spans[number - 1].end <= 1 else 1.0
        following = number + 1 < len(self.spans) and self.spans[number + 1].start - span.end <= 1
        right = self.likeness[number + 2] if following else 1.0
        return near / others, noise / others, min(left, right), self.similarity

    def _repeats(self, span: Span) -> float:
        window = self.corrected[max(0, span.new_start - 30) : span.new_end + 30]
        return max((self.new_ngrams[ngram] - self.ngrams[ngram] for ngram in _word_ngrams(window)), default=0)

    def _words(self, span: Span) -> tuple[float, ...]:
        raw_known, raw_frequency = self._familiarity(span.raw)
        known, frequency = self._familiarity(span.corrected)
        both = raw_known == known == 1 and _letters(span.raw) != _letters(span.corrected)
        return raw_known, known, raw_frequency, frequency, frequency - raw_frequency, both

    def _familiarity(self, text: str) -> tuple[float, float]:
        """Which share of the letters is in known words, and log2 of the rarest word's count (10 where there is no word)."""
        words = WORD.findall(text.lower())
        counts = [self.words.get(word, 0) for word in words]
        letters = sum(map(len, words))
        known = sum(len(word) for word, count in zip(words, counts, strict=True) if count)
        return known / letters if letters else 0.0, min((math.log2(1 + count) for count in counts), default=10.0)

    def _confusion(self, span: Span) -> tuple[float, ...]:
        total, worst = self.knowledge.confusions.cost(span.corrected, span.raw)
        return total, total / max(len(span.raw), len(span.corrected), 1), worst

    def _language(self, span: Span) -> tuple[float, ...]:
        end, new_end = min(span.end + _AFTER_CHARS, len(self.raw)), min(span.new_end + _AFTER_CHARS, len(self.corrected))
        before = self.raw_bits[end] - self.raw_bits[span.start]
        after = self.corrected_bits[new_end] - self.corrected_bits[span.new_start]
        return before / max(1, end - span.start), after / max(1, new_end - span.new_start), before - after


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values)])


def _likeness(raw: str, corrected: str) -> float:
    return 1 - Levenshtein.distance(raw, corrected) / max(len(raw), len(corrected), 1)


def _letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def _digits(span: Span) -> tuple[float, ...]:
    before, after = re.findall(r"\d", span.raw), re.findall(r"\d", span.corrected)
    return len(before), before != after


def _capitals(span: Span) -> tuple[float, ...]:
    gained = sum(map(str.isupper, span.corrected)) - sum(map(str.isupper, span.raw))
    case_only = span.raw.lower() == span.corrected.lower()
    return span.raw[:1].isupper(), span.corrected[:1].isupper(), gained, case_only


def _marks(span: Span) -> tuple[float, ...]:
    before, after = (sum(not (char.isalnum() or char.isspace()) for char in text) for text in (span.raw, span.corrected))
    spaces, hyphens = (span.corrected.count(char) - span.raw.count(char) for char in " -")
    return before, after - before, spaces, hyphens


def _word_ngrams(text: str) -> list[tuple[str, ...]]:
    words = text.split()
    return list(zip(*(words[offset:] for offset in range(_NGRAM_WORDS)), strict=False))
