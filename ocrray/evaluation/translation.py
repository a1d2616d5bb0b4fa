"""BLEU and TER as sacrebleu computes them: measures of translation that post-correction is also reported in."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TranslationScores:
    """Both in sacrebleu's percent: BLEU is better the higher, TER the lower; with the settings that sacrebleu signs for."""

    records: int
    raw_bleu: float
    bleu: float
    raw_ter: float
    ter: float
    bleu_signature: str
    ter_signature: str


def translation_scores(texts: Sequence[tuple[str, str, str]]) -> TranslationScores | None:
    """Corpus BLEU and TER over (raw, corrected, true) texts, already normalised; None where there are none."""
    from sacrebleu.metrics import BLEU, TER

    if not texts:
        return None
    raw, corrected, truth = ([entry[column] for entry in texts] for column in range(3))
    bleu, ter = BLEU(), TER(case_sensitive=True)
    return TranslationScores(
        len(texts),
        *(metric.corpus_score(system, [truth]).score for metric in (bleu, ter) for system in (raw, corrected)),
        bleu_signature=str(bleu.get_signature()),
        ter_signature=str(ter.get_signature()),
    )
