"""Accept or refuse the edits of one passage, span by span, with reasons."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import Field, field_validator

from ocrray.config import FolderOrName, fingerprint
from ocrray.errors import ConfigError
from ocrray.guard.conform import conformed_edits
from ocrray.guard.confusion import Confusions
from ocrray.guard.evidence import NO_EVIDENCE, ExternalEvidence
from ocrray.guard.fitted import MIN_NEUTRAL_SIMILARITY, NOT_NEUTRAL, is_fitted
from ocrray.guard.language import Language
from ocrray.guard.rules import Rules, broken_rule, repeating_spans, span_similarity
from ocrray.guard.scorer import Scorer
from ocrray.guard.signals import FAMILIES, Knowledge, signals
from ocrray.guard.spans import Span, shifted, spans_of
from ocrray.guard.surface import similarity, style_only
from ocrray.guard.whole import is_unlike
from ocrray.guard.words import changes_kept_word, load_words
from ocrray.records import Edit, Verdict
from ocrray.text.edits import apply_edits

# Factor on max_wrong where a passage's edits change only capitals, punctuation and spaces: the passage may have no errors.
# With an earlier scorer it halved the number of error-free records of BLN600 that a Llama-2-13B broke; with the present one it
# costs 0.2 points of CER reduction there and changes nothing else.
_STYLE_ONLY_FACTOR = 0.6

_MAX_WORD_CHARS = 40

DEFAULT_FOLDER = Path(__file__).parent / "default"
LANGUAGE_FILE, CONFUSIONS_FILE, SCORER_FILE = "language.npz", "confusions.json", "scorer.json"


class GuardConfig(Rules):
    """Settings of the guard: a scorer that weighs all signals of a span, and rules that hold whatever its score."""

    max_wrong: float | None = Field(0.4, ge=0, le=1)
    """Highest probability (0..1) of being wrong at which an edit is accepted. null: no scorer."""
    scorer: FolderOrName = "default"
    """`default`, fitted for English print of the 19th century, or a folder that `ocrray fit-guard` wrote."""
    ignore: tuple[str, ...] = ()
    """Families of signals that the scorer leaves out, by the names in `ocrray.guard.signals.FAMILIES`."""

    @field_validator("ignore")
    @classmethod
    def _known_families(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in FAMILIES]:
            raise ValueError(f"unknown families of signals: {', '.join(unknown)}; known are {', '.join(FAMILIES)}")
        if len(set(names)) == len(FAMILIES):
            raise ValueError("all families are ignored; set max_wrong: null to switch the scorer off")
        return names


@dataclass(frozen=True, slots=True)
class Judgement:
    """Accepted and refused edits of one passage, with one verdict per span."""

    accepted: Sequence[Edit]
    refused: Sequence[Edit]
    verdicts: Sequence[Verdict]


def check(config: GuardConfig) -> str | None:
    """Load the scorer and the kept words and return a hash of their files, None where there are none.

    Raises: ConfigError: when one of them cannot be read.
    """
    files: list[Path] = []
    if config.max_wrong is not None:
        try:
            load_scorer(config.scorer)
        except ConfigError as error:
            raise ConfigError(f"guard.scorer: {error}") from None
        files += (_folder(config.scorer) / name for name in (LANGUAGE_FILE, CONFUSIONS_FILE, SCORER_FILE))
    if config.keep_words:
        try:
            load_words(config.keep_words)
        except ConfigError as error:
            raise ConfigError(f"guard.keep_words: {error}") from None
        files.append(config.keep_words)
    return fingerprint([hashlib.sha256(file.read_bytes()).hexdigest() for file in files]) if files else None


def judge(
    raw: str,
    edits: Sequence[Edit],
    passage: tuple[int, int],
    config: GuardConfig | None,
    evidence: ExternalEvidence = NO_EVIDENCE,
) -> Judgement:
    """Judge the proposed `edits` of `raw[start:end]`, the passage that the corrector was given; a config of None accepts all.

    Offsets of edits, evidence and verdicts are offsets into `raw`. What changes nothing but composition, white space or style is
    neither accepted nor refused (`guard.conform`).
    """
    start, end = passage
    source = raw[start:end]
    edits = [shifted(edit, -start) for edit in edits]
    unlike = config is not None and config.refuse_unlike and is_unlike(source, edits)
    if config and not unlike:
        edits = conformed_edits(source, edits, config.keep)
    spans = spans_of(source, edits)
    results: Sequence[tuple[float | None, str]] = [(None, "unlike" if unlike else "")] * len(spans)
    if config and spans and not unlike:
        results = _judge_spans(source, spans, config, evidence.slice(start, end))
    accepted: list[Edit] = []
    refused: list[Edit] = []
    verdicts: list[Verdict] = []
    for span, (wrong, reason) in zip(spans, results, strict=True):
        (refused if reason else accepted).extend(shifted(edit, start) for edit in span.edits)
        verdicts.append(Verdict(span.start + start, span.end + start, not reason, reason, span_similarity(span), wrong))
    return Judgement(accepted, refused, verdicts)


def knows_language(text: str, config: GuardConfig) -> bool:
    """Return True when the scorer knows the script and language of `text`, or none is used."""
    return config.max_wrong is None or is_fitted(text, load_scorer(config.scorer)[0].language)


def _judge_spans(
    source: str, spans: Sequence[Span], config: GuardConfig, evidence: ExternalEvidence
) -> list[tuple[float | None, str]]:
    """Return, for each span, the probability that it is wrong (None without a scorer) and the reason for refusal (or "")."""
    target = apply_edits(source, [edit for span in spans for edit in span.edits])
    loops = [False] * len(spans) if config.max_repeats is None else repeating_spans(source, target, spans, config.max_repeats)
    reasons = ["repetition" if loop else "" for loop in loops]
    if config.keep_words and (words := load_words(config.keep_words)):
        changed = changes_kept_word(source, spans, words)
        reasons = [reason or ("kept_word" if kept else "") for reason, kept in zip(reasons, changed, strict=True)]
    reasons = [
        reason or broken_rule(span, config, _word_before(source, span)) for span, reason in zip(spans, reasons, strict=True)
    ]
    if config.max_wrong is None:
        return [(None, reason) for reason in reasons]
    knowledge, scorer = load_scorer(config.scorer)
    fitted = is_fitted(source, knowledge.language)
    ignored = {*config.ignore} if fitted else {*config.ignore, *NOT_NEUTRAL}
    if len(ignored) == len(FAMILIES):
        return [(None, reason) for reason in reasons]
    if not fitted:
        unlike = (similarity(span.raw, span.corrected) < MIN_NEUTRAL_SIMILARITY for span in spans)
        reasons = [reason or ("similarity" if other else "") for reason, other in zip(reasons, unlike, strict=True)]
    wrong, families = scorer.score(signals(source, target, spans, knowledge, evidence), ignored)
    limit = config.max_wrong * (_STYLE_ONLY_FACTOR if all(map(style_only, spans)) else 1)
    return [
        (probability, reason or (family if probability > limit else ""))
        for probability, reason, family in zip(wrong.tolist(), reasons, families, strict=True)
    ]


def _word_before(source: str, span: Span) -> str:
    return (source[max(0, span.start - _MAX_WORD_CHARS) : span.start].split() or [""])[-1]


@lru_cache(maxsize=4)
def load_scorer(location: str) -> tuple[Knowledge, Scorer]:
    """Load the scorer at `default` or in a folder, and the models that its signals need; cached per process."""
    folder = _folder(location)
    knowledge = Knowledge(Language.load(folder / LANGUAGE_FILE), Confusions.load(folder / CONFUSIONS_FILE))
    return knowledge, Scorer.load(folder / SCORER_FILE)


def _folder(location: str) -> Path:
    return DEFAULT_FOLDER if location == "default" else Path(location)
