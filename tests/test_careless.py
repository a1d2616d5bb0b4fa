"""The careless corrector makes the corrections, good and bad, that a guard is fitted on."""

import numpy as np

from ocrray.synth.careless import CarelessCorrector, Habits
from ocrray.text.metrics import distance

TEXTS = ["The ship arrived at Leith on Tuesday with a cargo of oil. The captain went ashore, and John Smith came home. " * 5]
PRINTED = "The ship arrived at Leith on Tuesday with a cargo of oil."
READ = "Tbe sbip arrivcd at Leitb on Tuesdny with a cargo of oil."
PERFECT = Habits(repairs=1.0, gives_up=0.0, leaves=0.0, meddles=0.0, fails=0.0, restyles=0.0)


def written(habits: Habits, seed: int = 1, printed: str = PRINTED, read: str = READ) -> str:
    """What a corrector with these habits makes of it; trouble lowers even a perfect one's share a little."""
    return CarelessCorrector(TEXTS, np.random.default_rng(seed)).correct(printed, read, habits)


def test_careless_corrector_text_without_errors_and_without_meddling_stays():
    """Who never meddles nor fails leaves good text alone, line ends and all."""
    text = "The ship arrived\nat Leith  on Tuesday."
    assert written(PERFECT, printed=text, read=text) == " ".join(word for word in text.split(" ") if word)


def test_careless_corrector_same_seed_gives_the_same():
    """Corrections are a function of the random state."""
    habits = Habits(0.5, 1.0, 0.1, 0.2, 0.5, 0.2)
    assert written(habits, 3) == written(habits, 3)
    assert len({written(habits, seed) for seed in range(8)}) > 4


def test_careless_corrector_habits_decide_between_repair_rest_and_invention():
    """A good model comes near the truth, one that leaves everything keeps the errors, a bad one strays from both."""
    distances = [
        np.mean([distance(written(habits, seed), PRINTED) for seed in range(20)])
        for habits in (PERFECT, Habits(0.0, 0.0, 1.0, 0.0, 0.0, 0.0), Habits(0.0, 0.0, 0.0, 0.3, 0.5, 0.0))
    ]
    assert distances[0] < distances[1] == distance(READ, PRINTED) < distances[2]


def test_careless_corrector_restyling_changes_no_word():
    """A manner of writing that is changed throughout touches capitals, marks and spaces alone."""
    habits = Habits(1.0, 0.0, 0.0, 0.0, 0.0, restyles=1.0)
    texts = [written(habits, seed, PRINTED, PRINTED) for seed in range(20)]
    assert len(set(texts)) > 1
    assert {"".join(filter(str.isalpha, text.lower())) for text in texts} == {"".join(filter(str.isalpha, PRINTED.lower()))}
