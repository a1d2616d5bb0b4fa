"""The simulated corrector makes the corrections, good and bad, that a guard is fitted on."""

import numpy as np

from ocrray.synth.simulated_corrector import ErrorRates, SimulatedCorrector
from ocrray.text.metrics import distance

TEXTS = ["The ship arrived at Leith on Tuesday with a cargo of oil. The captain went ashore, and John Smith came home. " * 5]
PRINTED = "The ship arrived at Leith on Tuesday with a cargo of oil."
READ = "Tbe sbip arrivcd at Leitb on Tuesdny with a cargo of oil."
PERFECT = ErrorRates(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def written(rates: ErrorRates, seed: int = 1, printed: str = PRINTED, read: str = READ) -> str:
    """Return a correction with these rates; errors nearby lower even a perfect corrector's rate a little."""
    return SimulatedCorrector(TEXTS, np.random.default_rng(seed)).correct(printed, read, rates)


def test_simulated_corrector_without_overcorrection_leaves_clean_text():
    """Without overcorrection and failures clean text stays as it is, line feeds included."""
    text = "The ship arrived\nat Leith  on Tuesday."
    assert written(PERFECT, printed=text, read=text) == " ".join(word for word in text.split(" ") if word)


def test_simulated_corrector_same_seed_gives_the_same():
    """Corrections are a function of the random state."""
    rates = ErrorRates(0.5, 1.0, 0.1, 0.2, 0.5, 0.2)
    assert written(rates, 3) == written(rates, 3)
    assert len({written(rates, seed) for seed in range(8)}) > 4


def test_simulated_corrector_rates_decide_distance_from_truth():
    """A good corrector comes near the truth, one that changes nothing keeps the errors, a bad one adds errors."""
    distances = [
        np.mean([distance(written(rates, seed), PRINTED) for seed in range(20)])
        for rates in (PERFECT, ErrorRates(0.0, 0.0, 1.0, 0.0, 0.0, 0.0), ErrorRates(0.0, 0.0, 0.0, 0.3, 0.5, 0.0))
    ]
    assert distances[0] < distances[1] == distance(READ, PRINTED) < distances[2]


def test_simulated_corrector_restyling_changes_no_letter():
    """A changed convention affects capitals, punctuation and spaces only."""
    rates = ErrorRates(1.0, 0.0, 0.0, 0.0, 0.0, restyle_frac=1.0)
    texts = [written(rates, seed, PRINTED, PRINTED) for seed in range(20)]
    assert len(set(texts)) > 1
    assert {"".join(filter(str.isalpha, text.lower())) for text in texts} == {"".join(filter(str.isalpha, PRINTED.lower()))}
