"""Segments say exactly what changed, in whole letters, and say what they leave out."""

import unicodedata
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ocrray.corpus.diff import Segment, segments
from ocrray.records import Edit
from ocrray.text.edits import edits_between

TEXTS = st.text(alphabet=st.sampled_from("ab e\u0301\u0323\nक्षि\u200d"), max_size=30)


@given(TEXTS, TEXTS)
def test_segments_any_texts_spell_both(raw: str, corrected: str) -> None:
    """Without its insertions the diff is the raw text, without its deletions the corrected one."""
    parts = segments(raw, edits_between(raw, corrected), max_chars=1000)
    assert "".join(part.text for part in parts if part.kind != "inserted") == raw
    assert "".join(part.text for part in parts if part.kind != "deleted") == corrected


@given(TEXTS, TEXTS)
def test_segments_any_texts_start_with_no_torn_off_mark(raw: str, corrected: str) -> None:
    """No combining mark is shown in one segment and its letter in another."""
    parts = segments(raw, edits_between(raw, corrected), max_chars=1000)
    for before, part in pairwise(parts):
        if "equal" in (before.kind, part.kind):
            assert not unicodedata.category(part.text[0]).startswith("M")


def test_segments_devanagari_vowel_sign_changes_with_its_letter() -> None:
    """कि against की differ in a sign that cannot be drawn alone."""
    assert segments("कि है", edits_between("कि है", "की है"), 100) == [
        Segment("deleted", "कि"),
        Segment("inserted", "की"),
        Segment("equal", " है"),
    ]


def test_segments_long_text_keeps_the_edits_and_counts_what_it_leaves_out() -> None:
    """A page of 50,000 characters with one error in its middle shows the error, not the page."""
    raw = "a" * 25_000 + "x" + "b" * 25_000
    parts = segments(raw, [Edit(25_000, 25_001, "x", "y")], max_chars=6_000)
    assert [part.kind for part in parts] == ["equal", "gap", "equal", "deleted", "inserted", "equal", "gap", "equal"]
    assert "24,680" in parts[1].text
    assert sum(len(part.text) for part in parts) < 1_000


@given(st.integers(0, 400), st.integers(1, 300))
def test_segments_any_size_stay_within_bounds(edits: int, max_chars: int) -> None:
    """However many edits there are, what is shown is bounded, and the rest is counted."""
    raw = "ab" * 400
    found = segments(raw, [Edit(2 * n, 2 * n + 1, "a", "x") for n in range(edits)], max_chars)
    shown = sum(len(part.text) for part in found if part.kind != "gap")
    assert shown <= max_chars
    assert (found[-1].kind == "gap") == (shown < len(raw) + edits)


def test_visible_edited_space_and_line_feed_can_be_seen() -> None:
    """A deleted space would otherwise be an invisible edit."""
    assert Segment("deleted", " ").visible == "␣"
    assert Segment("inserted", "\n").visible == "↵\n"
    assert Segment("equal", " \n").visible == " \n"
