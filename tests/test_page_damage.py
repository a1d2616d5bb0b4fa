"""Damaged pages, noisy excerpts, and the simulated corrections that a guard is fitted on."""

import numpy as np
import pytest

from ocrray.synth.corrections import noisy_excerpts, simulated_corrections
from ocrray.synth.noise import NoiseModel
from ocrray.synth.page_damage import PageDamage, read_damaged
from ocrray.text.metrics import distance

TEXT = "The ship arrived at Leith on Tuesday with a cargo of oil and the captain went ashore with his wife. " * 3
NOISE = NoiseModel.fit(())
UNDAMAGED = {"fragment_frac": 0.0, "speck_frac": 0.0, "blot_frac": 0.0, "loss_frac": 0.0, "accent_frac": 0.0}


def read(cer: float = 0.0, **damage: float) -> str:
    """Return TEXT as read from a page with this damage."""
    return read_damaged(TEXT, cer, NOISE, TEXT.split(), PageDamage(**{**UNDAMAGED, **damage}), np.random.default_rng(1))


def test_read_damaged_undamaged_page_has_noise_errors_only():
    """Without damage only the noise model makes errors."""
    assert read() == TEXT
    assert read(0.1) == NOISE.corrupt(TEXT, 0.1, _spent())


def _spent() -> np.random.Generator:
    """Return the random state after the four draws per word that TEXT needs."""
    rng = np.random.default_rng(1)
    for _ in TEXT.split(" "):
        rng.random(4)
    return rng


@pytest.mark.parametrize(
    ("damage", "words_gained"),
    [("fragment_frac", 1), ("speck_frac", 0), ("loss_frac", -1), ("blot_frac", 0), ("accent_frac", 0)],
)
def test_read_damaged_each_damage_does_what_it_is_named_for(damage: str, words_gained: int):
    """Fragments add words, losses remove some; specks, blots and accents change words and leave most in place."""
    found = read(**{damage: 0.3})
    assert found != TEXT
    assert np.sign(len(found.split()) - len(TEXT.split())) == words_gained or words_gained == 0
    assert distance(found, TEXT) > 10


def test_noisy_excerpts_same_seed_gives_the_same_clean_and_noisy_records():
    """Some records have no errors, most have some, and the seed decides which."""
    first, again = (list(noisy_excerpts([TEXT], NOISE, 200, np.random.default_rng(3))) for _ in range(2))
    assert first == again
    clean = np.mean([printed == text for printed, text in first])
    assert 0.1 < clean < 0.5


def test_simulated_corrections_keep_raw_and_truth_of_their_pairs():
    """Every triple is (read, corrected, printed); some texts are improved, some made worse."""
    pairs = list(noisy_excerpts([TEXT], NOISE, 200, np.random.default_rng(3)))
    triples = list(simulated_corrections(pairs, [TEXT], np.random.default_rng(4)))
    assert [(printed, text) for text, _, printed in triples] == pairs
    gains = [distance(raw, truth) - distance(corrected, truth) for raw, corrected, truth in triples]
    assert min(gains) < 0 < max(gains)
    assert np.mean(np.sign(gains)) > 0
