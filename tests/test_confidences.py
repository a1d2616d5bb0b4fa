"""How sure a recognizer was of its words, brought to the characters of the text."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.records import SCHEMA, Line, Word, lines_to_rows
from ocrray.stages.confidences import confidences
from ocrray.text.confidences import char_confidences, spread, word_confidences

WORDS = st.text("ab", min_size=1, max_size=4)
SHARES = st.none() | st.floats(0, 1, width=32)
LINES = st.lists(st.lists(st.tuples(WORDS, SHARES), max_size=4), max_size=4)


def page(lines: list[list[tuple[str, float | None]]]) -> list[Line]:
    return [
        Line(" ".join(word for word, _ in line), words=[Word(word, confidence=share) for word, share in line]) for line in lines
    ]


@given(LINES)
def test_char_confidences_of_any_page_come_back_word_by_word(lines: list[list[tuple[str, float | None]]]):
    """What was said of each word is found again from the characters, and spread over them once more it is the same."""
    text = "\n".join(line.text for line in page(lines))
    chars = char_confidences(page(lines))

    assert len(chars) == len(text)
    assert word_confidences(text, chars) == [share for line in lines for _, share in line]
    assert np.array_equal(spread(text, word_confidences(text, chars)), chars, equal_nan=True)


def test_char_confidences_word_that_its_line_does_not_hold_is_passed_over():
    """A file whose words and line disagree costs nothing but that word; a word without a confidence has its line's."""
    line = Line(
        "a bc d",
        confidence=0.5,
        words=[Word("a", confidence=0.25), Word("xy", confidence=1.0), Word("bc"), Word("d", confidence=0.75)],
    )
    assert char_confidences([line]).tolist() == [0.25, 0.5, 0.5, 0.5, 0.5, 0.75]


def test_spread_confidences_of_other_words_are_refused():
    """One for each word, or the text is not theirs."""
    with pytest.raises(ValueError, match="zip"):
        spread("two words", [0.5])


@given(st.lists(st.none() | LINES, max_size=5))
def test_confidences_of_a_batch_are_those_of_its_pages(pages: list[list[list[tuple[str, float | None]]] | None]):
    """Out of Arrow come the same confidences as from the lines themselves; a row without lines has none."""
    rows = pa.array([None if one is None else lines_to_rows(page(one)) for one in pages], SCHEMA.field("lines").type)
    found = list(confidences(pa.chunked_array([rows])))
    assert [one is None for one in found] == [one is None for one in pages]
    for one, lines in zip(found, pages, strict=True):
        assert one is None or np.array_equal(one, char_confidences(page(lines)), equal_nan=True)
