"""Cutting texts into passages."""

import itertools
import time

import regex
from hypothesis import given
from hypothesis import strategies as st

from ocrray.text.passages import frame, split

# Letters, breaks, and what makes clusters: combining marks, joiners, flags, Devanagari, Hangul jamo, lone surrogates.
_NASTY = st.text(alphabet="ab .!?\n\r\t\u2028\x0b\u0301\u200d👩🇫🇷क्षि한ᄀ。”\u00a0\ufeff\ud800", max_size=120)
_TEXTS = st.one_of(_NASTY, st.text(max_size=120))


def _at_most(size: int):
    return lambda piece: len(piece) <= size


@given(_TEXTS, st.integers(1, 40))
def test_split_any_text_loses_doubles_and_moves_nothing(text, size):
    """The passages joined are the text, and each fits unless it is one grapheme cluster."""
    pieces = split(text, _at_most(size))

    assert "".join(pieces) == text
    assert all(pieces)
    assert all(len(piece) <= size or regex.fullmatch(r"\X", piece) for piece in pieces)


@given(_TEXTS, st.integers(1, 10))
def test_split_any_text_keeps_grapheme_clusters_whole(text, size):
    """Every passage ends where a grapheme cluster of the whole text ends."""
    ends = {match.end() for match in regex.finditer(r"\X", text)}

    pieces = split(text, _at_most(size))

    assert set(itertools.accumulate(len(piece) for piece in pieces)) <= ends


@given(st.text(alphabet="ab \n.", max_size=80), st.integers(0, 2**32))
def test_split_judge_that_is_not_monotone_still_returns_only_fitting_passages(text, salt):
    """A tokenizer may refuse a shorter text than one it takes; no refused passage is ever returned but a single character."""

    def fits(piece: str) -> bool:
        return len(piece) <= 20 and hash((piece, salt)) % 3 > 0

    pieces = split(text, fits)

    assert "".join(pieces) == text
    assert all(fits(piece) or len(piece) == 1 for piece in pieces)


def test_split_text_that_fits_stays_one_passage():
    """What fits is not touched, and an empty text has no passage."""
    assert split("One line.\nAnother.", _at_most(100)) == ["One line.\nAnother."]
    assert split("", _at_most(100)) == []


def test_split_prefers_paragraph_then_line_then_sentence_then_space():
    """Within reach, the strongest boundary wins even where a weaker one stands later."""
    filler = "w" * 30

    assert split(f"aaaa bbbb cccc. dddd\n\neeee\nffff. gg hh{filler}", _at_most(40))[0] == "aaaa bbbb cccc. dddd\n\n"
    assert split(f"aaaa bbbb cccc. dddd eeee\nffff. gg hh{filler}", _at_most(40))[0] == "aaaa bbbb cccc. dddd eeee\n"
    assert split(f"aaaa bbbb cccc dddd eeee ffff. gg hh{filler}", _at_most(40))[0] == "aaaa bbbb cccc dddd eeee ffff. "
    assert split(f"aaaa bbbb cccc dddd eeee ffff gg hh{filler}", _at_most(40))[0] == "aaaa bbbb cccc dddd eeee ffff gg "


def test_split_word_longer_than_a_passage_is_cut_inside_only_then():
    """A space is used wherever one is in reach; only the word that cannot fit is cut."""
    assert split("ab " + "c" * 25 + " de", _at_most(10)) == ["ab ", "c" * 10, "c" * 10, "c" * 5 + " de"]


def test_split_little_more_than_one_passage_gives_two_of_about_the_same_length():
    """There is no tiny tail."""
    text = "word " * 22

    pieces = split(text, _at_most(100))

    assert len(pieces) == 2
    assert min(map(len, pieces)) > 40


def test_split_line_of_100_000_characters_is_fast_and_asks_seldom():
    """The calls grow with the passages times a logarithm, and so do the characters that the judge has to read."""
    asked = []

    def fits(piece: str) -> bool:
        asked.append(len(piece))
        return len(piece) <= 1000

    for text in ("x" * 100_000, "क्षि" * 25_000, "word " * 20_000):
        asked.clear()
        start = time.perf_counter()
        pieces = split(text, fits)
        assert time.perf_counter() - start < 2
        assert "".join(pieces) == text
        assert len(pieces) <= 110
        assert len(asked) <= 8 * len(pieces)
        assert sum(asked) <= 8 * len(text)


@given(_TEXTS)
def test_frame_any_passage_gives_the_passage_back(passage):
    """Joined they are the passage; the core has no white space at its ends, and the lead and tail are nothing else."""
    lead, core, tail = frame(passage)

    assert lead + core + tail == passage
    assert core == core.strip()
    assert not (lead + tail).strip()
