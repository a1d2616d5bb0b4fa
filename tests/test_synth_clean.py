"""Clean text to make pairs of: passages, pieces of them, and the many ways to set them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ocrray.synth.clean import excerpt, passages, straighten, vary

PARAGRAPH = "It was the best of times, it was the _worst_ of times,\nsaid the magistrate to the prisoner at the bar."
PRINTED = PARAGRAPH.replace("_", "").replace("\n", " ")


def test_passages_name_the_first_text_that_they_are_made_of() -> None:
    """A passage goes on across texts, and says where it starts."""
    found = list(passages([("a", "one two"), ("b", "three"), ("c", "four five six seven, eight"), ("d", "nine")], min_chars=10))
    assert [(passage.source, passage.text) for passage in found] == [
        ("a", "one two\nthree"),
        ("c", "four five six seven,"),
        ("c", "eight\nnine"),
    ]


@given(
    texts=st.lists(st.text(st.sampled_from("ab cd \n_é")), max_size=8),
    min_chars=st.integers(1, 40),
)
def test_passages_keep_every_word_and_stay_short(texts: list[str], min_chars: int) -> None:
    """Whatever the texts, nothing but white space and emphasis is lost, and no passage is three times as long as asked for."""
    found = list(passages([("x", text) for text in texts], min_chars))
    letters = "".join("".join(texts).split()).replace("_", "")
    assert "".join(passage.text for passage in found).replace("\n", "").replace(" ", "").replace("_", "") == letters
    assert all(len(passage.text.replace("\n", "")) < 3 * min_chars for passage in found)
    assert all(len(passage.text.replace("\n", "")) >= min_chars for passage in found[:-1])


def test_passages_of_a_book_in_one_row_take_no_more_than_one_reading() -> None:
    """Ten million characters without a line end are cut in no time, words whole."""
    found = list(passages([("book", "word " * 2_000_000)]))
    assert sum(passage.text.count("word") for passage in found) == 2_000_000


@given(
    words=st.lists(st.integers(1, 8), min_size=1, max_size=30).map(lambda sizes: [f"<{'x' * size}>" for size in sizes]),
    gap=st.sampled_from(" \n"),
    chars=st.tuples(st.integers(1, 50), st.integers(0, 50)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    seed=st.integers(0, 1000),
)
def test_excerpt_is_a_piece_of_whole_words(words: list[str], gap: str, chars: tuple[int, int], seed: int) -> None:
    """A piece is at most as long as asked for, and has no halves of words that would fit into it."""
    text = gap.join(words)
    piece = excerpt(text, chars, np.random.default_rng(seed))
    assert piece
    assert piece in text
    assert len(piece) <= chars[1]
    if chars[0] >= 10:
        assert set(piece.split()) <= set(words)


def test_vary_keeps_every_letter_of_a_passage_without_figures() -> None:
    """However it is set, wrapped or divided, the text stays the text."""
    letters = straighten(PRINTED).replace(" ", "").lower()
    for seed in range(40):
        varied = vary(PRINTED, np.random.default_rng(seed)).replace("-\n", "").replace("\n", "").replace(" ", "").lower()
        figures = len(varied) - len(letters)
        assert figures > 0 or varied == letters


def test_vary_puts_no_english_into_other_scripts() -> None:
    """Figures and abbreviations of English print are for texts in Latin letters."""
    hindi = "सुबह की धूप और पुराने बाज़ार की गलियों में लोग अपने काम पर जा रहे थे। " * 10
    for seed in range(20):
        assert not any(char.isascii() and char.isalnum() for char in vary(hindi, np.random.default_rng(seed)))
