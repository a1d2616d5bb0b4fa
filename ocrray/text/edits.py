"""What changed between two texts, as character spans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rapidfuzz.distance import Levenshtein

from ocrray.records import Edit


def edits_between(raw: str, corrected: str) -> list[Edit]:
    """A smallest set of character edits that turns `raw` into `corrected`, in order, those that touch joined into one span."""
    spans: list[tuple[int, int, int, int]] = []
    for op in Levenshtein.opcodes(raw, corrected):
        if op.tag == "equal":
            continue
        if spans and spans[-1][1] == op.src_start and spans[-1][3] == op.dest_start:
            spans[-1] = (spans[-1][0], op.src_end, spans[-1][2], op.dest_end)
        else:
            spans.append((op.src_start, op.src_end, op.dest_start, op.dest_end))
    return [Edit(start, end, raw[start:end], corrected[new_start:new_end]) for start, end, new_start, new_end in spans]


def with_probabilities(edits: Sequence[Edit], probabilities: Mapping[int, float]) -> list[Edit]:
    """The edits with how sure an engine was of what it did there, by character of the raw text: the least sure counts.

    An engine may have written the same change a character further left or right, so the neighbours are looked at too.
    """
    return [replace(edit, probability=_least(edit, probabilities)) for edit in edits] if probabilities else list(edits)


def _least(edit: Edit, probabilities: Mapping[int, float]) -> float | None:
    return min((probabilities[at] for at in range(edit.start - 1, edit.end + 1) if at in probabilities), default=None)


def apply_edits(raw: str, edits: Sequence[Edit]) -> str:
    """`raw` with each edit made; the inverse of `edits_between`."""
    parts, position = [], 0
    for edit in edits:
        parts += [raw[position : edit.start], edit.corrected]
        position = edit.end
    return "".join([*parts, raw[position:]])
