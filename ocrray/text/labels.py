"""Edit labels: a correction as one label for each source character, and back.

A label is a string: `keep`, `delete`, `write:xy` (these characters instead of this one) or `append:xy` (this one, then these).
Insertions belong to the character before them; at the very start, to the first one (`write:xy`, which includes it).
"""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

KEEP = "keep"
DELETE = "delete"
WRITE = "write:"
APPEND = "append:"
MAX_LABEL_CHARS = 4  # a replacement of one character by more is no misreading of it

Span = tuple[int, int, str]  # source[start:end] becomes this text


def labels_between(source: str, target: str) -> list[str] | None:
    """Return one label for each character of `source`, so that `apply_labels` gives `target`.

    None when a character would have to become more than MAX_LABEL_CHARS characters, or an empty source would grow.
    """
    labels = [KEEP] * len(source)
    for span in _spans(source, target):
        if not _write(labels, span):
            return None
    return labels


def possible_labels(source: str, target: str) -> list[str]:
    """Return labels as `labels_between` does, but keep the characters of an edit that labels cannot express."""
    labels = [KEEP] * len(source)
    for span in _spans(source, target):
        _write(labels, span)
    return labels


def apply_label(char: str, label: str) -> str:
    """Apply `label` to one source character.

    Raises:
        ValueError: when it is no edit label.
    """
    if label == KEEP:
        return char
    if label == DELETE:
        return ""
    if label.startswith(WRITE):
        return label.removeprefix(WRITE)
    if label.startswith(APPEND):
        return char + label.removeprefix(APPEND)
    raise ValueError(f"{label!r} is no edit label")


def apply_labels(source: str, labels: Sequence[str]) -> str:
    """Apply one label to each character of `source`."""
    return "".join(apply_label(char, label) for char, label in zip(source, labels, strict=True))


def _write(labels: list[str], span: Span) -> bool:
    """Write one edit into `labels`: characters pair from the left, the last takes the rest. Return False when it does not fit."""
    start, end, text = span
    if len(text) - max(end - start - 1, 0) > MAX_LABEL_CHARS or not labels:
        return False
    if start == end:
        labels[start - 1] = APPEND + text
        return True
    last = end - start - 1
    pieces = [text[offset : offset + 1] for offset in range(last)] + [text[last:]]
    labels[start:end] = [WRITE + piece if piece else DELETE for piece in pieces]
    return True


def _spans(source: str, target: str) -> list[Span]:
    """Return the edits from `source` to `target`, adjacent ones joined; a lone insertion or deletion as far right as possible.

    Alignments are ambiguous (which of two equal characters was deleted?); only a consistent choice can be learned.
    """
    joined: list[list[int]] = []
    for op in Levenshtein.opcodes(source, target):
        if op.tag == "equal":
            continue
        if joined and joined[-1][1] == op.src_start and joined[-1][3] == op.dest_start:
            joined[-1][1], joined[-1][3] = op.src_end, op.dest_end
        else:
            joined.append([op.src_start, op.src_end, op.dest_start, op.dest_end])
    spans = []
    for number, (start, end, new_start, new_end) in enumerate(joined):
        limit = joined[number + 1][0] - 1 if number + 1 < len(joined) else len(source)
        spans.append(_shift_right(source, limit, start, end, target[new_start:new_end]))
    return _without_initial_insertion(source, spans) if source else spans


def _shift_right(source: str, limit: int, start: int, end: int, text: str) -> Span:
    if start == end:
        while end < limit and source[end] == text[0]:
            text, start, end = text[1:] + text[0], start + 1, end + 1
    elif not text:
        while end < limit and source[end] == source[start]:
            start, end = start + 1, end + 1
    return start, end, text


def _without_initial_insertion(source: str, spans: list[Span]) -> list[Span]:
    if not spans or spans[0][1] > 0:
        return spans
    text, rest = spans[0][2] + source[0], spans[1:]
    if rest and rest[0][0] == 1:
        return [(0, rest[0][1], text + rest[0][2]), *rest[1:]]
    return [(0, 1, text), *rest]
