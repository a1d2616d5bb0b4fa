"""Texts misread on purpose, and what a careless model makes of them: what a guard learns from."""

from collections.abc import Iterator, Sequence

import numpy as np

from ocrray.synth.careless import CarelessCorrector, Habits
from ocrray.synth.clean import excerpt, vary
from ocrray.synth.noise import NoiseModel
from ocrray.synth.rough import Roughness, read_roughly

_CHARS, _CHARS_SHARES = (
    (100, 200, 400, 900),
    (0.3, 0.35, 0.25, 0.1),
)  # most characters of a record; newspapers come by the sentence
_MEDIAN_CER, _CER_SPREAD, _MAX_CER = 0.05, 0.9, 0.35
_CLEAN_FRAC, _VARIED_FRAC, _ROUGH_FRAC = 0.15, 0.6, 0.5
_RECORDS_OF_A_PAGE, _RECORDS_OF_A_MODEL = 5, 20


def misread(texts: Sequence[str], noise: NoiseModel, records: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """(printed, read) of pieces of clean `texts`, some of them faultless, half of them from bad pages."""
    words = " ".join(texts).split()
    for number in range(records):
        if number % _RECORDS_OF_A_PAGE == 0:
            roughness = Roughness.draw(rng) if rng.random() < _ROUGH_FRAC else None
        most_chars = int(rng.choice(_CHARS, p=_CHARS_SHARES))
        printed = excerpt(texts[rng.integers(len(texts))], (20, most_chars), rng)
        printed = vary(printed, rng) if rng.random() < _VARIED_FRAC else printed
        clean = rng.random() < _CLEAN_FRAC
        cer = 0.0 if clean else min(_MAX_CER, float(rng.lognormal(np.log(_MEDIAN_CER), _CER_SPREAD)))
        rough = roughness is not None and not clean
        yield printed, read_roughly(printed, cer, noise, words, roughness, rng) if rough else noise.corrupt(printed, cer, rng)


def carelessly_corrected(
    pairs: Sequence[tuple[str, str]], texts: Sequence[str], rng: np.random.Generator
) -> Iterator[tuple[str, str, str]]:
    """(raw, corrected, truth) of (printed, read) pairs, by models of many habits, each knowing the words of `texts`."""
    corrector = CarelessCorrector(texts, rng)
    for number, (printed, read) in enumerate(pairs):
        if number % _RECORDS_OF_A_MODEL == 0:
            habits = Habits.draw(rng)
        yield read, corrector.correct(printed, read, habits), printed
