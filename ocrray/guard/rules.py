"""Rules on the surface of one span, each of which can be switched off; they need no fitted model and hold for any language."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from ocrray.config import LocalPath, StrictModel
from ocrray.guard.figures import changes_figures
from ocrray.guard.spans import Span
from ocrray.text.spelling import respells, writes_out

SLACK_CHARS = 6  # spans this short are exempt from limits given as fractions: `Tbe` -> `The` changes a third of its characters
_NGRAM_WORDS = 3
_NAME = re.compile(r"[\W_]*([A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ'’]{2,})[\W_]*")
_TITLES = frozenset(
    {"Mr.", "Mrs.", "Messrs.", "Dr.", "Rev.", "St.", "Capt.", "Col.", "Gen.", "Lieut.", "M.", "Mme.", "Hr.", "Hrn."}
)

Kept = Literal["spelling", "names", "abbreviations", "marks", "line_breaks"]
"""Kinds of change that a correction may not make."""


class Rules(StrictModel):
    """Limits on a correction, as a whole and span by span: a word, or words changed together."""

    refuse_unlike: bool = True
    """Refuse an answer as a whole that is no correction of its text: another text, a comment, a summary, a translation."""
    keep: tuple[Kept, ...] = ("spelling", "abbreviations", "marks", "line_breaks")
    """Properties kept as printed: `spelling` (old, British or American forms), `names` (capitalized words inside a sentence; this
    refuses many repairs, too), `abbreviations`, `marks` (dashes, quotation marks, words in capitals) and `line_breaks`."""
    keep_words: LocalPath | None = None
    """UTF-8 text file of words or phrases, one a line, that must not change where the text has them; null: none."""
    min_similarity: float | None = Field(None, ge=0, le=1)
    """Lowest similarity of a span before and after, 0..1: 1 - (changed characters / characters of the longer text). null: no
    limit; 0.25 is a good limit where there is no scorer."""
    max_length_change: float | None = Field(None, ge=0)
    """Largest change of a span's length, as a fraction of its length. null: no limit; 1 is a good limit where there is no
    scorer."""
    max_repeats: int | None = Field(3, ge=1)
    """Largest number of times that a passage may repeat the same three words more often than its source, or (times 10) the same
    character in a run. null: no limit."""
    keep_digits: bool = True
    """Refuse edits that change, lose or invent a figure: numbers, fractions, sums of money, ordinals, number words, Roman
    numerals, months and days. Letters read as digits do not count (`l85O` may become `1850`, `9treet` `street`, `301.` thirty
    pounds, `30l.`, and a lone `1` `I`)."""


def broken_rule(span: Span, rules: Rules, preceding: str = "") -> str:
    """Return the name of the first rule that the span breaks by itself, or an empty string; `preceding` is the word before it."""
    growth_chars = abs(len(span.corrected) - len(span.raw))
    if rules.max_length_change is not None and growth_chars > max(SLACK_CHARS, rules.max_length_change * len(span.raw)):
        return "length"
    if rules.min_similarity is not None and _changed_chars(span) > SLACK_CHARS and span_similarity(span) < rules.min_similarity:
        return "similarity"
    longest = None if rules.max_repeats is None else 10 * rules.max_repeats
    if longest and len(span.corrected) > longest and _longest_run(span.corrected) > _longest_run(span.raw) + longest:
        return "repetition"
    if rules.keep_digits and changes_figures(span.raw, span.corrected, preceding):
        return "digits"
    if "abbreviations" in rules.keep and writes_out(span.raw, span.corrected):
        return "abbreviations"
    if "spelling" in rules.keep and respells(span.raw, span.corrected):
        return "spelling"
    if "names" in rules.keep and changes_name(span.raw, span.corrected, preceding):
        return "names"
    return ""


def changes_name(raw: str, corrected: str, preceding: str) -> bool:
    """Return True when a capitalized word that begins no sentence becomes another, unless by a long s that was misread."""
    old, new = raw.split(), corrected.split()
    if len(old) != len(new):
        return False
    for before, one, other in zip([preceding, *old], old, new, strict=False):
        name, found = _NAME.fullmatch(one), _NAME.fullmatch(other)
        inside = before and (before[-1] not in ".!?:" or before in _TITLES)
        if (
            name
            and found
            and inside
            and not writes_out(one, other)
            and name.group(1).replace("f", "s") != found.group(1).replace("f", "s")
        ):
            return True
    return False


def span_similarity(span: Span) -> float:
    """Return 1 - (changed characters / characters of the longer text), 0..1."""
    return max(0.0, 1 - _changed_chars(span) / max(len(span.raw), len(span.corrected), 1))


def repeating_spans(raw: str, corrected: str, spans: Sequence[Span], max_repeats: int) -> list[bool]:
    """Return, for each span, whether it contains a word trigram that `corrected` has over `max_repeats` times more than `raw`."""
    ngrams = _ngrams(corrected.split())
    if len(set(ngrams)) == len(ngrams):  # no trigram occurs twice, as in nearly every text
        return [False] * len(spans)
    before, after, words = Counter(_ngrams(raw.split())), Counter(ngrams), list(re.finditer(r"\S+", corrected))
    loops = [
        (first.start(), last.end())
        for ngram, first, last in zip(ngrams, words, words[_NGRAM_WORDS - 1 :], strict=False)
        if after[ngram] - before[ngram] > max_repeats
    ]
    return [any(start < span.new_end and span.new_start < end for start, end in loops) for span in spans]


def _changed_chars(span: Span) -> int:
    return sum(max(len(edit.raw), len(edit.corrected)) for edit in span.edits)


def _longest_run(text: str) -> int:
    return max((len(run.group()) for run in re.finditer(r"(.)\1*", text, re.DOTALL)), default=0)


def _ngrams(words: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*(words[offset:] for offset in range(_NGRAM_WORDS)), strict=False))
