"""Metrics of texts that are reported during training."""

from collections.abc import Sequence

from ocrray.text.metrics import cer_totals, distances, word_distances
from ocrray.text.normalise import for_scoring
from ocrray.text.words import words


def correction_metrics(raw: Sequence[str], corrected: Sequence[str], truth: Sequence[str]) -> dict[str, float]:
    """Return `raw_cer`, `cer` and `wer` (micro) and `made_worse_frac` as fractions, where defined, after `for_scoring`."""
    scored = [for_scoring(text) for text in truth]
    totals = cer_totals([len(text) for text in scored], distances(raw, truth), distances(corrected, truth))
    metrics = {
        "raw_cer": totals.micro_raw_cer,
        "cer": totals.micro_corrected_cer,
        "wer": int(word_distances(corrected, truth).sum()) / max(1, sum(len(words(text)) for text in scored)),
        "made_worse_frac": totals.made_worse_frac,
    }
    return {name: value for name, value in metrics.items() if value is not None}


def reading_metrics(answers: Sequence[str | None], truths: Sequence[str]) -> dict[str, float]:
    """Return `cer` and `wer` (micro) and `exact_frac` of texts that were read, after `for_scoring`; None is an empty answer."""
    read, true = ([for_scoring(text or "") for text in texts] for texts in (answers, truths))
    if not true:
        return {}
    return {
        "cer": int(distances(read, true, str).sum()) / max(1, sum(map(len, true))),
        "wer": int(word_distances(read, true, str).sum()) / max(1, sum(len(words(text)) for text in true)),
        "exact_frac": sum(map(str.__eq__, read, true)) / len(true),
    }
