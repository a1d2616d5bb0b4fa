"""How well texts were corrected, against their ground truth."""

from collections.abc import Sequence

from ocrray.text.metrics import cer_totals, distances, word_distances
from ocrray.text.normalise import for_scoring


def correction_figures(raw: Sequence[str], corrected: Sequence[str], truth: Sequence[str]) -> dict[str, float]:
    """`raw_cer` and `cer` (micro), `wer` of what was corrected, `made_worse_frac`; fractions, after `for_scoring`."""
    scored = [for_scoring(text) for text in truth]
    totals = cer_totals([len(text) for text in scored], distances(raw, truth), distances(corrected, truth))
    return {
        "raw_cer": totals.micro_raw_cer,
        "cer": totals.micro_corrected_cer,
        "wer": int(word_distances(corrected, truth).sum()) / max(1, sum(len(text.split()) for text in scored)),
        "made_worse_frac": totals.made_worse_frac,
    }
