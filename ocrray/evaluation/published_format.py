"""BLEU and TER in the form in which published OCR systems report them: that of Hugging Face's `evaluate`, by sacrebleu.

Texts are compared as they stand, without normalisation, and tokenized by `13a` whatever their script; TER ignores case.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedBleu:
    """BLEU without smoothing, 0..1."""

    bleu: float
    precisions: list[float]
    """Of n-grams of 1 to 4 tokens."""
    brevity_penalty: float
    length_ratio: float
    translation_length: int
    """Tokens of the answers."""
    reference_length: int
    """Tokens of the truths."""


@dataclass(frozen=True, slots=True)
class PublishedTer:
    """Translation edit rate, in percent."""

    score: float
    num_edits: int
    ref_length: float
    """Words of the truths."""


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """Both scores of the same records."""

    records: int
    bleu: PublishedBleu
    ter: PublishedTer


def published_scores(answers: Sequence[str], truths: Sequence[str]) -> PublishedScores | None:
    """Return BLEU and TER of answers against truths; None where there are none."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.ter import TER

    if not truths:
        return None
    bleu = BLEU(smooth_method="none", force=True).corpus_score(answers, [truths])
    ter = TER().corpus_score(answers, [truths])
    return PublishedScores(
        len(truths),
        PublishedBleu(
            bleu=bleu.score / 100,
            precisions=[precision / 100 for precision in bleu.precisions],
            brevity_penalty=bleu.bp,
            length_ratio=bleu.sys_len / max(1, bleu.ref_len),
            translation_length=bleu.sys_len,
            reference_length=bleu.ref_len,
        ),
        PublishedTer(score=ter.score, num_edits=int(ter.num_edits), ref_length=float(ter.ref_length)),
    )
