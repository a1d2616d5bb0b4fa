"""Splitting a pair of texts into pairs of aligned pieces."""

import numpy as np
from rapidfuzz.distance import Levenshtein

_AGREED_CHARS = 2  # on both sides of a cut: where less is the same on both sides, the two may agree by chance


def aligned_pieces(source: str, target: str, max_bytes: int) -> list[tuple[str, str]]:
    """Split into pairs whose sources, and whose targets, concatenate to `source` and `target`.

    Each piece of the source has at most `max_bytes` in UTF-8, unless the two texts agree nowhere within it. Cuts fall after white
    space that both texts have, or else inside a word.
    """
    code_points = np.frombuffer(source.encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (code_points[:, None] > (0x7F, 0x7FF, 0xFFFF)).sum(1)
    ends = np.concatenate(([0], np.cumsum(widths)))  # bytes before each character
    if ends[-1] <= max_bytes:
        return [(source, target)]
    cuts, partners = _agreed_places(source, target)
    after_space = np.array([source[cut - 1].isspace() for cut in cuts], dtype=bool)
    words, pieces, start, partner = cuts[after_space], [], 0, 0
    while ends[-1] - ends[start] > max_bytes:
        limit = np.searchsorted(ends, ends[start] + max_bytes, side="right") - 1
        cut = _last_within(words, start, limit) or _last_within(cuts, start, limit) or _first_after(cuts, limit)
        if cut is None:
            break
        end = int(partners[np.searchsorted(cuts, cut)])
        pieces.append((source[start:cut], target[partner:end]))
        start, partner = cut, end
    return [*pieces, (source[start:], target[partner:])]


def _agreed_places(source: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets in `source`, ascending, and the offsets in `target` aligned with them."""
    margin = _AGREED_CHARS
    runs = [op for op in Levenshtein.opcodes(source, target) if op.tag == "equal" and op.src_end - op.src_start >= 2 * margin]
    cuts = [np.arange(run.src_start + margin, run.src_end - margin + 1) for run in runs]
    partners = [cut + (run.dest_start - run.src_start) for cut, run in zip(cuts, runs, strict=True)]
    return np.concatenate([np.empty(0, int), *cuts]), np.concatenate([np.empty(0, int), *partners])


def _last_within(places: np.ndarray, start: int, limit: int) -> int | None:
    number = np.searchsorted(places, limit, side="right")
    return int(places[number - 1]) if number and places[number - 1] > start else None


def _first_after(places: np.ndarray, limit: int) -> int | None:
    number = np.searchsorted(places, limit, side="right")
    return int(places[number]) if number < len(places) else None
