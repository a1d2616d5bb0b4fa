"""The noise model: it makes about as many errors as asked for, of the kind it saw, and the same ones for the same seed."""

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from ocrray.synth.confusions import MAX_NGRAM_CHARS, general_groups
from ocrray.synth.noise import NoiseModel

CLEAN = "The magistrates then read the charge,\nand the prisoner declined to say anything further in the matter. " * 20


@pytest.fixture(scope="module")
def model() -> NoiseModel:
    """Fitted on pages on which every `ea` was read `ca` and every `,` lost."""
    return NoiseModel.fit([(CLEAN, CLEAN.replace("ea", "ca").replace(",", ""))])


def test_fit_on_pairs_finds_their_confusions(model: NoiseModel) -> None:
    """A confusion is kept with its rate, bare and with its neighbours."""
    fitted = model.groups["fitted"]
    assert fitted["ea"] == {"ca": 1.0}
    assert 0 < fitted["e"]["c"] < 0.5
    assert fitted[","] == {"": 1.0}


@pytest.mark.parametrize("cer", [0.02, 0.06, 0.15])
def test_corrupt_makes_about_the_errors_asked_for(model: NoiseModel, cer: float) -> None:
    """Averaged over documents the error rate is near the one asked for, a little lower where errors overlap."""
    rng = np.random.default_rng(0)
    rates = [Levenshtein.distance(CLEAN, model.corrupt(CLEAN, cer, rng)) / len(CLEAN) for _ in range(30)]
    assert 0.6 * cer < np.mean(rates) < 1.2 * cer


def test_corrupt_with_one_seed_gives_one_text(model: NoiseModel) -> None:
    """A run can be repeated; another seed gives another text."""
    texts = [model.corrupt(CLEAN, 0.05, np.random.default_rng(seed)) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


def test_corrupt_differs_in_its_errors_from_document_to_document(model: NoiseModel) -> None:
    """Each document has its own favourite confusions, so the counts of one vary more than chance would have it."""
    rng = np.random.default_rng(1)
    counts = [model.corrupt(CLEAN, 0.05, rng).count("ca") for _ in range(30)]
    assert np.var(counts) > 1.5 * np.mean(counts)


def test_corrupt_keeps_line_feeds_and_clean_documents(model: NoiseModel) -> None:
    """Line ends are layout, not text; no errors asked for means none made."""
    rng = np.random.default_rng(2)
    assert model.corrupt(CLEAN, 0.1, rng).count("\n") == CLEAN.count("\n")
    assert NoiseModel.fit([("to\nbe " * 9, "to be " * 9)]).groups["fitted"] == {}
    assert model.corrupt(CLEAN, 0.0, rng) == CLEAN
    assert model.corrupt("", 0.1, rng) == ""
    assert model.corrupt("भारत", 0.1, rng) == "भारत"


@pytest.mark.parametrize("name", general_groups())
def test_general_group_holds_possible_misreadings(name: str) -> None:
    """What is printed is an n-gram that the model looks for, something else is read, and line feeds stay out of it."""
    group = general_groups()[name]
    assert group
    for printed, readings in group.items():
        assert 1 <= len(printed) <= MAX_NGRAM_CHARS
        assert printed not in readings
        assert all(rate > 0 for rate in readings.values())
        assert not any("\n" in text for text in (printed, *readings))


def _read_by(group: str) -> tuple[str, str]:
    """A text on one line, and what becomes of it where only this group's misreadings happen."""
    text = CLEAN.replace("\n", " ")
    return text, NoiseModel({group: general_groups()[group]}, {group: 1.0}).corrupt(text, 0.05, np.random.default_rng(3))


@pytest.mark.parametrize(("group", "sign"), [("line_ends", "- "), ("long_s", "f")])
def test_corrupt_by_one_group_leaves_its_sign(group: str, sign: str) -> None:
    """A document may have nothing but divided words, or long s."""
    text, read = _read_by(group)
    assert read.count(sign) > text.count(sign)


def test_corrupt_by_junk_leaves_every_word() -> None:
    """Nonsense comes between words, in the place of a space."""
    text, read = _read_by("junk")
    assert len(read) > len(text)
    assert set(text.split()) <= set(read.split())
