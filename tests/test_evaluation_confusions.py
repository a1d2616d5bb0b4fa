"""Character confusions before and after correction."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.evaluation import confusions
from ocrray.evaluation.bootstrap import BootstrapConfig
from ocrray.evaluation.confusions import Confusions, confusions_of
from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.inputs import Batch
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.panels.base import TERMINAL
from ocrray.evaluation.panels.confusions import PANEL
from ocrray.evaluation.results import compute_results
from ocrray.evaluation.scoring import score

TEXTS = st.text(alphabet="abrnm ", max_size=10)


@pytest.mark.parametrize(
    ("text", "truth", "expected"),
    [
        ("tbe modem", "the modern", {("h", "b"): 1, ("rn", "m"): 1}),
        ("no wthe", "now the", {("", " "): 1, (" ", ""): 1}),
        ("abc", "abc", {}),
        ("", "abc", {("abc", ""): 1}),
        ("vvvvvvvv", "uuuuuuuu", {("u", "v"): 8}),  # of equal length: character by character
        ("a 12345678 b", "a b", {}),  # long: counted as such
    ],
)
def test_confusions_worked_examples(text: str, truth: str, expected: dict) -> None:
    """Neighbouring edits are one confusion, long ones are only counted."""
    found = confusions_of([text], [truth], [truth])
    assert found.raw == Counter(expected)
    assert found.raw_longer == (not expected and text != truth)
    assert not found.corrected


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4))
def test_confusions_of_parts_merged_are_those_of_all(triples: list[tuple[str, str, str]]) -> None:
    """Batches are counted apart, here or on workers."""
    whole, merged = confusions_of(*([texts[i] for texts in triples] for i in range(3))), Confusions()
    for texts in triples:
        merged.merge(confusions_of(*([text] for text in texts)))
    assert merged == whole


def test_confusions_most_frequent_names_those_that_correction_brought_in() -> None:
    """What the corrector made worse stands beside what it removed, by the larger number."""
    found = confusions_of(["tbe"] * 5 + ["said"], ["the"] * 5 + ["faid"], ["the"] * 5 + ["said"])
    assert found.most_frequent(2) == [(("h", "b"), 5, 0), (("s", "f"), 0, 1)]
    assert found.most_frequent(1) == [(("h", "b"), 5, 0)]


def test_confusions_of_endless_variety_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus of noise does not fill the memory; the frequent ones stay."""
    monkeypatch.setattr(confusions, "_MAX_DISTINCT", 10)
    found = Confusions()
    for number in range(100):
        found.merge(Confusions(raw=Counter({("e", "c"): 5, ("x", chr(200 + number)): 1})))
    assert len(found.raw) <= 11
    assert found.raw["e", "c"] == 500


def test_confusions_panel_shows_spaces_and_nothing() -> None:
    """What cannot be seen has a sign, and the report has more rows than the terminal."""
    none = [None, None]
    batch = Batch(
        ["0", "1"], ["ab q\u0301", "abcdefghijkl"], ["abq", "a" * 12], ["abq", "a" * 12], {}, none, none, none, pa.table({})
    )
    scores = score([batch], Normalisation(), report_records=0, sample_words=0, seed=0)
    results = compute_results(scores, BootstrapConfig(resamples=100))
    evaluation = Evaluation("a", results, Normalisation(), confidence=0.95, scores=scores)
    [table] = PANEL.tables(evaluation, TERMINAL)
    assert [(row.label, row.cells) for row in table.rows[:2]] == [
        ("∅ → ␣", ("1", "0", "100.0%")),
        ("∅ → ◌\u0301", ("1", "0", "100.0%")),
    ]
    assert [row.detail for row in table.rows] == [False] * 10 + [True] * 3
    assert PANEL.as_json(evaluation)["confusions"]["differences"] == {"raw": 13, "corrected": 0}
