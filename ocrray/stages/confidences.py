"""How sure the recognizer was, from the column `lines` of many rows at once: to make all objects of a page would take 3 ms."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.records import Line, Word
from ocrray.text.confidences import char_confidences


def confidences(pages: pa.ChunkedArray) -> Iterator[np.ndarray | None]:
    """For each row those of the characters of its text, as `char_confidences` gives them; None for a row without lines."""
    pages = pages.combine_chunks()
    lines = pages.flatten()
    words = lines.field("words").flatten()
    texts, shares = words.field("text").to_pylist(), words.field("confidence").to_pylist()
    all_words = map(Word, texts, *[[None] * len(texts)] * 4, shares)
    columns = (lines.field("text").to_pylist(), lines.field("confidence").to_pylist(), _lengths(lines.field("words")))
    all_lines = (
        Line(text, confidence=share, words=list(islice(all_words, length))) for text, share, length in zip(*columns, strict=True)
    )
    for known, length in zip(pages.is_valid().to_pylist(), _lengths(pages), strict=True):
        of_row = list(islice(all_lines, length))
        yield char_confidences(of_row) if known else None


def _lengths(lists: pa.Array) -> list[int]:
    return pc.fill_null(pc.list_value_length(lists), 0).to_pylist()
