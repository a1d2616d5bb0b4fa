"""Sorts the edits of one passage into those that stand and those that do not, span by span, with reasons."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import Field, field_validator

from ocrray.config import fingerprint
from ocrray.errors import ConfigError
from ocrray.guard.confusion import Confusions
from ocrray.guard.language import Language
from ocrray.guard.opinions import NONE, Opinions
from ocrray.guard.rules import Rules, repeating, rule_against, span_similarity
from ocrray.guard.scorer import Scorer
from ocrray.guard.signals import FAMILIES, Knowledge, signals
from ocrray.guard.spans import Span, moved_by, spans_of
from ocrray.guard.surface import of_style
from ocrray.records import Edit, Verdict
from ocrray.text.edits import apply_edits

# Where a passage shows no misread letter, only capitals, marks or spaces to change, one must be surer: it may be without fault.
# With an earlier scorer it halved the faultless records of BLN600 that a Llama-2-13B broke; with this one it costs 0.2 points of
# CER reduction there and changes nothing else.
_STYLE_ALONE = 0.6

DEFAULT_FOLDER = Path(__file__).parent / "default"
LANGUAGE_FILE, CONFUSIONS_FILE, SCORER_FILE = "language.npz", "confusions.json", "scorer.json"


class GuardConfig(Rules):
    """What a believable correction is: a scorer that weighs all signals of a span, and rules that hold whatever it says."""

    max_wrong: float | None = Field(0.4, ge=0, le=1)
    """How likely wrong (0..1) an edit may be and still be made. At 0.5 whatever is sooner right than wrong. null: no scorer."""
    scorer: str = "default"
    """The one that ships, for English print of the 19th century, or a folder that jobs/fit_guard.py wrote."""
    ignore: tuple[str, ...] = ()
    """Families of signals without a say: those of `ocrray.guard.signals.FAMILIES`."""

    @field_validator("ignore")
    @classmethod
    def _known_families(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in FAMILIES]:
            raise ValueError(f"no such family of signals: {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
        if len(set(names)) == len(FAMILIES):
            raise ValueError("not all families can be ignored; max_wrong: null switches the scorer off")
        return names


@dataclass(frozen=True, slots=True)
class Judgement:
    """The edits of one passage, sorted into those that stand and those that do not, with a verdict for each span."""

    accepted: Sequence[Edit]
    refused: Sequence[Edit]
    verdicts: Sequence[Verdict]


def check(config: GuardConfig) -> str | None:
    """What tells two states of the scorer apart, None without one; raises ConfigError when it cannot be read."""
    if config.max_wrong is None:
        return None
    try:
        load_scorer(config.scorer)
    except ConfigError as error:
        raise ConfigError(f"guard.scorer: {error}") from None
    files = (_folder(config.scorer) / name for name in (LANGUAGE_FILE, CONFUSIONS_FILE, SCORER_FILE))
    return fingerprint([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])


def judge(
    raw: str, edits: Sequence[Edit], passage: tuple[int, int], config: GuardConfig | None, opinions: Opinions = NONE
) -> Judgement:
    """Judge the `edits` that a corrector proposes inside `raw[start:end]`, the passage it saw; None accepts them all.

    Offsets of edits, opinions and verdicts are those of `raw`. One verdict speaks for each span: whole words that were changed
    together.
    """
    start, end = passage
    source = raw[start:end]
    spans = spans_of(source, [moved_by(edit, -start) for edit in edits])
    doubts = _doubts(source, spans, config, opinions.within(start, end)) if config and spans else [(None, "")] * len(spans)
    accepted, refused, verdicts = [], [], []
    for span, (wrong, reason) in zip(spans, doubts, strict=True):
        (refused if reason else accepted).extend(moved_by(edit, start) for edit in span.edits)
        verdicts.append(Verdict(span.start + start, span.end + start, not reason, reason, span_similarity(span), wrong))
    return Judgement(accepted, refused, verdicts)


def _doubts(source: str, spans: Sequence[Span], config: GuardConfig, opinions: Opinions) -> list[tuple[float | None, str]]:
    """Of each span, how likely it is wrong (None without a scorer), and why it is refused (nothing where it stands)."""
    target = apply_edits(source, [edit for span in spans for edit in span.edits])
    loops = [False] * len(spans) if config.max_repeats is None else repeating(source, target, spans, config.max_repeats)
    reasons = ["repetition" if loop else rule_against(span, config) for span, loop in zip(spans, loops, strict=True)]
    if config.max_wrong is None:
        return [(None, reason) for reason in reasons]
    knowledge, scorer = load_scorer(config.scorer)
    wrong, families = scorer.judge(signals(source, target, spans, knowledge, opinions), config.ignore)
    limit = config.max_wrong * (_STYLE_ALONE if all(map(of_style, spans)) else 1)
    return [
        (share, reason or (family if share > limit else ""))
        for share, reason, family in zip(wrong.tolist(), reasons, families, strict=True)
    ]


@lru_cache(maxsize=4)
def load_scorer(location: str) -> tuple[Knowledge, Scorer]:
    """The scorer at this location (`default`, or a folder) and what its signals need; read once in each process."""
    folder = _folder(location)
    knowledge = Knowledge(Language.load(folder / LANGUAGE_FILE), Confusions.load(folder / CONFUSIONS_FILE))
    return knowledge, Scorer.load(folder / SCORER_FILE)


def _folder(location: str) -> Path:
    return DEFAULT_FOLDER if location == "default" else Path(location)
