"""BLEU and TER by sacrebleu: translation metrics that are also reported for post-correction.

sacrebleu's default tokenizer separates words by spaces. Texts of scripts without spaces are tokenized first: `zh` for Chinese,
`char` (each character a token) for Japanese, Thai and others, for which sacrebleu's own tokenizers need dictionaries.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ocrray.text.words import is_chinese, is_unspaced

DEFAULT_TOKENIZER = "13a"
"""sacrebleu's tokenizer for languages with spaces between words."""


class SampledTexts(NamedTuple):
    """Texts of one record, and its language, where the input names it."""

    raw: str
    corrected: str
    truth: str
    language: str | None = None

    def normalised(self, normalise: Callable[[str], str]) -> "SampledTexts":
        """Return the same with normalised texts."""
        return SampledTexts(normalise(self.raw), normalise(self.corrected), normalise(self.truth), self.language)


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
    tokenizers: dict[str, int] = field(default_factory=dict)
    """Number of records by sacrebleu's name of their tokenizer."""


def tokenizer_name(truth: str, language: str | None) -> str:
    """Return sacrebleu's name of the tokenizer for a record, by the script of its truth, and its language to tell Han apart."""
    if not is_unspaced(truth):
        return DEFAULT_TOKENIZER
    return "zh" if is_chinese(truth, language) else "char"


def translation_scores(texts: Sequence[SampledTexts]) -> TranslationScores | None:
    """Return corpus BLEU and TER of normalised texts; None where there are none."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.ter import TER

    if not texts:
        return None
    names = [tokenizer_name(text.truth, text.language) for text in texts]
    tokenizers: dict[str, Callable[[str], str]] = {name: BLEU(tokenize=name).tokenizer for name in set(names)}
    columns = [[text.raw for text in texts], [text.corrected for text in texts], [text.truth for text in texts]]
    for_bleu = [[tokenizers[name](text) for name, text in zip(names, column, strict=True)] for column in columns]
    for_ter = [
        [text if name == DEFAULT_TOKENIZER else tokens for name, text, tokens in zip(names, column, tokenized, strict=True)]
        for column, tokenized in zip(columns, for_bleu, strict=True)
    ]
    bleu, ter = BLEU(tokenize="none", force=True), TER(case_sensitive=True)
    (raw_bleu, new_bleu), (raw_ter, new_ter) = (
        [metric.corpus_score(system, [tokenized[2]]).score for system in tokenized[:2]]
        for metric, tokenized in ((bleu, for_bleu), (ter, for_ter))
    )
    used = dict(Counter(names).most_common())
    return TranslationScores(
        records=len(texts),
        raw_bleu=raw_bleu,
        bleu=new_bleu,
        raw_ter=raw_ter,
        ter=new_ter,
        bleu_signature=str(bleu.get_signature()).replace("tok:none", f"tok:{'+'.join(used)}"),
        ter_signature=str(ter.get_signature()).replace("tercom", "+".join(used).replace(DEFAULT_TOKENIZER, "tercom")),
        tokenizers=used,
    )
