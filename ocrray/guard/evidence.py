"""Evidence from outside the corrector: the recognizer's confidences, and the edits of a tagger that ran before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ocrray.guard.spans import Span, shifted
from ocrray.records import Edit
from ocrray.text.edits import apply_edits

_UNKNOWN = -1.0
_UNCHANGED, _CHANGED_OTHERWISE, _SAME_CHANGE = 0.0, 1.0, 2.0


@dataclass(frozen=True, slots=True)
class ExternalEvidence:
    """Evidence on one text; offsets are those of the text that is judged, None means not available."""

    confidences: NDArray[np.floating] | None = None
    """The recognizer's confidence of each character, 0..1, NaN where unknown."""
    tagger_edits: Sequence[Edit] | None = None
    """Edits that the tagger proposed for the same text, in order."""
    by_tagger: bool = False
    """True when the judged edits are the tagger's own; its probabilities are calibrated differently from a language model's."""

    def slice(self, start: int, end: int) -> "ExternalEvidence":
        """Return the evidence on `text[start:end]`, with offsets into that slice."""
        edits = self.tagger_edits
        if edits is not None:
            edits = [shifted(edit, -start) for edit in edits if start <= edit.start and edit.end <= end]
        return replace(self, confidences=None if self.confidences is None else self.confidences[start:end], tagger_edits=edits)

    def edit_probabilities(self, span: Span) -> tuple[float, float]:
        """Return the lowest probability (0..1) among the span's edits as (tagger's, language model's); -1 where unknown."""
        lowest = min((edit.probability for edit in span.edits if edit.probability is not None), default=_UNKNOWN)
        return (lowest, _UNKNOWN) if self.by_tagger else (_UNKNOWN, lowest)

    def min_confidence(self, span: Span) -> float:
        """Return the recognizer's lowest confidence (0..1) among the span's characters; -1 where unknown."""
        if self.confidences is None:
            return _UNKNOWN
        known = self.confidences[span.start : span.end]
        known = known[known >= 0]  # drops NaN
        return float(known.min()) if len(known) else _UNKNOWN

    def tagger_agreement(self, span: Span) -> float:
        """Return 2 when the tagger made the same change, 1 when it made another, 0 when it made none, -1 when it did not run."""
        if self.tagger_edits is None:
            return _UNKNOWN
        edits = [shifted(edit, -span.start) for edit in self.tagger_edits if span.start <= edit.start and edit.end <= span.end]
        if not edits:
            return _UNCHANGED
        return _SAME_CHANGE if apply_edits(span.raw, edits) == span.corrected else _CHANGED_OTHERWISE


NO_EVIDENCE = ExternalEvidence()
