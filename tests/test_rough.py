"""Bad pages: damage to whole words, and the corrections that a guard is fitted on."""

import numpy as np
import pytest

from ocrray.synth.corrections import carelessly_corrected, misread
from ocrray.synth.noise import NoiseModel
from ocrray.synth.rough import Roughness, read_roughly
from ocrray.text.metrics import distance

TEXT = "The ship arrived at Leith on Tuesday with a cargo of oil and the captain went ashore with his wife. " * 3
NOISE = NoiseModel.fit(())
GOOD = {"scraps": 0.0, "specks": 0.0, "blots": 0.0, "losses": 0.0, "accents": 0.0}


def read(cer: float = 0.0, **damage: float) -> str:
    """The text as such a page is read."""
    return read_roughly(TEXT, cer, NOISE, TEXT.split(), Roughness(**{**GOOD, **damage}), np.random.default_rng(1))


def test_read_roughly_good_page_is_only_misread():
    """Without roughness nothing but the noise model is at work."""
    assert read() == TEXT
    assert read(0.1) == NOISE.corrupt(TEXT, 0.1, _spent())


def _spent() -> np.random.Generator:
    """A random state after the draws that a page of TEXT needs, four a word."""
    rng = np.random.default_rng(1)
    for _ in TEXT.split(" "):
        rng.random(4)
    return rng


@pytest.mark.parametrize(("damage", "words_gained"), [("scraps", 1), ("specks", 0), ("losses", -1), ("blots", 0), ("accents", 0)])
def test_read_roughly_each_damage_does_what_it_is_named_for(damage: str, words_gained: int):
    """Scraps add words, losses take some, specks, blots and accents leave most words where they are and change them."""
    found = read(**{damage: 0.3})
    assert found != TEXT
    assert np.sign(len(found.split()) - len(TEXT.split())) == words_gained or words_gained == 0
    assert distance(found, TEXT) > 10


def test_misread_makes_faultless_and_faulty_records_and_repeats_itself():
    """Some records are clean, most are not, and the seed decides."""
    first, again = (list(misread([TEXT], NOISE, 200, np.random.default_rng(3))) for _ in range(2))
    assert first == again
    faultless = np.mean([printed == text for printed, text in first])
    assert 0.1 < faultless < 0.5


def test_carelessly_corrected_keeps_raw_and_truth_beside_each_other():
    """Every triple is (what was read, what a model wrote, what was printed); some are repaired, some made worse."""
    pairs = list(misread([TEXT], NOISE, 200, np.random.default_rng(3)))
    triples = list(carelessly_corrected(pairs, [TEXT], np.random.default_rng(4)))
    assert [(printed, text) for text, _, printed in triples] == pairs
    gains = [distance(raw, truth) - distance(corrected, truth) for raw, corrected, truth in triples]
    assert min(gains) < 0 < max(gains)
    assert np.mean(np.sign(gains)) > 0
