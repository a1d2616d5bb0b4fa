"""How far raw and corrected text are from the truth, where the truth is known."""

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.stages.tables import with_columns
from ocrray.text.metrics import distances
from ocrray.text.normalise import for_scoring


class Score:
    """Fills the character distances, after `for_scoring`, of every row with a ground truth that did not fail."""

    name = "score"

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = pc.indices_nonzero(pc.and_(pc.is_valid(table["ground_truth"]), pc.is_valid(table["corrected_text"])))
        if not len(rows):
            return table
        scored = table.select(["raw_text", "corrected_text", "ground_truth"]).take(rows)
        truths = [for_scoring(text) for text in scored["ground_truth"].to_pylist()]
        raw = distances(scored["raw_text"].to_pylist(), truths)
        corrected = raw.copy()
        changed = pc.indices_nonzero(pc.not_equal(scored["raw_text"], scored["corrected_text"])).to_pylist()
        if changed:
            texts = scored["corrected_text"].take(pa.array(changed)).to_pylist()
            corrected[changed] = distances(texts, [truths[row] for row in changed])
        values = {"ground_truth_chars": [len(truth) for truth in truths], "raw_distance": raw, "corrected_distance": corrected}
        return with_columns(table, {name: _scattered(column, rows, len(table)) for name, column in values.items()})


def _scattered(values, rows: pa.Array, length: int) -> pa.Array:
    mask = pa.nulls(length, pa.bool_()).fill_null(False).to_numpy(zero_copy_only=False).copy()
    mask[rows.to_numpy()] = True
    return pc.replace_with_mask(pa.nulls(length, pa.int32()), pa.array(mask), pa.array(values, pa.int32()))
