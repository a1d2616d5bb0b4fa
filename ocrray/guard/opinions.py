"""What others than the corrector say of a passage: the recognizer that read it, the tagger that a language model comes after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ocrray.guard.spans import Span, moved_by
from ocrray.records import Edit
from ocrray.text.edits import apply_edits

_NOT_ASKED = -1.0
_SILENT, _OTHERWISE, _THE_SAME = 0.0, 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Opinions:
    """`confidences` (0..1, one a character, NaN where none is known) are the recognizer's, `tagger_edits` what the tagger would
    change, in order; None where nobody was asked. Offsets are those of the text that is judged. `by_tagger`: the changes judged
    are a tagger's own, whose probabilities are not those of a language model."""

    confidences: np.ndarray | None = None
    tagger_edits: Sequence[Edit] | None = None
    by_tagger: bool = False

    def within(self, start: int, end: int) -> "Opinions":
        """Those of `text[start:end]`, with its offsets."""
        edits = self.tagger_edits
        if edits is not None:
            edits = [moved_by(edit, -start) for edit in edits if start <= edit.start and edit.end <= end]
        return replace(self, confidences=None if self.confidences is None else self.confidences[start:end], tagger_edits=edits)

    def least_probability(self, span: Span) -> tuple[float, float]:
        """How sure a tagger, or else a language model, was of its least sure edit of the span; -1 where it is not this one's
        edit, or where it does not say."""
        said = min((edit.probability for edit in span.edits if edit.probability is not None), default=_NOT_ASKED)
        return (said, _NOT_ASKED) if self.by_tagger else (_NOT_ASKED, said)

    def least_confidence(self, span: Span) -> float:
        """How sure the recognizer was of the word of the span that it was least sure of; -1 where it does not say."""
        if self.confidences is None:
            return _NOT_ASKED
        said = self.confidences[span.start : span.end]
        said = said[said >= 0]  # a NaN is not
        return float(said.min()) if len(said) else _NOT_ASKED

    def tagger_says(self, span: Span) -> float:
        """Whether the tagger left the span alone (0), changed it otherwise (1) or just so (2); -1 where it was not asked."""
        if self.tagger_edits is None:
            return _NOT_ASKED
        edits = [moved_by(edit, -span.start) for edit in self.tagger_edits if span.start <= edit.start and edit.end <= span.end]
        if not edits:
            return _SILENT
        return _THE_SAME if apply_edits(span.raw, edits) == span.corrected else _OTHERWISE


NONE = Opinions()
"""Nobody was asked."""
