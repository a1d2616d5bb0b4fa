"""Recognizer confidences, per character and per word."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.records import SCHEMA, Line, Word, lines_to_rows
from ocrray.stages.confidences import confidences
from ocrray.text.confidences import char_confidences, spread_to_chars, word_confidences

WORDS = st.text("ab", min_size=1, max_size=4)
SHARES = st.none() | st.floats(0, 1, width=32)
LINES = st.lists(st.lists(st.tuples(WORDS, SHARES), max_size=4), max_size=4)


def page(lines: list[list[tuple[str, float | None]]]) -> list[Line]:
    return [
        Line(" ".join(word for word, _ in line), words=[Word(word, confidence=share) for word, share in line]) for line in lines
    ]


@given(LINES)
def test_char_confidences_of_any_page_come_back_word_by_word(lines: list[list[tuple[str, float | None]]]):
    """The confidence of each word can be read back from the characters, and spreads to the same characters again."""
    text = "\n".join(line.text for line in page(lines))
    chars = char_confidences(page(lines))

    assert len(chars) == len(text)
    assert word_confidences(text, chars) == [share for line in lines for _, share in line]
    assert np.array_equal(spread_to_chars(text, word_confidences(text, chars)), chars, equal_nan=True)


def test_char_confidences_word_missing_from_its_line_is_skipped():
    """A word missing from its line is skipped; a word without a confidence has its line's."""
    line = Line(
        "a bc d",
        confidence=0.5,
        words=[Word("a", confidence=0.25), Word("xy", confidence=1.0), Word("bc"), Word("d", confidence=0.75)],
    )
    assert char_confidences([line]).tolist() == [0.25, 0.5, 0.5, 0.5, 0.5, 0.75]


def test_spread_to_chars_wrong_number_of_words_raises():
    """There must be one confidence per word."""
    with pytest.raises(ValueError, match="zip"):
        spread_to_chars("two words", [0.5])


@given(st.lists(st.none() | LINES, max_size=5))
def test_confidences_of_a_batch_are_those_of_its_pages(pages: list[list[list[tuple[str, float | None]]] | None]):
    """Out of Arrow come the same confidences as from the lines themselves; a row without lines has none."""
    rows = pa.array([None if one is None else lines_to_rows(page(one)) for one in pages], SCHEMA.field("lines").type)
    found = list(confidences(pa.chunked_array([rows])))
    assert [one is None for one in found] == [one is None for one in pages]
    for one, lines in zip(found, pages, strict=True):
        assert one is None or np.array_equal(one, char_confidences(page(lines)), equal_nan=True)
