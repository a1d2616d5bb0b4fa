"""One pass over a system's records: what is counted of each, how many could not be, and the few that readers are shown."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ocrray.evaluation.counts import Counts, concatenated, count
from ocrray.evaluation.field_scoring import FieldScoring
from ocrray.evaluation.fields import FieldTable
from ocrray.evaluation.inputs import FIELDS, REFUSALS, Batch
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.refusals import Refusals

_TALLY = ("scored", "without_output", "without_truth", "without_text", "unreadable")


@dataclass(frozen=True, slots=True)
class Shown:
    """A record that is kept with its texts, for the report."""

    id: str
    raw: str
    corrected: str
    truth: str
    counts: dict[str, int]
    language: str | None
    source: str | None
    refused: dict[str, Any]  # of a run: the columns REFUSALS
    wrong_fields: list[str] | None = None  # None where no fields are looked at

    @property
    def is_refused(self) -> bool:
        """Whether the guard refused all or some of the correction."""
        return bool(self.refused.get("refused_edits")) or self.refused.get("status") == "kept_raw"


@dataclass(slots=True)
class Kept:
    """The `size` records of the highest rank among all offered."""

    size: int
    _best: list[tuple[float, float, Shown]] = field(default_factory=list)

    def offer(self, rank: float, tie_break: float, record: Shown) -> None:
        """Consider a record; of equal rank the one with the higher `tie_break` stays."""
        self._best.append((rank, tie_break, record))
        if len(self._best) > 2 * self.size:
            self._trim()

    @property
    def records(self) -> list[Shown]:
        """What was kept, highest rank first."""
        self._trim()
        return [record for *_, record in self._best]

    def _trim(self) -> None:
        self._best = sorted(self._best, key=lambda entry: entry[:2], reverse=True)[: self.size]


@dataclass(slots=True)
class Scores:
    """All that an evaluation knows of one system; the arrays and lists have one entry a scored record."""

    counts: Counts
    ids: list[str]
    truth_hashes: np.ndarray  # tell whether two systems were measured against the same truth
    languages: list[str | None]
    sources: list[str | None]
    documents: list[str | None]
    tally: Counter[str]
    first_problem: str | None
    shown: list[Shown]
    refused: int  # records with a refused correction, whole or in part
    refusals: Refusals
    sample: list[tuple[str, str, str]]  # raw, corrected and true texts, drawn at random
    fields: FieldTable | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def unit(self) -> str:
        """What may be drawn anew: documents, where it is known which record belongs to which, else records."""
        return "documents" if any(document is not None for document in self.documents) else "records"

    @property
    def units(self) -> np.ndarray:
        """Which document each record belongs to, numbered from 0; a record of none is one by itself."""
        names = [record if document is None else (document,) for record, document in enumerate(self.documents)]
        numbers: dict[Any, int] = {}
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Scorable:
    """The records of a batch that can be scored: their rows in it, and their texts, the raw one where none was corrected."""

    batch: Batch
    rows: list[int]
    raw: list[str]
    corrected: list[str]
    truth: list[str]


Counting = Callable[[Iterable[Scorable], Normalisation], Iterator[tuple[Scorable, Counts]]]
"""Counts the records of many batches, and gives them back in their order."""


def in_process(batches: Iterable[Scorable], normalise: Normalisation) -> Iterator[tuple[Scorable, Counts]]:
    """One after the other."""
    return ((texts, count(texts.raw, texts.corrected, texts.truth, normalise)) for texts in batches)


def score(
    batches: Iterable[Batch],
    normalise: Normalisation,
    *,
    shown: int,
    sample_words: int,
    seed: int,
    counting: Counting = in_process,
    fields: FieldScoring | None = None,
) -> Scores:
    """Count every record that has a raw text and a truth. Without a corrected text the raw one stands, as for a reader.

    `shown` is how many records are kept for the report: those made worst, refused ones, and others at random;
    texts of about `sample_words` words of truth, drawn at random, are kept for measures that need texts. `fields` adds up the
    fields of answers.
    """
    rng = np.random.default_rng(seed)
    tally, parts, first_problem, refused, refusals = Counter(dict.fromkeys(_TALLY, 0)), [], None, 0, Refusals()
    scorable = (_scorable(batch, tally) for batch in batches)
    columns: dict[str, list[Any]] = {name: [] for name in ("ids", "hashes", "languages", "sources", "documents")}
    groups = {"made_worse": Kept(shown * 3 // 10), "refused": Kept(shown * 2 // 10), "all": Kept(shown)}
    sample = _Sample(sample_words)
    for texts, counts in counting(scorable, normalise):
        batch, rows = texts.batch, texts.rows
        first_problem = first_problem or next(iter(batch.problems.values()), None)
        parts.append(counts)
        columns["ids"] += [batch.ids[row] for row in rows]
        columns["hashes"] += [hash(normalise(text)) for text in texts.truth]
        for name in ("languages", "sources", "documents"):
            columns[name] += [getattr(batch, name)[row] for row in rows]
        luck = rng.random(len(rows))
        of_run, extracted = batch.run_values(REFUSALS), batch.run_values(FIELDS if fields else ())
        for i, row in enumerate(rows):
            of_one = {name: int(values[i]) for name, values in counts.items()}
            entry = texts.raw[i], texts.corrected[i], texts.truth[i]
            wrong = fields and fields.add(batch.ids[row], batch.corrected[row], texts.truth[i], extracted[row])
            labels = batch.languages[row], batch.sources[row]
            record = Shown(batch.ids[row], *entry, of_one, *labels, of_run[row], wrong)
            refused += record.is_refused
            refusals.add_record(record.raw, record.truth, record.refused)
            _offer(groups, record, luck[i])
            sample.offer(luck[i], entry, of_one["truth_words"])
    return Scores(
        counts=concatenated(parts),
        ids=columns["ids"],
        truth_hashes=np.array(columns["hashes"], dtype=np.int64),
        languages=columns["languages"],
        sources=columns["sources"],
        documents=columns["documents"],
        tally=tally,
        first_problem=first_problem,
        shown=_chosen(groups, shown),
        refused=refused,
        refusals=refusals,
        sample=sample.texts,
        fields=fields and fields.table,
    )


def _scorable(batch: Batch, tally: Counter[str]) -> Scorable:
    rows = list(_scorable_rows(batch, tally))
    raw = [batch.raw[row] for row in rows]
    corrected = [batch.raw[row] if batch.corrected[row] is None else batch.corrected[row] for row in rows]
    return Scorable(batch, rows, raw, corrected, [batch.truth[row] for row in rows])


def _scorable_rows(batch: Batch, tally: Counter[str]) -> Iterator[int]:
    for row in range(len(batch)):
        if row in batch.problems:
            tally["unreadable"] += 1
        elif batch.truth[row] is None:
            tally["without_truth"] += 1
        elif batch.raw[row] is None:
            tally["without_text"] += 1
        else:
            tally["scored"] += 1
            tally["without_output"] += batch.corrected[row] is None
            yield row


def _offer(groups: dict[str, Kept], record: Shown, luck: float) -> None:
    groups["all"].offer(0, luck, record)
    worse = record.counts["corrected_distance"] - record.counts["raw_distance"]
    if worse > 0:
        groups["made_worse"].offer(worse, luck, record)
    if record.is_refused:
        groups["refused"].offer(0, luck, record)


def _chosen(groups: dict[str, Kept], size: int) -> list[Shown]:
    """The groups' records, each once, the special ones first, `size` in all."""
    everything = [record for kept in groups.values() for record in kept.records]
    return list({id(record): record for record in everything}.values())[:size]


class _Sample:
    """The luckiest records, as many as have about so many words."""

    def __init__(self, words: int) -> None:
        self._words = words
        self._drawn: list[tuple[float, int, tuple[str, str, str]]] = []
        self._waiting_words = 0
        self._luck_needed = np.inf if words else -np.inf

    def offer(self, luck: float, texts: tuple[str, str, str], words: int) -> None:
        if luck < self._luck_needed:
            self._drawn.append((luck, words, texts))
            self._waiting_words += words
            if self._waiting_words > 4 * self._words:
                self._trim()

    @property
    def texts(self) -> list[tuple[str, str, str]]:
        self._trim()
        return [texts for *_, texts in self._drawn]

    def _trim(self) -> None:
        self._drawn.sort(key=lambda entry: entry[0])
        so_far = np.cumsum([words for _, words, _ in self._drawn])
        kept = int(np.searchsorted(so_far, self._words, side="right"))
        if kept < len(self._drawn):
            self._luck_needed = self._drawn[kept][0]  # who comes later must not slip in for being short
        del self._drawn[kept:]
        self._waiting_words = sum(words for _, words, _ in self._drawn)
