"""Spans whose worth is known, to fit a scorer on and to measure it by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocrray.guard.opinions import NONE, Opinions
from ocrray.guard.scorer import Scorer
from ocrray.guard.signals import NAMES, Knowledge, signals
from ocrray.guard.spans import Span, spans_of
from ocrray.records import Edit
from ocrray.text.edits import apply_edits, edits_between, with_probabilities
from ocrray.text.normalise import for_scoring

_MOST_CHARS = 8  # a runaway tail teaches no more than a clause


@dataclass(frozen=True, slots=True)
class LabelledSpans:
    """Signals (rows as NAMES) of spans, by how many characters each alone brings its text nearer to the truth, and how many
    spans each record has."""

    signals: np.ndarray
    gains: np.ndarray
    passage_spans: np.ndarray

    @property
    def importance(self) -> np.ndarray:
        """How much each should count in fitting: more with the characters at stake; half a character where there are none."""
        return np.clip(np.abs(self.gains), 0.5, _MOST_CHARS) ** 0.7


class Corrected(NamedTuple):
    """One correction whose truth is known; `probabilities` as in `engines.base.Correction`."""

    raw: str
    corrected: str
    truth: str
    probabilities: Mapping[int, float] = MappingProxyType({})
    opinions: Opinions = NONE

    @property
    def edits(self) -> list[Edit]:
        """All that was changed."""
        return with_probabilities(edits_between(self.raw, self.corrected), self.probabilities)


def labelled(records: Iterable[Corrected], knowledge: Knowledge) -> LabelledSpans:
    """The spans of these records."""
    rows, gains, counts = [np.zeros((0, len(NAMES)))], [], []
    for record in records:
        spans = spans_of(record.raw, record.edits)
        rows.append(signals(record.raw, record.corrected, spans, knowledge, record.opinions))
        gains += span_gains(record.raw, spans, record.truth)
        counts.append(len(spans))
    return LabelledSpans(np.concatenate(rows), np.array(gains, dtype=float), np.array(counts, dtype=int))


def fit_scorer(spans: LabelledSpans) -> Scorer:
    """The scorer that tells the spans that help from those that do not, the more at stake the more surely."""
    return Scorer.fit(spans.signals, spans.gains > 0, spans.importance, spans.passage_spans)


def span_gains(raw: str, spans: Iterable[Span], truth: str) -> list[int]:
    """By how many characters each span, made alone, brings `raw` nearer to `truth`, as scoring sees them."""
    target = for_scoring(truth)
    before = Levenshtein.distance(for_scoring(raw), target)
    return [before - Levenshtein.distance(for_scoring(apply_edits(raw, span.edits)), target) for span in spans]
