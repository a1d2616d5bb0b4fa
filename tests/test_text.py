"""Normalising and comparing texts."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ocrray.text.edits import apply_edits, edits_between, with_probabilities, written_probabilities
from ocrray.text.normalise import for_scoring, sanitise

SHORT = st.text(alphabet="ab c\nä🙂", max_size=12)


@given(SHORT | st.text(max_size=60), SHORT | st.text(max_size=60))
def test_edits_applied_give_the_other_text(raw: str, corrected: str):
    """Making the edits is the same as taking the correction."""
    assert apply_edits(raw, edits_between(raw, corrected)) == corrected


@given(SHORT, SHORT)
def test_edits_are_in_order_apart_and_no_larger_than_the_distance(raw: str, corrected: str):
    """Edits neither overlap nor touch, and change no more characters than the Levenshtein distance."""
    edits = edits_between(raw, corrected)

    assert all(before.end < after.start for before, after in pairwise(edits))
    assert sum(max(len(edit.raw), len(edit.corrected)) for edit in edits) <= Levenshtein.distance(raw, corrected)


@given(st.text())
@example("a\x00b\r\nc\rd\x85\ud800")
def test_sanitise_result_is_storable_and_stays_so(text: str):
    """A sanitised text encodes as UTF-8, holds no control character but tab and line feed, and is not changed again."""
    clean = sanitise(text)

    clean.encode()
    assert not [c for c in clean if (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160]
    assert sanitise(clean) == clean


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\t\näé漢🙂")))
def test_sanitise_ordinary_text_is_untouched(text: str):
    """Text without controls is returned as it is."""
    assert sanitise(text) == text


def test_for_scoring_composes_and_collapses_white_space():
    """Decomposed letters and runs of white space do not count as errors; case does."""
    assert for_scoring(" Cafe\u0301 \n\u00a0 x ") == "Café x"
    assert for_scoring("A") != for_scoring("a")


@given(
    st.text(alphabet="ab ", max_size=12),
    st.text(alphabet="ab ", max_size=12),
    st.dictionaries(st.integers(0, 11), st.floats(0, 1)),
)
def test_with_probabilities_any_edits_stay_what_they_are(raw: str, corrected: str, said: dict[int, float]):
    """Probabilities are added and nothing else changes; each is one that was said of a character in reach."""
    edits = edits_between(raw, corrected)
    told = with_probabilities(edits, said)
    assert told == edits
    for edit in told:
        near = [said[at] for at in said if edit.start - 1 <= at <= edit.end]
        assert edit.probability == min(near, default=None)


@given(SHORT, st.lists(SHORT, max_size=6), st.data())
def test_written_probabilities_are_those_of_the_tokens_that_changed_the_text(source: str, pieces: list[str], data: st.DataObject):
    """Each change has the probability of one of its tokens, or of the one behind it; what was copied has none."""
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(pieces) + 1, max_size=len(pieces) + 1))
    corrected = "".join(pieces)
    starts = [edit.start for edit in edits_between(source, corrected)]
    told = written_probabilities(source, corrected, pieces, shares)
    assert list(told) == starts
    assert set(told.values()) <= set(shares)


def test_written_probabilities_of_half_characters_are_found_by_alignment():
    """A dash of three byte tokens has no text of its own in any of them; a letter left out shows in what follows it."""
    pieces = ["a", "\ufffd", "\ufffd", "\ufffd", " the", " end"]
    told = written_probabilities("a- tbe endd", "a— the end", pieces, [0.9, 0.8, 0.3, 0.7, 0.6, 0.5, 0.4])
    assert told == {1: 0.3, 4: 0.6, 9: 0.5}
