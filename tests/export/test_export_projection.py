"""Which line, which word, which box a correction belongs to."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.corpus.export.boxes import Box, Direction, direction_of, gap_between, split_box
from ocrray.corpus.export.projection import Change, changes_of, collapsed, corrected_lines, transferred
from ocrray.text.edits import edits_between


def lines_after(raw: str, corrected: str) -> list[str]:
    return corrected_lines(raw.split("\n"), edits_between(raw, corrected))


@pytest.mark.parametrize(
    ("raw", "corrected", "lines"),
    [
        ("tbe cat\nsat", "the cat\nsat", ["the cat", "sat"]),
        ("tbe cat\nsat", "the cat sat", ["the cat", "sat"]),
        ("exam-\nple of it", "example of it", ["exam-", "ple of it"]),
        ("exam\u00ac\nple of it", "example of it", ["exam\u00ac", "ple of it"]),
        ("exam\nple of it", "example of it", ["exam", "ple of it"]),
        ("exam-\nple", "exam\nple", ["exam", "ple"]),
        ("one two", "one\ntwo", ["one two"]),
        ("a\nnoise\nb", "a\nb", ["a", "", "b"]),
        ("a\nb", "a\nb\ncd", ["a", "b cd"]),
        ("a\nb", "x\ny\nz", ["x", "y z"]),
        ("ab\ncd", "", ["", ""]),
        ("", "", [""]),
    ],
)
def test_corrected_lines_stay_the_lines_of_the_print(raw: str, corrected: str, lines: list[str]):
    """A break that the correction drops stays, with its hyphen; one that it adds becomes a space."""
    assert lines_after(raw, corrected) == lines


def test_corrected_lines_refuse_edits_of_another_text():
    """An edit that does not fit what stands there is an error, not a guess."""
    with pytest.raises(ValueError, match="not of this text"):
        corrected_lines(["the dog"], edits_between("the cat", "the hat"))


text = st.text(st.sampled_from("ab -\n,é"), max_size=40)


@settings(deadline=None)
@given(text, text)
def test_corrected_lines_hold_the_whole_correction(raw: str, corrected: str):
    """As many lines as before; together they are the corrected text, line breaks and the hyphens kept at them aside."""
    lines = lines_after(raw, corrected)

    assert len(lines) == raw.count("\n") + 1
    assert len("".join(lines).replace("-", "").replace(" ", "")) == len("".join(corrected.split()).replace("-", ""))
    if raw.count("\n") == corrected.count("\n") == 0:
        assert lines == [corrected.strip()]


@pytest.mark.parametrize(
    ("line", "corrected", "changes"),
    [
        ("tbe cat", "the cat", [Change(0, 1, "the")]),
        ("ofthe cat", "of the cat", [Change(0, 1, "of the")]),
        ("the c at sat", "the cat sat", [Change(1, 3, "cat")]),
        ("th ecat", "the cat", [Change(0, 1, "the"), Change(1, 2, "cat")]),
        ("in house", "in a house", [Change(1, 1, "a")]),
        ("house", "a house", [Change(0, 0, "a")]),
        ("a ~ house", "a house", [Change(1, 2, "")]),
        ("a  b tbe", "a  b the", [Change(2, 3, "the")]),
        ("a b", "a b", []),
    ],
)
def test_changes_of_leave_every_word_that_stays(line: str, corrected: str, changes: list[Change]):
    """Only the words that the correction touches are in a change."""
    spans, place = [], 0
    for word in line.split():
        place = line.index(word, place)
        spans.append((place, place + len(word)))
        place += len(word)

    assert changes_of(line, spans, corrected) == changes


words = st.lists(st.text(st.sampled_from("abc-"), min_size=1, max_size=5), min_size=1, max_size=6)


@settings(deadline=None)
@given(words, st.lists(st.sampled_from(["", " ", "  "]), min_size=6, max_size=6), st.text(st.sampled_from("abc- "), max_size=30))
def test_changes_of_make_the_corrected_line(words: list[str], gaps: list[str], corrected: str):
    """Words that touch or stand apart, changed as told, read as the corrected line."""
    line, spans = "", []
    for word, gap in zip(words, gaps, strict=False):
        line += gap if line else ""
        spans.append((len(line), len(line) + len(word)))
        line += word
    corrected = corrected.strip()

    made, done = "", 0
    for change in changes_of(line, spans, corrected):
        if change.first == change.last:
            start = end = spans[change.first - 1][1] if change.first else 0
            made += line[done:start] + (f" {change.text}" if change.first else f"{change.text} ")
        else:
            start, end = spans[change.first][0], spans[change.last - 1][1]
            made += line[done:start] + change.text
        done = end

    assert collapsed(made + line[done:]) == collapsed(corrected)


def test_transferred_makes_the_edits_where_the_copy_has_the_place():
    """A second copy of a text, broken otherwise and with a word of its own, follows; where it differs it stays."""
    edits = edits_between("tbe cat\nsat on tbe mat", "the cat\nsat on the hat")

    assert transferred(edits, "tbe cat\nsat on tbe mat", "tbe cat sat on tbe xat!") == "the cat sat on the xat!"


box = Box(100, 10, 200, 30)


@pytest.mark.parametrize(
    ("direction", "boxes"),
    [
        (Direction(), [Box(100, 10, 140, 30), Box(160, 10, 200, 30)]),
        (Direction(0, backwards=True), [Box(160, 10, 200, 30), Box(100, 10, 140, 30)]),
        (Direction(1), [Box(100, 10, 200, 18), Box(100, 22, 200, 30)]),
    ],
)
def test_laid_out_words_share_the_box_by_their_characters(direction: Direction, boxes: list[Box]):
    """Two words of two characters, and a space between them, along the direction of reading."""
    assert split_box(["ab", "cd"], box, direction) == boxes


@given(
    st.lists(st.text("abc", min_size=1), min_size=1), st.tuples(*[st.floats(0, 5000)] * 4), st.booleans(), st.sampled_from([0, 1])
)
def test_laid_out_words_stay_inside(words: list[str], edges: tuple[float, ...], backwards: bool, axis: int):
    """No word leaves the box or overlaps the next."""
    place = Box(min(edges[0], edges[1]), min(edges[2:]), max(edges[0], edges[1]), max(edges[2:]))

    boxes = split_box(words, place, Direction(axis, backwards))

    for inner in boxes:
        assert place.left <= inner.left <= inner.right <= place.right
        assert place.top <= inner.top <= inner.bottom <= place.bottom
    ordered = list(reversed(boxes)) if backwards else boxes
    assert all(one[axis + 2] <= other[axis] for one, other in pairwise(ordered))


def test_direction_of_words_is_where_the_last_is_from_the_first():
    """Leftwards, downwards, and for a single word by its script."""
    left, right, below = Box(0, 0, 10, 10), Box(50, 0, 60, 10), Box(0, 90, 10, 100)

    assert direction_of([left, right], "ab") == Direction()
    assert direction_of([right, left], "ab") == Direction(0, backwards=True)
    assert direction_of([left, below], "ab") == Direction(1)
    assert direction_of([left], "12 \u05d0") == Direction(0, backwards=True)


def test_between_is_the_room_of_neighbours():
    """The gap, the room up to the line's end, nothing where words overlap, None where nothing has a box."""
    before, behind, line = Box(10, 0, 20, 9), Box(30, 0, 40, 9), Box(5, 0, 50, 9)

    assert gap_between(before, behind, line, Direction()) == Box(20, 0, 30, 9)
    assert gap_between(behind, None, line, Direction()) == Box(40, 0, 50, 9)
    assert gap_between(None, before, line, Direction()) == Box(5, 0, 10, 9)
    assert gap_between(behind, before, line, Direction(0, backwards=True)) == Box(20, 0, 30, 9)
    assert gap_between(behind, Box(35, 0, 60, 9), None, Direction()) == Box(37.5, 0, 37.5, 9)
    assert gap_between(None, None, line, Direction()) is None
