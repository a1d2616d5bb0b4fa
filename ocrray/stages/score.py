"""Character distances of raw and corrected text to the ground truth."""

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.stages.base import Stage, table_of
from ocrray.text.metrics import distances
from ocrray.text.normalise import for_scoring

# Texts that `for_scoring` can change, in RE2: all others are words of printable ASCII with single spaces between them.
_MAY_CHANGE = r"[^ -~]|  |^ | $"


class Score(Stage):
    """Measure every row with a ground truth and a corrected text, after `for_scoring`."""

    name = "score"
    reads = ("raw_text", "corrected_text", "ground_truth")
    writes = ("ground_truth_chars", "raw_distance", "corrected_distance")

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Select rows with both texts, whatever their status."""
        return pc.and_(pc.is_valid(table["ground_truth"]), pc.is_valid(table["corrected_text"]))

    def process(self, rows: pa.Table) -> pa.Table:
        """Measure both texts; the distance of a text that was not changed is measured once."""
        truths = _compared_texts(rows["ground_truth"])
        raw = distances(_compared_texts(rows["raw_text"]), truths, normalise=str)
        corrected = raw.copy()
        changed = pc.indices_nonzero(pc.not_equal(rows["raw_text"], rows["corrected_text"])).to_pylist()
        if changed:
            texts = _compared_texts(rows["corrected_text"].take(pa.array(changed)))
            corrected[changed] = distances(texts, [truths[row] for row in changed], normalise=str)
        chars = [len(truth) for truth in truths]
        return table_of(rows, {"ground_truth_chars": chars, "raw_distance": raw, "corrected_distance": corrected})


def _compared_texts(texts: pa.ChunkedArray) -> list[str]:
    """Return the texts after `for_scoring`, which most short lines pass unchanged: finding these takes a tenth of its time."""
    values: list[str] = texts.to_pylist()
    for row in pc.indices_nonzero(pc.match_substring_regex(texts, _MAY_CHANGE)).to_pylist():
        values[row] = for_scoring(values[row])
    return values
