"""Panel of the most frequent character confusions before and after correction."""

import unicodedata

from ocrray.evaluation.confusions import MAX_CHARS
from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.panels.base import NumberFormat, Panel, Row, Table

_IN_TERMINAL, _IN_REPORT, _IN_JSON = 10, 50, 500
_NOTHING = "∅"
_SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥", "\u00a0": "⍽"}
_CAPTION = (
    f"What the truth has → what the text has instead; ␣ is a space, {_NOTHING} nothing. Ordered by the larger of both numbers, "
    f"so that confusions that correction brought in are here too. Differences of more than {MAX_CHARS} characters are not listed."
)


def _tables(evaluation: Evaluation, numbers: NumberFormat) -> list[Table]:
    if not (scores := evaluation.scores):
        return []
    rows = []
    for rank, ((true, read), before, after) in enumerate(scores.confusions.most_frequent(_IN_REPORT)):
        removed = numbers.percent(1 - after / before, 1) if before else ""
        cells = (f"{before:,}", f"{after:,}", removed) if evaluation.has_raw_text else (f"{after:,}",)
        rows.append(Row(f"{_shown(true)} → {_shown(read)}", cells, detail=rank >= _IN_TERMINAL))
    columns = ("raw", "corrected", "removed") if evaluation.has_raw_text else ("times",)
    return [Table("confusion (truth → text)", columns, rows, _CAPTION)] if rows else []


def _as_json(evaluation: Evaluation) -> dict[str, object]:
    if not (scores := evaluation.scores):
        return {"confusions": None}
    found = scores.confusions
    listed = [
        {"truth": true, "read": read, "raw": before, "corrected": after}
        for (true, read), before, after in found.most_frequent(_IN_JSON)
    ]
    totals = {"raw": found.raw.total() + found.raw_longer, "corrected": found.corrected.total() + found.corrected_longer}
    longer = {"raw": found.raw_longer, "corrected": found.corrected_longer}
    return {"confusions": {"differences": totals, "longer": longer, "most_frequent": listed}}


def _shown(text: str) -> str:
    """Return `text` so that spaces, an empty text and combining marks can be seen."""
    if not text:
        return _NOTHING
    visible = "".join(_SIGNS.get(char, char) for char in text)
    return f"◌{visible}" if unicodedata.category(visible[0]).startswith("M") else visible


PANEL = Panel("confusions", "Character confusions", _tables, _as_json)
