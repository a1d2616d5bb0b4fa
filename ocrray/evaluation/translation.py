"""BLEU and TER by sacrebleu: translation metrics that are also reported for post-correction."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TranslationScores:
    """Corpus scores in percent (BLEU: higher is better, TER: lower is better), with sacrebleu's signatures of the settings."""

    records: int
    raw_bleu: float
    bleu: float
    raw_ter: float
    ter: float
    bleu_signature: str
    ter_signature: str


def translation_scores(texts: Sequence[tuple[str, str, str]]) -> TranslationScores | None:
    """Return corpus BLEU and TER of normalised (raw, corrected, true) texts; None where there are none."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.ter import TER

    if not texts:
        return None
    raw, corrected, truth = ([entry[column] for entry in texts] for column in range(3))
    bleu, ter = BLEU(), TER(case_sensitive=True)
    return TranslationScores(
        records=len(texts),
        raw_bleu=bleu.corpus_score(raw, [truth]).score,
        bleu=bleu.corpus_score(corrected, [truth]).score,
        raw_ter=ter.corpus_score(raw, [truth]).score,
        ter=ter.corpus_score(corrected, [truth]).score,
        bleu_signature=str(bleu.get_signature()),
        ter_signature=str(ter.get_signature()),
    )
