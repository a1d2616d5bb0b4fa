"""Fits the guard's scorer on corrections whose truth is known, and writes the folder that `guard: {scorer: …}` takes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ocrray.engines.base import Correction, Corrector
from ocrray.guard.confusion import Confusions
from ocrray.guard.judge import CONFUSIONS_FILE, LANGUAGE_FILE, SCORER_FILE
from ocrray.guard.language import Language
from ocrray.guard.learning import Corrected, fit_scorer, labelled
from ocrray.guard.signals import Knowledge
from ocrray.text.passages import split

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a scorer was fitted on: spans, and which share of them makes the text worse, 0..1."""

    spans: int
    worse_frac: float


def fit(out: Path, records: Sequence[Corrected], language_texts: Iterable[str]) -> Fitted:
    """Write language, confusions and scorer to `out`; the language is not that of the truths, or every true word were known."""
    out.mkdir(parents=True, exist_ok=True)
    Language.fit(language_texts).save(out / LANGUAGE_FILE)
    Confusions.fit((record.truth, record.raw) for record in records).save(out / CONFUSIONS_FILE)
    # What was saved is rounded: the scorer is fitted on what will be loaded.
    knowledge = Knowledge(Language.load(out / LANGUAGE_FILE), Confusions.load(out / CONFUSIONS_FILE))
    spans = labelled(records, knowledge)
    fit_scorer(spans).save(out / SCORER_FILE)
    return Fitted(len(spans.gains), float(np.mean(spans.gains < 0)))


def corrected_by(corrector: Corrector, pairs: Sequence[tuple[str, str]]) -> Iterator[Corrected]:
    """What a real corrector makes of (printed, read) pairs; passages that it cannot correct stay as they were read."""
    for start in range(0, len(pairs), _BATCH):
        batch = [(printed, read, list(split(read, corrector.fits))) for printed, read in pairs[start : start + _BATCH]]
        corrections = iter(corrector.correct([passage for *_, passages in batch for passage in passages]))
        for printed, read, passages in batch:
            yield _joined(printed, read, [(passage, next(corrections)) for passage in passages])


def asked(tagger: Corrector, records: Sequence[Corrected]) -> Iterator[Corrected]:
    """The same corrections with what the tagger would change in their texts: as where it sends records on to a model."""
    for record, own in zip(records, corrected_by(tagger, [(one.truth, one.raw) for one in records]), strict=True):
        yield record._replace(opinions=replace(record.opinions, tagger_edits=own.edits))


def _joined(printed: str, read: str, corrections: Sequence[tuple[str, Correction]]) -> Corrected:
    written, probabilities, start = [], {}, 0
    for passage, correction in corrections:
        written.append(passage if correction.text is None else correction.text)
        probabilities |= {start + at: share for at, share in correction.probabilities.items()}
        start += len(passage)
    return Corrected(read, "".join(written), printed, probabilities)
