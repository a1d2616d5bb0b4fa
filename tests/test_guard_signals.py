"""What the guard looks at in a span: each signal says more of what it is named for, and the models behind them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.guard.confusion import UNKNOWN_BITS, Confusions
from ocrray.guard.evidence import ExternalEvidence
from ocrray.guard.judge import load_scorer
from ocrray.guard.language import Language, symbols
from ocrray.guard.signals import NAMES, signals
from ocrray.guard.spans import spans_of
from ocrray.records import Edit
from ocrray.text.edits import edits_between, with_probabilities


def signal(raw: str, corrected: str, name: str) -> float:
    """One signal of the only span between two texts."""
    spans = spans_of(raw, edits_between(raw, corrected))
    (row,) = signals(raw, corrected, spans, load_scorer("default")[0])
    return row[NAMES.index(name)]


@pytest.mark.parametrize(
    ("name", "lower", "higher"),
    [
        ("growth", "of the house", "of thebes house"),
        ("similarity", "of xyz house", "of the house"),
        ("digits_changed", "of 1871 houses", "of 1872 houses"),
        ("case_only", "of the house", "of Tbe house"),
        ("corrected_known", "of tbx house", "of the house"),
        ("corrected_frequency", "of tub house", "of the house"),
        ("marks_gained", "of the house", "of the, house"),
        ("spaces_gained", "of the house", "of t he house"),
        ("confusion_bits", "of the house", "of tqe house"),
        ("bits_gained", "of tqx house", "of the house"),
        ("longest_insertion", "of the house", "of the very old house"),
        ("worst_word", "of zebra house", "of the house"),
        ("links_gained", "of tub house", "of the house"),
        ("new_elsewhere", "of the house", "of of house"),
        ("marks_only", "of the house", "of tbe, house"),
        ("accents_only", "of the house", "of tbé house"),
    ],
)
def test_signals_say_more_of_what_they_are_named_for(name: str, lower: str, higher: str):
    """Each signal rises with the thing that it stands for."""
    raw = "of 1871 houses" if "18" in lower else "of tbe house"
    values = [signal(raw, text, name) if text != raw else 0.0 for text in (lower, higher)]
    assert values[0] < values[1]


def test_signals_drift_knows_an_old_spelling():
    """A modern spelling for an old one is told from the repair of an error."""
    assert signal("shewn to the gaol", "shewn to the jail", "modernised") == 1
    assert signal("shewn to tbe gaol", "shewn to the gaol", "modernised") == 0


def test_signals_dropped_frequency_tells_a_word_from_a_scrap():
    """To leave out a common word says more than to leave out a scrap of letters, or to join the halves of one word."""
    word, scrap, joined = (
        signal("seen with the fire", "seen with fire", "dropped_frequency"),
        signal("seen with tqe fire", "seen with fire", "dropped_frequency"),
        signal("seen with th e fire", "seen with the fire", "dropped_frequency"),
    )
    assert word > scrap == joined == 0


def test_signals_evidence_counts_the_same_misreading_elsewhere_in_the_passage():
    """A worn type is misread again and again: the passage itself speaks for the repair."""
    assert signal("tbe house", "the house", "same_change") == 1
    raw = "tbe house, tbe road and tbe sea"
    rows = signals(
        raw, raw.replace("tbe", "the"), spans_of(raw, edits_between(raw, raw.replace("tbe", "the"))), load_scorer("default")[0]
    )
    assert (rows[:, NAMES.index("same_change")] == 3).all()


@given(st.text(max_size=20))
def test_symbols_of_any_text_fit_into_an_ngram(text: str):
    """Numbers are small enough to be packed side by side; what is not listed is one symbol of its own."""
    assert (symbols(text + "語ñ") < 64).all()
    assert symbols("語")[0] == symbols("ñ")[0] == 63
    assert len(symbols(text)) == len(text)


def test_signals_accents_are_letters_of_their_own():
    """A language knows `é` from `e`: to lose an accent that was printed is as surprising as a wrong letter."""
    language = Language.fit(["au café, the café and its café " * 50], 2, 2)
    assert language.bits("café").sum() < language.bits("cafe").sum()


def test_signals_engine_tells_its_least_sure_edit():
    """Where an engine says how sure it was, the least sure edit of a span is told; where it does not, that is told."""
    raw, corrected = "tbe oii", "the oil"
    edits = with_probabilities(edits_between(raw, corrected), {1: 0.9, 6: 0.7})
    rows = signals(raw, corrected, spans_of(raw, edits), load_scorer("default")[0])
    assert rows[:, NAMES.index("model_probability")].tolist() == [0.9, 0.7]
    assert rows[:, NAMES.index("tagger_probability")].tolist() == [-1, -1]
    rows = signals(raw, corrected, spans_of(raw, edits), load_scorer("default")[0], ExternalEvidence(by_tagger=True))
    assert rows[:, NAMES.index("tagger_probability")].tolist() == [0.9, 0.7]
    assert signal(raw, "the oii", "model_probability") == -1


@pytest.mark.parametrize(
    ("confidences", "expected"),
    [(None, -1.0), ([0.75, 0.75, 0.75, np.nan, 0.25, 0.25, 0.25], 0.75), ([np.nan] * 7, -1.0)],
)
def test_signals_recognizer_tells_how_sure_it_was_of_this_word(confidences: list[float] | None, expected: float):
    """What is known of the word counts, and of a word of which nothing is known nothing is said."""
    evidence = ExternalEvidence(None if confidences is None else np.array(confidences))
    (span,) = spans_of("tbe fox", [Edit(1, 2, "b", "h")])
    assert evidence.min_confidence(span) == expected


@pytest.mark.parametrize(
    ("tagger", "expected"),
    [(None, -1.0), ([], 0.0), ([Edit(13, 14, "o", "a")], 0.0), ([Edit(9, 10, "b", "o")], 1.0), ([Edit(9, 10, "b", "h")], 2.0)],
)
def test_signals_tagger_agrees_or_not_or_was_not_asked(tagger: list[Edit] | None, expected: float):
    """What it would make of other words says nothing of this one; offsets are those of the whole text."""
    evidence = ExternalEvidence(tagger_edits=tagger).slice(8, 15)
    rows = signals("tbe fox", "the fox", spans_of("tbe fox", [Edit(1, 2, "b", "h")]), load_scorer("default")[0], evidence)
    assert rows[0, NAMES.index("tagger_says")] == expected


@given(st.text(max_size=80), st.text(max_size=80))
def test_signals_of_any_texts_are_finite_numbers(raw: str, corrected: str):
    """Whatever the texts hold, each span has a finite number for every name."""
    spans = spans_of(raw, edits_between(raw, corrected))
    rows = signals(raw, corrected, spans, load_scorer("default")[0])
    assert rows.shape == (len(spans), len(NAMES))
    assert np.isfinite(rows).all()


def test_signals_repetition_counts_what_the_source_does_not_say():
    """Three words said again and again are seen where they were written."""
    assert signal("he went home", "he went home and the and the and the and the", "repeats") >= 2
    assert signal("he wemt home", "he went home", "repeats") <= 1


def test_language_saved_and_loaded_is_surprised_by_the_same(tmp_path: Path):
    """Bits are finite for any text, lower for the language than for noise, and survive the file."""
    fitted = Language.fit(["the ship arrived at the port and the captain went ashore. " * 50], 2, 2)
    fitted.save(tmp_path / "language.npz")
    loaded = Language.load(tmp_path / "language.npz")

    assert loaded.bits("the captain").mean() < loaded.bits("xqz ptkvw").mean()
    assert np.allclose(loaded.bits("the captain"), fitted.bits("the captain"), atol=0.2)
    assert np.isfinite(loaded.bits("Ж \n語\ufffd")).all()
    assert loaded.bits("").shape == (0,)
    assert "captain" in loaded.words
    assert loaded.association("the", "captain") == pytest.approx(fitted.association("the", "captain"), abs=0.3)
    assert loaded.association("the", "captain") > 0 > loaded.association("captain", "the")
    assert loaded.association("the", "kraken") == 0


def test_confusions_frequent_misreading_costs_less_than_a_rare_or_unknown_one():
    """What was often misread is cheap to explain; what never was, is not."""
    confusions = Confusions.fit([("the", "tbe")] * 20 + [("the", "tqe")] * 5)

    often, seldom, never = (confusions.cost("the", read)[0] for read in ("tbe", "tqe", "txe"))

    assert often < seldom < never == UNKNOWN_BITS
    assert confusions.cost("the", "the") == (0.0, 0.0)
