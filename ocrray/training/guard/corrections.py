"""Labelled corrections to fit a scorer on: made by simulated correctors and by the correctors that ship."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ocrray.engines.base import CorrectionResult, Corrector, EngineInfo
from ocrray.engines.hf import HfConfig
from ocrray.engines.tagger import TaggerConfig
from ocrray.guard.labels import LabelledCorrection
from ocrray.synth.corrections import noisy_excerpts, simulated_corrections
from ocrray.synth.noise import NoiseModel
from ocrray.text.passages import split
from ocrray.training.guard.data import RecognizedText

_BATCH = 64
_TAGGER = TaggerConfig(engine="tagger")
# (corrector, its excerpts as a fraction of `records`, its fraction of the pages); lower thresholds make the tagger err more.
_SHIPPED: tuple[tuple[TaggerConfig | HfConfig, float, float], ...] = (
    (_TAGGER, 0.1, 0.11),
    (TaggerConfig(engine="tagger", threshold=0.5), 0.1, 0.11),
    (TaggerConfig(engine="tagger", threshold=0.3), 0.1, 0.11),
    (HfConfig(engine="hf"), 0.15, 0.25),
)
_TAGGER_EVIDENCE_FRAC = 0.25  # of the other correctors' corrections, for which the tagger runs first, as in a cascade


def shipped_correctors() -> list[EngineInfo]:
    """Return the identity of every corrector that `synthetic_corrections` uses, without loading any."""
    return [config.check("corrector") for config, *_ in _SHIPPED]


def synthetic_corrections(
    texts: Sequence[str], pages: Sequence[RecognizedText], noise: NoiseModel, records: int, rng: np.random.Generator
) -> Iterator[LabelledCorrection]:
    """Yield corrections of `records` noisy excerpts and all pages by simulated correctors, and of more by the shipped ones."""
    tagger = _TAGGER.open()
    sources = [RecognizedText(*pair) for pair in noisy_excerpts(texts, noise, records, rng)]
    # Simulated correctors know words only; a space is as long as a line feed, so that confidences keep their offsets.
    sources += [RecognizedText(page.printed.replace("\n", " "), page.read.replace("\n", " "), page.evidence) for page in pages]
    simulated = simulated_corrections([(source.printed, source.read) for source in sources], texts, rng)
    corrections = [LabelledCorrection(*texts, evidence=source.evidence) for texts, source in zip(simulated, sources, strict=True)]
    yield from _with_some_tagger_edits(tagger, corrections, rng)
    for config, excerpts_frac, pages_frac in _SHIPPED:
        chosen = rng.permutation(len(pages))[: round(pages_frac * len(pages))]
        sources = [RecognizedText(*pair) for pair in noisy_excerpts(texts, noise, round(excerpts_frac * records), rng)]
        sources += [pages[number] for number in chosen]
        by_tagger = config.tags_characters
        corrector = config.open()
        made = apply_corrector(corrector, [(source.printed, source.read) for source in sources])
        corrections = [
            correction._replace(evidence=replace(source.evidence, by_tagger=by_tagger))
            for correction, source in zip(made, sources, strict=True)
        ]
        yield from corrections if by_tagger else _with_some_tagger_edits(tagger, corrections, rng)
        corrector.close()
    tagger.close()


def apply_corrector(corrector: Corrector, pairs: Sequence[tuple[str, str]]) -> Iterator[LabelledCorrection]:
    """Yield the corrections of (printed, read) pairs; passages that the corrector refuses stay as they were read."""
    for start in range(0, len(pairs), _BATCH):
        batch = [(printed, read, list(split(read, corrector.fits))) for printed, read in pairs[start : start + _BATCH]]
        corrections = iter(corrector.correct([passage for *_, passages in batch for passage in passages]))
        for printed, read, passages in batch:
            yield _joined(printed, read, [(passage, next(corrections)) for passage in passages])


def add_tagger_edits(tagger: Corrector, records: Sequence[LabelledCorrection]) -> Iterator[LabelledCorrection]:
    """Yield the same corrections with the tagger's edits of the same texts as evidence, as in a cascade."""
    tagged = apply_corrector(tagger, [(record.truth, record.raw) for record in records])
    for record, by_tagger in zip(records, tagged, strict=True):
        yield record._replace(evidence=replace(record.evidence, tagger_edits=by_tagger.edits))


def _with_some_tagger_edits(
    tagger: Corrector, records: Sequence[LabelledCorrection], rng: np.random.Generator
) -> list[LabelledCorrection]:
    chosen = rng.random(len(records)) < _TAGGER_EVIDENCE_FRAC
    tagged = add_tagger_edits(tagger, [record for record, use in zip(records, chosen, strict=True) if use])
    return [next(tagged) if use else record for record, use in zip(records, chosen, strict=True)]


def _joined(printed: str, read: str, corrections: Sequence[tuple[str, CorrectionResult]]) -> LabelledCorrection:
    written: list[str] = []
    probabilities: dict[int, float] = {}
    start = 0
    for passage, correction in corrections:
        written.append(passage if correction.text is None else correction.text)
        probabilities |= {start + offset: probability for offset, probability in correction.probabilities.items()}
        start += len(passage)
    return LabelledCorrection(read, "".join(written), printed, probabilities)
