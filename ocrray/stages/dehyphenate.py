"""Words divided at line ends, made whole in a column of their own: text to read and to search, beside the text as printed."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.records import edits_from_rows
from ocrray.stages.base import Stage, table_of
from ocrray.stages.tables import scatter, with_columns
from ocrray.text.dehyphenation import Division, dehyphenated, moved

_MAY_CHANGE = r"\n|\x{ad}"  # in RE2


class Dehyphenate(Stage):
    """Write `dehyphenated_text` for every row with a corrected text."""

    name = "dehyphenate"
    reads = ("corrected_text", "edits", "_divisions")
    writes = ("dehyphenated_text",)

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Select rows with a corrected text, whatever their status."""
        return pc.is_valid(table["corrected_text"])

    def process(self, rows: pa.Table) -> pa.Table:
        """Make the words of texts of several lines whole; all others are copied."""
        copied = with_columns(rows, {"dehyphenated_text": rows["corrected_text"]})
        may_change = pc.match_substring_regex(rows["corrected_text"], _MAY_CHANGE)
        changing = rows.filter(may_change).select(["record_id", *self.reads, *self.writes])
        texts = [_whole(row) for row in changing.to_pylist()]
        return scatter(copied, may_change, table_of(changing, {"dehyphenated_text": texts}).drop_columns("record_id")).select(
            ["record_id", *self.writes]
        )


def _whole(row: dict[str, Any]) -> str:
    divisions = [Division(division["at"], division["word"]) for division in row["_divisions"] or ()]
    return dehyphenated(row["corrected_text"], moved(divisions, edits_from_rows(row["edits"])))
