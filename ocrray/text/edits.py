"""Differences between two texts as edits of character spans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rapidfuzz.distance import Levenshtein

from ocrray.records import Edit


def edits_between(raw: str, corrected: str) -> list[Edit]:
    """Return a smallest set of character edits that turns `raw` into `corrected`, in order; adjacent edits are joined."""
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
    """Return the edits with their probabilities (0..1): the least of `probabilities`, by character of the raw text, in each edit.

    An engine may have written the same change one character further left or right, so neighbours of the edit count too.
    """
    return [replace(edit, probability=_least(edit, probabilities)) for edit in edits] if probabilities else list(edits)


def written_probabilities(source: str, corrected: str, pieces: Sequence[str], probabilities: Sequence[float]) -> dict[int, float]:
    """Return the probability of each change of a generated text, by its offset in `source`, for `with_probabilities`.

    `pieces` are the tokens as text, `probabilities` those of the tokens and one more of the end of the text. Characters that the
    texts of the tokens lack (half of a character, a space, text around the answer) are found by alignment with `corrected`.
    """
    edits = edits_between(source, corrected)
    if not edits:
        return {}
    end = probabilities[-1] if len(probabilities) > len(pieces) else 1.0
    shares = [*char_probabilities(corrected, pieces, probabilities), end]
    found, grown = {}, 0
    for edit in edits:
        start = edit.start + grown
        # A deletion has no token of its own: the token after it counts.
        found[edit.start] = min(shares[start : start + max(1, len(edit.corrected))])
        grown += len(edit.corrected) - len(edit.raw)
    return found


def char_probabilities(text: str, pieces: Sequence[str], probabilities: Sequence[float]) -> list[float]:
    """Return the probability of each character of a generated text, that of its token.

    Arguments as for `written_probabilities`; `text` may differ from the joined pieces. A character that these lack has the least
    probability of the characters in its place.
    """
    chars = [share for piece, share in zip(pieces, probabilities, strict=False) for share in [share] * len(piece)]
    shares: list[float] = []
    copied = 0
    for other in edits_between("".join(pieces), text):
        shares += chars[copied : other.start]
        shares += [min(chars[other.start : other.end], default=1.0)] * len(other.corrected)
        copied = other.end
    return shares + chars[copied:]


def _least(edit: Edit, probabilities: Mapping[int, float]) -> float | None:
    return min((probabilities[at] for at in range(edit.start - 1, edit.end + 1) if at in probabilities), default=None)


def apply_edits(raw: str, edits: Sequence[Edit]) -> str:
    """Apply edits, which are in order, to `raw`; the inverse of `edits_between`."""
    parts, position = [], 0
    for edit in edits:
        parts += [raw[position : edit.start], edit.corrected]
        position = edit.end
    return "".join([*parts, raw[position:]])
