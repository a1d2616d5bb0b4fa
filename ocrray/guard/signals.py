"""Signals of a span: numbers that the scorer weighs, in families that can be switched off one by one."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocrray.guard import surface
from ocrray.guard.confusion import Confusions
from ocrray.guard.evidence import NO_EVIDENCE, ExternalEvidence
from ocrray.guard.language import ORDER, WORD, Language
from ocrray.guard.spans import Span

FAMILIES: dict[str, tuple[str, ...]] = {
    "length": ("raw_chars", "growth", "passage_growth", "words_gained"),
    "similarity": (
        *("similarity", "letter_similarity", "letter_changes", "first_letter_same", "last_letter_same"),
        *("longest_insertion", "longest_deletion", "worst_word"),
    ),
    "surroundings": (
        "changes_near",
        "noise_near",
        "neighbour_similarity",
        "passage_similarity",
        "spans",
        "chars_to_edge",
        "style_alone",
    ),
    "repetition": ("repeats",),
    "digits": ("raw_digits", "digits_changed"),
    "capitals": ("raw_capital", "corrected_capital", "capitals_gained", "case_only"),
    "marks": ("raw_marks", "marks_gained", "spaces_gained", "hyphens_gained", "marks_only"),
    "drift": ("modernised", "accents_only"),
    "words": ("raw_known", "corrected_known", "raw_frequency", "corrected_frequency", "frequency_gain", "known_for_known"),
    "context": ("raw_link", "corrected_link", "links_gained", "dropped_frequency"),
    "evidence": ("gone_elsewhere", "new_elsewhere", "same_change"),
    "confusion": ("confusion_bits", "confusion_bits_per_char", "worst_confusion_bits"),
    "language": ("raw_bits_per_char", "corrected_bits_per_char", "bits_gained", "raw_worst_bits", "corrected_worst_bits"),
    "engine": ("tagger_probability", "model_probability"),
    "recognizer": ("least_confidence",),
    "tagger": ("tagger_says",),
    "neighbours": ("others_wrong",),
}
"""Names of the signals by family; the family's name is also the reason that a verdict gives.

`others_wrong` is the mean probability that the other spans of the passage are wrong, 0 until the scorer fills it in.
"""
NAMES = tuple(name for family in FAMILIES.values() for name in family)

_NEAR_CHARS = 60
_EDGE_CHARS = 60
_AFTER_CHARS = 3  # a wrong word also raises the surprisal of the characters after it
_MANY_SPANS = 3
_NGRAM_WORDS = 3
_NO_WORD_LOG_COUNT = 10.0  # of a span without words: neither rare nor frequent


@dataclass(frozen=True)
class Knowledge:
    """Fitted models that the signals are computed from."""

    language: Language
    confusions: Confusions


def signals(
    raw: str, corrected: str, spans: Sequence[Span], knowledge: Knowledge, evidence: ExternalEvidence = NO_EVIDENCE
) -> NDArray[np.float64]:
    """Return the signals of `spans`, which hold all differences between the two texts: shape (len(spans), len(NAMES))."""
    if not spans:
        return np.zeros((0, len(NAMES)))
    passage = _Passage(raw, corrected, spans, knowledge, evidence)
    return np.array([passage.row(number) for number in range(len(spans))], dtype=np.float64)


class _Words:
    """Words of a text in lower case, with their start offsets."""

    def __init__(self, text: str) -> None:
        self.starts: list[int] = []
        self.words: list[str] = []
        for match in WORD.finditer(text):
            self.starts.append(match.start())
            self.words.append(match.group().lower())

    def between(self, start: int, end: int) -> tuple[int, int]:
        """Return the indices (first, end) of the words that start in `start..end`, `end` excluded."""
        return bisect_left(self.starts, start), bisect_left(self.starts, end)


class _Passage:
    """Values shared by the spans of one passage."""

    def __init__(self, raw: str, corrected: str, spans: Sequence[Span], knowledge: Knowledge, evidence: ExternalEvidence) -> None:
        self.raw, self.corrected, self.spans, self.knowledge, self.evidence = raw, corrected, spans, knowledge, evidence
        self.known = knowledge.language.words
        self.raw_words, self.corrected_words = _Words(raw), _Words(corrected)
        self.unknown_chars = self._cumulative_unknown_chars()
        places = [(raw, span.start, span.end) for span in spans] + [(corrected, span.new_start, span.new_end) for span in spans]
        bits = _bits_of(knowledge.language, places)
        self.raw_bits, self.corrected_bits = bits[: len(spans)], bits[len(spans) :]
        self.changes = [sum(max(len(edit.raw), len(edit.corrected)) for edit in span.edits) for span in spans]
        self.similarities = [1.0, *(surface.similarity(span.raw, span.corrected) for span in spans), 1.0]
        self.passage_similarity = 1 - sum(self.changes) / max(len(raw), len(corrected), 1)
        self.growth = (len(corrected) - len(raw)) / max(len(raw), 1)
        self.style_alone = all(map(surface.style_only, spans)) * min(len(spans), _MANY_SPANS)
        self.ngrams, self.new_ngrams = Counter(_word_ngrams(raw)), Counter(_word_ngrams(corrected))
        self.word_counts = Counter(self.raw_words.words)
        self.edit_counts = Counter((edit.raw, edit.corrected) for span in spans for edit in span.edits)

    def _cumulative_unknown_chars(self) -> NDArray[np.float64]:
        """Return the number of characters of unknown words before each offset, shape (len(raw) + 1,)."""
        unknown = np.zeros(len(self.raw) + 1)
        for start, word in zip(self.raw_words.starts, self.raw_words.words, strict=True):
            if word not in self.known:
                unknown[start + 1 : start + 1 + len(word)] = 1
        return np.cumsum(unknown)

    def row(self, number: int) -> list[float]:
        """Return the signals of one span, in the order of NAMES."""
        span = self.spans[number]
        first, last = self.raw_words.between(span.start, span.end)
        new_first, new_last = self.corrected_words.between(span.new_start, span.new_end)
        old, new = self.raw_words.words[first:last], self.corrected_words.words[new_first:new_last]
        removed, added = surface.word_differences(old, new)
        return [
            *(len(span.raw), len(span.corrected) - len(span.raw), self.growth, len(new) - len(old)),
            *(self.similarities[number + 1], *surface.shape(span)),
            *self._surroundings(number),
            self._repeats(span),
            *surface.digits(span),
            *surface.capitals(span),
            *surface.marks(span),
            *surface.drift(span),
            *self._words(span, old, new),
            *self._context((first, last), (new_first, new_last)),
            self._dropped_frequency(span, removed, added),
            *self._recurrence(span, removed, added),
            *self._confusion(span),
            *self._language(number),
            *self.evidence.edit_probabilities(span),
            self.evidence.min_confidence(span),
            self.evidence.tagger_agreement(span),
            0.0,  # others_wrong
        ]

    def _surroundings(self, number: int) -> tuple[float, ...]:
        span = self.spans[number]
        first, last = max(0, span.start - _NEAR_CHARS), min(len(self.raw), span.end + _NEAR_CHARS)
        others = max(1, last - first - (span.end - span.start))
        near = sum(
            changes
            for other, changes in zip(self.spans, self.changes, strict=True)
            if other is not span and other.end > first and other.start < last
        )
        unknown = self.unknown_chars
        noise = unknown[last] - unknown[first] - (unknown[span.end] - unknown[span.start])
        left = self.similarities[number] if number and span.start - self.spans[number - 1].end <= 1 else 1.0
        following = number + 1 < len(self.spans) and self.spans[number + 1].start - span.end <= 1
        right = self.similarities[number + 2] if following else 1.0
        edge = min(span.start, len(self.raw) - span.end, _EDGE_CHARS)
        return near / others, noise / others, min(left, right), self.passage_similarity, len(self.spans), edge, self.style_alone

    def _repeats(self, span: Span) -> float:
        window = self.corrected[max(0, span.new_start - 30) : span.new_end + 30]
        return max((self.new_ngrams[ngram] - self.ngrams[ngram] for ngram in _word_ngrams(window)), default=0)

    def _words(self, span: Span, old: Sequence[str], new: Sequence[str]) -> tuple[float, ...]:
        raw_known, raw_log_count = self._known_words(old)
        known, log_count = self._known_words(new)
        both = raw_known == known == 1 and not surface.style_only(span)
        return raw_known, known, raw_log_count, log_count, log_count - raw_log_count, both

    def _known_words(self, words: Sequence[str]) -> tuple[float, float]:
        """Return the fraction (0..1) of the letters that are in known words, and log2 of the rarest word's count."""
        letters = sum(map(len, words))
        known = sum(len(word) for word in words if word in self.known)
        log_count = min((math.log2(1 + self.known.get(word, 0)) for word in words), default=_NO_WORD_LOG_COUNT)
        return known / letters if letters else 0.0, log_count

    def _context(self, old: tuple[int, int], new: tuple[int, int]) -> tuple[float, ...]:
        """Return the lowest bigram association in and around the span before and after the change, and the gain in their sum."""
        before, after = self._associations(self.raw_words.words, *old), self._associations(self.corrected_words.words, *new)
        return min(before, default=0.0), min(after, default=0.0), sum(after) - sum(before)

    def _associations(self, words: Sequence[str], first: int, last: int) -> list[float]:
        association = self.knowledge.language.association
        return [association(words[place - 1], words[place]) for place in range(max(first, 1), min(last + 1, len(words)))]

    def _dropped_frequency(self, span: Span, removed: Sequence[str], added: Sequence[str]) -> float:
        """Return log2 of the count of the most frequent word removed without replacement, 0 when there is none."""
        if len(removed) <= len(added) or surface.style_only(span):
            return 0.0
        return max(math.log2(1 + self.known.get(word, 0)) for word in removed)

    def _recurrence(self, span: Span, removed: Sequence[str], added: Sequence[str]) -> tuple[float, ...]:
        """Return the fractions of removed and added words that occur elsewhere in the passage, and the count of the same edit."""
        gone_elsewhere = sum(self.word_counts[word] > 1 for word in set(removed)) / max(len(removed), 1)
        new_elsewhere = sum(word in self.word_counts for word in set(added)) / max(len(added), 1)
        same = min(self.edit_counts[edit.raw, edit.corrected] for edit in span.edits)
        return gone_elsewhere, new_elsewhere, same

    def _confusion(self, span: Span) -> tuple[float, ...]:
        total, worst = self.knowledge.confusions.cost(span.corrected, span.raw)
        return total, total / max(len(span.raw), len(span.corrected), 1), worst

    def _language(self, number: int) -> tuple[float, ...]:
        before, after = self.raw_bits[number], self.corrected_bits[number]
        return (
            before.sum() / max(1, len(before)),
            after.sum() / max(1, len(after)),
            before.sum() - after.sum(),
            before.max(initial=0.0),
            after.max(initial=0.0),
        )


def _bits_of(language: Language, places: Sequence[tuple[str, int, int]]) -> list[NDArray[np.float64]]:
    """Return the surprisals of each (text, start, end) and of the few characters after it, computed in one call."""
    pieces, sizes = [], []
    for text, start, end in places:
        stop = min(end + _AFTER_CHARS, len(text))
        context = text[max(0, start - ORDER + 1) : start].rjust(ORDER - 1)
        pieces.append(context + text[start:stop])
        sizes.append(stop - start)
    bits = language.bits("".join(pieces))
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    return [bits[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _word_ngrams(text: str) -> list[tuple[str, ...]]:
    words = text.split()
    return list(zip(*(words[offset:] for offset in range(_NGRAM_WORDS)), strict=False))
