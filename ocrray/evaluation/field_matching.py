"""Pairs of predicted and true values: by name, and in lists by the assignment of rows that makes them most alike.

`anls` is ANLS* of Peer et al. (2024, https://arxiv.org/abs/2402.03848), which assigns the rows of lists in the same way.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from ocrray.evaluation.field_values import Document, leaves

_THRESHOLD = 0.5
"""Texts less alike than this count as different in ANLS."""
_TIE_BREAK = 1e-4
"""Weight of equality and of similarity below the threshold, by which rows are told apart that ANLS finds equally alike."""

Item = str | Document


class ValuePair(NamedTuple):
    """Predicted and true value of one path; "" where there is none."""

    path: str
    predicted: str
    true: str


class Likeness(NamedTuple):
    """ANLS of items of two lists, each with each: sums of the values' scores, their numbers, and what breaks ties."""

    score: np.ndarray
    values: np.ndarray
    tie_break: np.ndarray


def match_values(predicted: Document, true: Document, path: str = "") -> Iterator[ValuePair]:
    """Yield every value of both, in pairs where they belong together."""
    for name in dict.fromkeys((*true, *predicted)):
        where = f"{path}.{name}" if path else name
        guesses, truths = predicted.get(name, []), true.get(name, [])
        pairs = _assign(guesses, truths)
        for guess, truth in pairs:
            yield from _matched(guesses[guess], truths[truth], where)
        for number in set(range(len(guesses))).difference(guess for guess, _ in pairs):
            yield from (ValuePair(place, value, "") for place, value in _values(guesses[number], where))
        for number in set(range(len(truths))).difference(truth for _, truth in pairs):
            yield from (ValuePair(place, "", value) for place, value in _values(truths[number], where))


def anls(predicted: Document, true: Document) -> float:
    """Return ANLS*, 0..1: mean over all values of their normalised Levenshtein similarity without case, 0 below 0.5."""
    likeness = _of_items([predicted], [true])
    return float(likeness.score[0, 0] / likeness.values[0, 0]) if likeness.values[0, 0] else 1.0


def _matched(guess: Item, truth: Item, path: str) -> Iterator[ValuePair]:
    if isinstance(guess, dict) and isinstance(truth, dict):
        yield from match_values(guess, truth, path)
    elif isinstance(guess, str) and isinstance(truth, str):
        yield ValuePair(path, guess, truth)
    else:
        yield from (ValuePair(place, value, "") for place, value in _values(guess, path))
        yield from (ValuePair(place, "", value) for place, value in _values(truth, path))


def _values(item: Item, path: str) -> Iterator[tuple[str, str]]:
    return iter([(path, item)]) if isinstance(item, str) else leaves(item, path)


def _assign(guesses: Sequence[Item], truths: Sequence[Item]) -> list[tuple[int, int]]:
    """Return pairs of positions in both lists that belong together, as many as the shorter list has items."""
    if len(guesses) <= 1 and len(truths) <= 1:
        return list(zip(range(len(guesses)), range(len(truths)), strict=False))
    if guesses == truths:
        return [(number, number) for number in range(len(truths))]
    return _best_pairs(_of_items(guesses, truths))


def _best_pairs(likeness: Likeness) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment  # half a second to import, and most evaluations score no lists

    share = (likeness.score + _TIE_BREAK * likeness.tie_break) / np.maximum(likeness.values, 1)
    return list(zip(*(side.tolist() for side in linear_sum_assignment(share, maximize=True)), strict=True))


def _of_items(guesses: Sequence[Item], truths: Sequence[Item]) -> Likeness:
    """Compare each item of one list with each of the other; a text is nothing like a document."""
    shape = len(guesses), len(truths)
    values = np.maximum(*np.meshgrid([_size(item) for item in guesses], [_size(item) for item in truths], indexing="ij"))
    found = Likeness(np.zeros(shape), values.astype(np.float64), np.zeros(shape))
    rows, columns = ({n: item for n, item in enumerate(items) if isinstance(item, str)} for items in (guesses, truths))
    if rows and columns:
        _put(found, rows, columns, _of_texts(list(rows.values()), list(columns.values())))
    below, true = ({n: item for n, item in enumerate(items) if isinstance(item, dict)} for items in (guesses, truths))
    if below and true:
        _put(found, below, true, _of_documents(list(below.values()), list(true.values())))
    return found


def _put(whole: Likeness, rows: Iterable[int], columns: Iterable[int], part: Likeness) -> None:
    where = np.ix_(list(rows), list(columns))
    for into, values in zip(whole, part, strict=True):
        into[where] = values


def _of_texts(guesses: Sequence[str], truths: Sequence[str]) -> Likeness:
    folded = [[" ".join(text.lower().split()) for text in texts] for texts in (guesses, truths)]
    similar = process.cdist(*folded, scorer=Levenshtein.normalized_similarity, dtype=np.float64)
    equal = np.array(guesses, dtype=object)[:, None] == np.array(truths, dtype=object)
    return Likeness(np.where(similar < _THRESHOLD, 0, similar), np.ones(similar.shape), similar + equal)


def _of_documents(guesses: Sequence[Document], truths: Sequence[Document]) -> Likeness:
    shape = len(guesses), len(truths)
    total = Likeness(np.zeros(shape), np.zeros(shape), np.zeros(shape))
    for name in {name for item in (*guesses, *truths) for name in item}:
        part = _of_lists([item.get(name, []) for item in guesses], [item.get(name, []) for item in truths])
        for whole, piece in zip(total, part, strict=True):
            whole += piece
    return total


def _of_lists(guesses: Sequence[list[Item]], truths: Sequence[list[Item]]) -> Likeness:
    """Compare each of some lists with each of others, their items assigned to one another."""
    sizes = [np.array([sum(map(_size, items)) for items in lists], dtype=np.float64) for lists in (guesses, truths)]
    shape = len(guesses), len(truths)
    found = Likeness(np.zeros(shape), sizes[0][:, None] + sizes[1], np.zeros(shape))
    rows, columns = ([n for n, items in enumerate(lists) if items] for lists in (guesses, truths))
    if not rows or not columns:
        return found
    single = all(len(items) <= 1 for items in (*guesses, *truths))
    if single:  # rows of a table: all pairs at once
        _put(found, rows, columns, _of_items([guesses[n][0] for n in rows], [truths[n][0] for n in columns]))
        return found
    for row in rows:
        for column in columns:
            likeness = _of_items(guesses[row], truths[column])
            for guess, truth in _best_pairs(likeness):
                cell = row, column
                found.score[cell] += likeness.score[guess, truth]
                found.tie_break[cell] += likeness.tie_break[guess, truth]
                both = _size(guesses[row][guess]) + _size(truths[column][truth])
                found.values[cell] += likeness.values[guess, truth] - both
    return found


def _size(item: Item) -> int:
    """Return the number of values in an item."""
    return 1 if isinstance(item, str) else sum(map(_size, (value for items in item.values() for value in items)))
