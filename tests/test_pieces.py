"""Cutting a pair of texts where the two agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.text.pieces import aligned_pieces

WORDS = st.lists(st.sampled_from(["the", "quick", "brown", "föx", "jumps", "ov3r", "हिन्दी", "\n"]), max_size=40).map(" ".join)


@st.composite
def pairs(draw):
    """A text, and the same with some characters misread, lost or made up."""
    target = draw(WORDS)
    misread = draw(st.dictionaries(st.integers(0, max(1, len(target))), st.sampled_from(["", "x", " ", "é?"]), max_size=8))
    return "".join(misread.get(place, char) for place, char in enumerate(target)), target


@given(pair=pairs() | st.tuples(st.text(max_size=60), st.text(max_size=60)), max_bytes=st.integers(1, 60))
def test_pieces_concatenated_give_both_texts_back(pair, max_bytes):
    """Nothing is lost, doubled or moved between pieces, whatever the texts; a text that fits is one piece."""
    pieces = aligned_pieces(*pair, max_bytes)

    assert ("".join(source for source, _ in pieces), "".join(target for _, target in pieces)) == pair
    if len(pair[0].encode()) <= max_bytes:
        assert pieces == [pair]


@given(target=WORDS, max_bytes=st.integers(24, 60))
def test_pieces_of_equal_texts_all_fit_and_end_after_white_space(target, max_bytes):
    """Where source and target agree everywhere, every limit that a word fits into is kept, and no word is cut."""
    pieces = aligned_pieces(target, target, max_bytes)

    assert all(source == part and len(source.encode()) <= max_bytes for source, part in pieces)
    assert all(source[-1].isspace() for source, _ in pieces[:-1])


def test_pieces_misread_text_is_cut_where_both_say_the_same():
    """Each piece holds its own errors and nothing of its neighbour's truth."""
    source = "Tbe quick brovvn fox jumps ovcr the lazy d0g"

    assert aligned_pieces(source, "The quick brown fox jumps over the lazy dog", 20) == [
        ("Tbe quick brovvn ", "The quick brown "),
        ("fox jumps ovcr the ", "fox jumps over the "),
        ("lazy d0g", "lazy dog"),
    ]


def test_pieces_text_without_white_space_is_cut_inside():
    """Scripts without spaces are cut too, by their bytes."""
    text = "吾輩は猫である名前はまだ無い"

    assert [len(source.encode()) for source, _ in aligned_pieces(text, text, 15)] == [15, 15, 12]


@pytest.mark.parametrize("target", ["", "0123456789" * 4])
def test_pieces_texts_with_nothing_in_common_stay_whole(target):
    """There is no place to cut; what does not fit is for the caller to drop."""
    assert aligned_pieces("abcdefghij" * 4, target, 8) == [("abcdefghij" * 4, target)]
