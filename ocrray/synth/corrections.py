"""Noisy excerpts of clean text, and their corrections by simulated correctors: training data for the guard."""

from collections.abc import Iterator, Sequence

import numpy as np

from ocrray.synth.clean import excerpt, vary
from ocrray.synth.noise import NoiseModel
from ocrray.synth.page_damage import PageDamage, read_damaged
from ocrray.synth.simulated_corrector import ErrorRates, SimulatedCorrector

# Longest excerpts in characters, and their frequencies: corpora of newspapers often have one sentence a record.
_MAX_CHARS, _MAX_CHARS_FRACS = (100, 200, 400, 900), (0.3, 0.35, 0.25, 0.1)
_MEDIAN_CER, _CER_SPREAD, _MAX_CER = 0.05, 0.9, 0.35
_CLEAN_FRAC, _VARIED_FRAC, _DAMAGED_FRAC = 0.15, 0.6, 0.5
_RECORDS_PER_PAGE, _RECORDS_PER_CORRECTOR = 5, 20


def noisy_excerpts(texts: Sequence[str], noise: NoiseModel, records: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Yield `records` pairs (printed, read) of excerpts of clean `texts`: 15 % without errors, half from damaged pages."""
    words = " ".join(texts).split()
    damage: PageDamage | None = None
    for number in range(records):
        if number % _RECORDS_PER_PAGE == 0:
            damage = PageDamage.sample(rng) if rng.random() < _DAMAGED_FRAC else None
        max_chars = int(rng.choice(_MAX_CHARS, p=_MAX_CHARS_FRACS))
        printed = excerpt(texts[int(rng.integers(len(texts)))], (20, max_chars), rng)
        printed = vary(printed, rng) if rng.random() < _VARIED_FRAC else printed
        clean = rng.random() < _CLEAN_FRAC
        cer = 0.0 if clean else min(_MAX_CER, float(rng.lognormal(np.log(_MEDIAN_CER), _CER_SPREAD)))
        if damage is None or clean:
            yield printed, noise.corrupt(printed, cer, rng)
        else:
            yield printed, read_damaged(printed, cer, noise, words, damage, rng)


def simulated_corrections(
    pairs: Sequence[tuple[str, str]], texts: Sequence[str], rng: np.random.Generator
) -> Iterator[tuple[str, str, str]]:
    """Yield (raw, corrected, truth) of (printed, read) pairs, by many simulated correctors that know the words of `texts`."""
    corrector = SimulatedCorrector(texts, rng)
    for start in range(0, len(pairs), _RECORDS_PER_CORRECTOR):
        rates = ErrorRates.sample(rng)
        for printed, read in pairs[start : start + _RECORDS_PER_CORRECTOR]:
            yield read, corrector.correct(printed, read, rates), printed
