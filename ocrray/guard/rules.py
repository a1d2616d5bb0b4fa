"""The first guard: four rules on the surface of the text, each of which can be switched off by setting its number to null.

A published Llama-2-7B corrector, as released, makes BLN600 worse (micro CER reduction -13 %); refusing outputs that stray too far
from their source alone turns that into about +41 %.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from ocrray.config import StrictModel
from ocrray.records import Edit, Verdict
from ocrray.text.edits import apply_edits

_NGRAM_WORDS = 3


class GuardConfig(StrictModel):
    """The limits of a believable correction."""

    min_similarity: float | None = Field(0.65, ge=0, le=1)
    """1 - (changed characters / characters of the longer text) of one passage."""
    max_length_change: float | None = Field(0.35, ge=0)
    """How much longer or shorter a passage may become, as a share of its length."""
    max_repeats: int | None = Field(3, ge=1)
    """How many more times than its source a passage may say the same three words, or (x 10) the same character in a run."""
    keep_digits: bool = True
    """Whether an edit that loses or alters a digit is refused; letters read as figures (`l85O`) may still become digits."""


SLACK_CHARS = 6  # a passage of a few characters may change wholly: `Tbe` -> `The` must pass rules that speak in shares


@dataclass(frozen=True, slots=True)
class Judgement:
    """The edits of one passage, sorted into those that stand and those that do not, with the verdicts that explain it."""

    accepted: Sequence[Edit]
    refused: Sequence[Edit]
    verdicts: Sequence[Verdict]


def judge(raw: str, edits: Sequence[Edit], passage: tuple[int, int], config: GuardConfig | None) -> Judgement:
    """Judge the `edits` that a corrector proposes inside `raw[start:end]`, the passage it saw; None accepts them all.

    Offsets of edits and verdicts are those of `raw`. One verdict speaks for the passage, one more for each edit refused alone.
    """
    start, end = passage
    if config is None:
        return Judgement(edits, (), [Verdict(start, end, accepted=True)])
    source = raw[start:end]
    target = apply_edits(source, [Edit(e.start - start, e.end - start, e.raw, e.corrected) for e in edits])
    changed = sum(max(len(edit.raw), len(edit.corrected)) for edit in edits)
    similarity = max(0.0, 1 - changed / max(len(source), len(target), 1))
    reason = _passage_reason(source, target, changed, similarity, config)
    verdict = Verdict(start, end, accepted=not reason, reason=reason, similarity=similarity)
    if reason:
        return Judgement((), edits, [verdict])
    kept = [edit for edit in edits if not (config.keep_digits and _loses_digit(edit))]
    refused = [edit for edit in edits if config.keep_digits and _loses_digit(edit)]
    return Judgement(kept, refused, [verdict, *(Verdict(e.start, e.end, accepted=False, reason="digits") for e in refused)])


def _passage_reason(source: str, target: str, changed: int, similarity: float, config: GuardConfig) -> str:
    grown = abs(len(target) - len(source))
    if config.max_length_change is not None and grown > max(SLACK_CHARS, config.max_length_change * len(source)):
        return "length"
    if config.min_similarity is not None and changed > SLACK_CHARS and similarity < config.min_similarity:
        return "similarity"
    if config.max_repeats is not None and _repeats_more(source, target, config.max_repeats):
        return "repetition"
    return ""


def _loses_digit(edit: Edit) -> bool:
    """Whether the digits of the raw span no longer appear, in order, in the corrected one."""
    remaining = iter(re.findall(r"\d", edit.corrected))
    return not all(digit in remaining for digit in re.findall(r"\d", edit.raw))


def _repeats_more(source: str, target: str, max_repeats: int) -> bool:
    if _longest_run(target) > _longest_run(source) + 10 * max_repeats:
        return True
    before, after = _word_ngrams(source), _word_ngrams(target)
    return any(count - before[ngram] > max_repeats for ngram, count in after.items() if count > max_repeats)


def _longest_run(text: str) -> int:
    return max((len(run.group()) for run in re.finditer(r"(.)\1*", text, re.DOTALL)), default=0)


def _word_ngrams(text: str) -> Counter[tuple[str, ...]]:
    words = text.split()
    return Counter(zip(*(words[offset:] for offset in range(_NGRAM_WORDS)), strict=False))
