"""Edit labels: from two texts to a label a character, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.text.labels import MAX_LABEL_CHARS, apply_label, apply_labels, labels_between, possible_labels

TEXTS = st.text(alphabet="ab \né", max_size=12)


@given(TEXTS, TEXTS)
def test_labels_of_any_two_texts_give_the_target_or_are_refused(source: str, target: str) -> None:
    """Labels reproduce the target exactly, or there are none."""
    labels = labels_between(source, target)
    if labels is not None:
        assert len(labels) == len(source)
        assert apply_labels(source, labels) == target


@given(TEXTS, st.data())
def test_labels_of_small_edits_always_exist(source: str, data: st.DataObject) -> None:
    """Deleting or doubling single characters is always within what labels can say."""
    times = data.draw(st.lists(st.integers(0, 2), min_size=len(source), max_size=len(source)))
    target = "".join(char * count for char, count in zip(source, times, strict=True))
    labels = possible_labels(source, target)
    between = labels_between(source, target)
    assert between is None or labels == between


@pytest.mark.parametrize(
    ("source", "target", "labels"),
    [
        ("tbe", "the", ["keep", "write:h", "keep"]),
        ("modem", "modern", ["keep", "keep", "keep", "keep", "write:rn"]),
        ("rnan", "man", ["write:m", "delete", "keep", "keep"]),
        ("tbe al", "the all", ["keep", "write:h", "keep", "keep", "keep", "append:l"]),
        ("leter", "letter", ["keep", "keep", "append:t", "keep", "keep"]),
        ("olong", "along", ["write:a", "keep", "keep", "keep", "keep"]),
        ("long", "along", ["write:al", "keep", "keep", "keep"]),
        ("a  b", "a b", ["keep", "keep", "delete", "keep"]),
        ("", "", []),
    ],
)
def test_labels_of_known_misreadings_are_the_readable_ones(source: str, target: str, labels: list[str]) -> None:
    """Insertions belong to the character before, deletions in a run to its end: the same choice every time."""
    assert labels_between(source, target) == labels


def test_labels_of_a_long_insertion_are_refused_and_left_out() -> None:
    """One character cannot become a whole word: the exact form says None, the lenient one keeps it and makes the other edits."""
    target = "x" * (MAX_LABEL_CHARS + 1)
    assert labels_between("ab tbe", f"ab{target} the") is None
    assert apply_labels("ab tbe", possible_labels("ab tbe", f"ab{target} the")) == "ab the"
    assert labels_between("", "a") is None


def test_apply_label_with_an_unknown_label_is_an_error() -> None:
    """A model whose labels are not edits must not pass for a tagger."""
    with pytest.raises(ValueError, match="LABEL_0"):
        apply_label("x", "LABEL_0")
