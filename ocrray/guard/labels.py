"""Labels for spans whose ground truth is known, to fit and to evaluate a scorer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from ocrray.guard.evidence import NO_EVIDENCE, ExternalEvidence
from ocrray.guard.signals import NAMES, Knowledge, signals
from ocrray.guard.spans import Span, spans_of
from ocrray.records import Edit
from ocrray.text.edits import apply_edits, edits_between, with_probabilities
from ocrray.text.normalise import for_scoring

_MAX_GAIN_CHARS = 8  # caps the weight of one span: a runaway tail of 500 characters counts as one wrong clause


@dataclass(frozen=True, slots=True)
class LabelledSpans:
    """Signals and labels of the spans of several records, in order."""

    signals: NDArray[np.float64]
    """Shape (spans, len(NAMES))."""
    gains: NDArray[np.float64]
    """Characters by which each span, applied alone, brings its text nearer to the ground truth; negative when further away."""
    passage_spans: NDArray[np.int64]
    """Number of spans of each record."""

    @property
    def sample_weights(self) -> NDArray[np.float64]:
        """Weight of each span in fitting: grows with the absolute gain; a span without gain counts as half a character."""
        weights: NDArray[np.float64] = np.clip(np.abs(self.gains), 0.5, _MAX_GAIN_CHARS) ** 0.7
        return weights


class LabelledCorrection(NamedTuple):
    """One correction whose ground truth is known; `probabilities` as in `engines.base.CorrectionResult`."""

    raw: str
    corrected: str
    truth: str
    probabilities: Mapping[int, float] = MappingProxyType({})
    evidence: ExternalEvidence = NO_EVIDENCE

    @property
    def edits(self) -> list[Edit]:
        """Edits that turn `raw` into `corrected`, with their probabilities."""
        return with_probabilities(edits_between(self.raw, self.corrected), self.probabilities)


def label_spans(records: Iterable[LabelledCorrection], knowledge: Knowledge) -> LabelledSpans:
    """Return the signals and labels of all spans of `records`."""
    rows, gains, counts = [np.zeros((0, len(NAMES)))], [], []
    for record in records:
        spans = spans_of(record.raw, record.edits)
        rows.append(signals(record.raw, record.corrected, spans, knowledge, record.evidence))
        gains += span_gains(record.raw, spans, record.truth)
        counts.append(len(spans))
    return LabelledSpans(np.concatenate(rows), np.array(gains, dtype=np.float64), np.array(counts, dtype=np.int64))


def span_gains(raw: str, spans: Iterable[Span], truth: str) -> list[int]:
    """Return the characters by which each span, applied alone, brings `raw` nearer to `truth`, normalised for scoring."""
    target = for_scoring(truth)
    before = Levenshtein.distance(for_scoring(raw), target)
    return [before - Levenshtein.distance(for_scoring(apply_edits(raw, span.edits)), target) for span in spans]
