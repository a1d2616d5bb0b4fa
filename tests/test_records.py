"""Vocabulary of the corpus: the schema as readers of written corpora rely on it, and the conversion of nested types."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ocrray.records import (
    SCHEMA,
    Edit,
    Line,
    Passage,
    Verdict,
    Word,
    edits_from_rows,
    edits_to_rows,
    lines_from_column,
    lines_to_rows,
    passages_from_rows,
    passages_to_rows,
    verdicts_from_rows,
    verdicts_to_rows,
)

GOLDEN = Path(__file__).parent / "golden" / "schema.txt"
"""The schema as text. Rewrite it when a column is meant to change, and raise SCHEMA_VERSION if a reader could be misled:

    python -c "from ocrray.records import SCHEMA; print(SCHEMA.to_string(truncate_metadata=False))" > tests/golden/schema.txt
"""

offsets = st.integers(0, 2**31 - 1)
shares = st.none() | st.floats(0, 1, width=32)
words = st.builds(Word, st.text(), *[st.none() | offsets] * 4, shares)


def test_schema_equals_the_golden_file() -> None:
    """Names, order, types and version of the columns change only together with the file."""
    assert SCHEMA.to_string(truncate_metadata=False) + "\n" == GOLDEN.read_text()


@given(st.lists(st.builds(Edit, offsets, offsets, st.text(), st.text(), shares)))
def test_edits_through_arrow_are_the_same_with_their_probabilities(edits: list[Edit]) -> None:
    """Writing edits into the column and reading them gives them back."""
    column = pa.array([edits_to_rows(edits), None], SCHEMA.field("edits").type)

    read, null = map(edits_from_rows, column.to_pylist())

    assert (read, null) == (edits, [])
    assert [edit.probability for edit in read] == [edit.probability for edit in edits]


@given(st.lists(st.builds(Verdict, offsets, offsets, st.booleans(), st.text(), shares, shares)))
def test_verdicts_through_arrow_are_the_same(verdicts: list[Verdict]) -> None:
    """Writing verdicts into the column and reading them gives them back."""
    column = pa.array([verdicts_to_rows(verdicts), None], SCHEMA.field("verdicts").type)

    assert list(map(verdicts_from_rows, column.to_pylist())) == [verdicts, []]


def test_passages_through_rows_are_the_same() -> None:
    """Passages to judge keep their offsets and reasons."""
    passages = [Passage(0, 3), Passage(3, 9, "too_long")]

    assert (passages_from_rows(passages_to_rows(passages)), passages_from_rows(None)) == (passages, [])


@given(st.lists(st.none() | st.lists(st.builds(Line, st.text(), *[st.none() | offsets] * 4, shares, st.lists(words)))))
def test_lines_through_arrow_are_the_same_without_their_boxes(pages: list[list[Line] | None]) -> None:
    """Reading many pages at once keeps texts, confidences and the order of words; a page without lines differs from a null."""
    column = pa.array([None if page is None else lines_to_rows(page) for page in pages], SCHEMA.field("lines").type)

    read = list(lines_from_column(pa.chunked_array([column])))

    unboxed = [None if page is None else [_unboxed(line) for line in page] for page in pages]
    assert read == unboxed


def _unboxed(line: Line) -> Line:
    words = [Word(word.text, confidence=word.confidence) for word in line.words]
    return replace(line, left=None, top=None, right=None, bottom=None, words=words)
