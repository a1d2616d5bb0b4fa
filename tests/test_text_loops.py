"""Loops at the end of a generated text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.text.loops import find_loop

DITTO = 'Smith, John  "  "  "\n'


@pytest.mark.parametrize(
    ("text", "finished", "found"),
    [
        ("Chapter I\n" + "a b c " * 30 + "a b", False, True),
        ("the same line\n" * 4, False, True),
        ("ha ha ha", False, False),
        ("no loop at all in this text, only words", False, False),
        ("Total " + "." * 300, False, True),
        ("Total " + "." * 300, True, False),
        ("Chapter I " + "." * 300 + " 12", False, False),
        (DITTO + ' "  "  "\n' * 40, True, False),
        ("and so on " * 30, True, True),
        ("and so on " * 30 + "\n\n", True, True),
        ("la la la la la la la la la la la la", True, False),
        ("and so on " * 30 + "the end", True, False),
        ("", True, False),
        ("", False, False),
        ("नमक " * 20, False, True),
    ],
)
def test_find_loop_phrase_that_does_not_end_is_one_and_dot_leaders_only_where_the_text_ran_out(
    text: str, finished: bool, found: bool
) -> None:
    """A refrain and a table of contents are none; a text that its model ended itself must repeat much more."""
    assert (find_loop(text, finished=finished) is not None) == found


@given(st.text("ab c", min_size=5, max_size=30), st.integers(12, 40), st.text("xyz", max_size=5))
def test_find_loop_names_what_stands_at_the_end(unit: str, repeats: int, before: str) -> None:
    """The repeated units are the end of the text, from `start` on."""
    text = before + unit * repeats

    loop = find_loop(text, finished=False)

    assert loop is not None
    assert text[loop.start :] == loop.unit * loop.repeats
    assert loop.start <= len(before)
