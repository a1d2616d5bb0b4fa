"""One pass over a system's records: counts of each, a tally of those that could not be scored, and the few kept with texts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ocrray.evaluation.confusions import Confusions
from ocrray.evaluation.counts import Counted, Counts, concatenated, count_all
from ocrray.evaluation.documents import DocumentScores
from ocrray.evaluation.field_scoring import FieldScoring
from ocrray.evaluation.guard_spans import GuardSpans
from ocrray.evaluation.inputs import FIELD_COLUMNS, GUARD_COLUMNS, Batch
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.report_records import RecordSelection, ReportRecord
from ocrray.evaluation.translation import SampledTexts

_TALLY = ("scored", "without_output", "without_truth", "without_text", "unreadable")


@dataclass(slots=True)
class Scores:
    """Everything that an evaluation keeps of one system; arrays and lists have one entry a scored record."""

    counts: Counts
    ids: list[str]
    truth_hashes: np.ndarray  # int64; show whether two systems were measured against the same truth
    languages: list[str | None]
    sources: list[str | None]
    documents: list[str | None]
    tally: Counter[str]  # records by _TALLY; `without_output` are among the scored
    first_problem: str | None  # of the first row that cannot be read
    report_records: list[ReportRecord]
    refused: int  # records with a refused correction, whole or in part
    guard_spans: GuardSpans
    confusions: Confusions
    text_sample: list[SampledTexts]  # of random records
    document_scores: DocumentScores | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def unit(self) -> str:
        """Name of the units of resampling: documents, where it is known which record belongs to which, else records."""
        return "documents" if any(document is not None for document in self.documents) else "records"

    @property
    def units(self) -> np.ndarray:
        """Unit of each record, numbered from 0: its document, or a unit of its own where it has none."""
        names = [row if document is None else (document,) for row, document in enumerate(self.documents)]
        numbers: dict[int | tuple[str], int] = {}
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ScorableBatch:
    """Records of a batch that can be scored: their rows in it and their texts, the raw one where the corrected is missing."""

    batch: Batch
    rows: list[int]
    raw: list[str]
    corrected: list[str]
    truth: list[str]


CountBatches = Callable[[Iterable[ScorableBatch], Normalisation], Iterator[tuple[ScorableBatch, Counted]]]
"""Counts the records of many batches and returns them in the same order."""


def count_in_process(batches: Iterable[ScorableBatch], normalise: Normalisation) -> Iterator[tuple[ScorableBatch, Counted]]:
    """Count one batch after the other in this process."""
    return ((texts, count_all(texts.raw, texts.corrected, texts.truth, normalise)) for texts in batches)


def score(
    batches: Iterable[Batch],
    normalise: Normalisation,
    *,
    report_records: int,
    sample_words: int,
    seed: int,
    count_batches: CountBatches = count_in_process,
    fields: FieldScoring | None = None,
    answers_only: bool = False,
) -> Scores:
    """Count every record that has a raw text and a truth; without a corrected text the raw one is scored.

    `report_records` records are kept for the report. Random records of about `sample_words` words of truth in all are kept for
    metrics that need texts. `fields`, where given, scores the fields of answers. With `answers_only` the raw texts
    are the answers.
    """
    selection = RecordSelection(report_records, answers_only=answers_only)
    scoring = _Scoring(normalise, selection, sample_words, seed, fields)
    tally = Counter(dict.fromkeys(_TALLY, 0))
    scorable = (_scorable(batch, tally) for batch in batches)
    for texts, counted in count_batches(scorable, normalise):
        scoring.add(texts, counted)
    return scoring.scores(tally)


class _Scoring:
    """Accumulates `Scores` batch by batch."""

    def __init__(
        self, normalise: Normalisation, selection: RecordSelection, sample_words: int, seed: int, fields: FieldScoring | None
    ) -> None:
        self._normalise, self._fields = normalise, fields
        self._rng = np.random.default_rng(seed)
        self._counts: list[Counts] = []
        self._ids: list[str] = []
        self._hashes: list[int] = []
        self._languages: list[str | None] = []
        self._sources: list[str | None] = []
        self._documents: list[str | None] = []
        self._first_problem: str | None = None
        self._refused = 0
        self._guard_spans = GuardSpans()
        self._confusions = Confusions()
        self._selection = selection
        self._sample = _TextSample(sample_words)

    def add(self, texts: ScorableBatch, counted: Counted) -> None:
        batch, rows, counts = texts.batch, texts.rows, counted.counts
        self._confusions.merge(counted.confusions)
        self._first_problem = self._first_problem or next(iter(batch.problems.values()), None)
        self._counts.append(counts)
        self._ids += [batch.ids[row] for row in rows]
        self._hashes += [hash(self._normalise(text)) for text in texts.truth]
        self._languages += [batch.languages[row] for row in rows]
        self._sources += [batch.sources[row] for row in rows]
        self._documents += [batch.documents[row] for row in rows]
        random_keys = self._rng.random(len(rows))
        for record, row, key in zip(self._records(texts, counts), rows, random_keys, strict=True):
            self._refused += record.is_refused
            self._guard_spans.add_record(record.raw, record.truth, record.guard)
            self._selection.offer(record, key)
            sampled = SampledTexts(record.raw, record.corrected, record.truth, batch.languages[row])
            self._sample.offer(key, sampled, record.counts["truth_words"])

    def _records(self, texts: ScorableBatch, counts: Counts) -> Iterator[ReportRecord]:
        batch = texts.batch
        guard = batch.run_values(GUARD_COLUMNS)
        extracted = batch.run_values(FIELD_COLUMNS if self._fields else ())
        for i, row in enumerate(texts.rows):
            record_id, truth = batch.ids[row], texts.truth[i]
            wrong = self._fields.add(record_id, batch.corrected[row], truth, extracted[row]) if self._fields else None
            of_record = {name: int(values[i]) for name, values in counts.items()}
            labels = tuple(label for label in (batch.languages[row], batch.sources[row]) if label)
            yield ReportRecord(record_id, texts.raw[i], texts.corrected[i], truth, of_record, labels, guard[row], wrong)

    def scores(self, tally: Counter[str]) -> Scores:
        return Scores(
            counts=concatenated(self._counts),
            ids=self._ids,
            truth_hashes=np.array(self._hashes, dtype=np.int64),
            languages=self._languages,
            sources=self._sources,
            documents=self._documents,
            tally=tally,
            first_problem=self._first_problem,
            report_records=self._selection.records,
            refused=self._refused,
            guard_spans=self._guard_spans,
            confusions=self._confusions,
            text_sample=self._sample.texts,
            document_scores=self._fields.scores if self._fields else None,
        )


def _scorable(batch: Batch, tally: Counter[str]) -> ScorableBatch:
    scorable = ScorableBatch(batch, [], [], [], [])
    for row, (raw, corrected, truth) in enumerate(zip(batch.raw, batch.corrected, batch.truth, strict=True)):
        if row in batch.problems:
            tally["unreadable"] += 1
        elif truth is None:
            tally["without_truth"] += 1
        elif raw is None:
            tally["without_text"] += 1
        else:
            tally["scored"] += 1
            tally["without_output"] += corrected is None
            scorable.rows.append(row)
            scorable.raw.append(raw)
            scorable.corrected.append(raw if corrected is None else corrected)
            scorable.truth.append(truth)
    return scorable


class _TextSample:
    """Keeps the texts with the smallest random keys, of about `words` words of truth in all."""

    def __init__(self, words: int) -> None:
        self._words = words
        self._kept: list[tuple[float, int, SampledTexts]] = []
        self._kept_words = 0
        self._key_limit = np.inf if words else -np.inf

    def offer(self, random_key: float, texts: SampledTexts, words: int) -> None:
        if random_key < self._key_limit:
            self._kept.append((random_key, words, texts))
            self._kept_words += words
            if self._kept_words > 4 * self._words:
                self._trim()

    @property
    def texts(self) -> list[SampledTexts]:
        self._trim()
        return [texts for *_, texts in self._kept]

    def _trim(self) -> None:
        self._kept.sort(key=lambda entry: entry[0])
        cumulated = np.cumsum([words for _, words, _ in self._kept])
        number = int(np.searchsorted(cumulated, self._words, side="right"))
        if number < len(self._kept):
            self._key_limit = self._kept[number][0]  # a later record must not get in because it is short
        del self._kept[number:]
        self._kept_words = sum(words for _, words, _ in self._kept)
