"""Scores of documents: answers that hold fields against true ones, for evaluation and training alike."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from ocrray.evaluation.field_matching import anls, match_values
from ocrray.evaluation.field_values import Document, as_document, read_document
from ocrray.evaluation.fields import FieldTable
from ocrray.evaluation.metrics import Metric
from ocrray.evaluation.tree_accuracy import tree_accuracy
from ocrray.text.normalise import for_scoring


class DocumentScore(NamedTuple):
    """Scores of one answer; of a malformed or missing one all but `true` are 0."""

    valid: bool
    """True where the answer is a JSON object, or lines of `name: value`."""
    exact: bool
    """True where every value is right and none is invented; the order of names and of rows does not matter."""
    nted: float | None
    """`tree_accuracy`, 0..1; None where the trees are too large."""
    anls: float
    """ANLS*, 0..1."""
    right: int
    """Values of the answer that are right."""
    predicted: int
    """Values of the answer."""
    true: int
    """Values of the truth."""


@dataclass(slots=True)
class DocumentScores:
    """Scores of documents, one by one, and of their fields over all of them."""

    fields: FieldTable = field(default_factory=FieldTable)
    documents: list[DocumentScore] = field(default_factory=list)

    def add(self, predicted: Document | None, true: Document) -> list[str]:
        """Score one document and return the names of its wrong fields; None is an answer that is malformed or missing."""
        pairs = list(match_values(predicted or {}, true))
        wrong = self.fields.add(pairs)
        in_truth = sum(bool(pair.true) for pair in pairs)
        if predicted is None:
            self.documents.append(DocumentScore(False, False, 0.0, 0.0, 0, 0, in_truth))
            return wrong
        right = sum(pair.predicted == pair.true for pair in pairs)
        in_answer = sum(bool(pair.predicted) for pair in pairs)
        accuracy, likeness = tree_accuracy(predicted, true), anls(predicted, true)
        self.documents.append(DocumentScore(True, not wrong, accuracy, likeness, right, in_answer, in_truth))
        return wrong

    @property
    def records_exact(self) -> int:
        """Number of documents that are right in every value."""
        return sum(score.exact for score in self.documents)

    def summands(self) -> dict[str, np.ndarray]:
        """Return what `DOCUMENT_METRICS` are computed from, one value a document."""
        size = len(self.documents)
        columns = dict(zip(DocumentScore._fields, zip(*self.documents, strict=True), strict=True)) if size else {}
        values = {name: np.array(columns.get(name, ()), dtype=np.float64) for name in DocumentScore._fields}
        compared = ~np.isnan(values["nted"])  # None becomes NaN
        return values | {
            "documents": np.ones(size),
            "nted": np.where(compared, values["nted"], 0),
            "nted_documents": compared.astype(np.float64),
            "mean_values": (values["predicted"] + values["true"]) / 2,
        }

    def metrics(self) -> dict[str, float]:
        """Return the rates that are defined, 0..1, by name: DOCUMENT_METRICS, then `total_exact` and `total_similarity`."""
        sums = {name: values.sum() for name, values in self.summands().items()}
        rates: dict[str, float | None] = {name: float(metric.compute(sums)) for name, metric in DOCUMENT_METRICS.items()}
        rates |= {f"{name}_exact": score.exact_frac for name, score in self.fields.fields.items()}
        rates |= {f"{name}_similarity": score.similarity for name, score in self.fields.fields.items()}
        return {name: rate for name, rate in rates.items() if rate is not None and not np.isnan(rate)}


_document = partial(Metric, kind="rate", table="documents")
_share = partial(Metric, kind="share", table="documents", denominator="documents")
_REGISTERED = (
    _share("valid_frac", "valid", meaning="share of answers that are a JSON object, or lines of `name: value`", row="valid"),
    _share(
        "records_exact",
        "exact",
        meaning="share of documents that are right in every value, names and rows in any order",
        row="exact",
        headline=True,
    ),
    _document("field_precision", "right", "predicted", "right values per value of the answers", row="field precision"),
    _document("field_recall", "right", "true", "right values per value of the truths", row="field recall"),
    _document(
        "field_f1",
        "right",
        "mean_values",
        "harmonic mean of field precision and recall",
        row="field F1",
        headline=True,
    ),
    _document(
        "nted_accuracy",
        "nted",
        "nted_documents",
        "mean of 1 - tree edit distance / size of the truth, at least 0, as Donut's evaluation defines it; rows in their order",
        row="nTED accuracy",
    ),
    _document("anls", "anls", "documents", "ANLS*: mean similarity of values, 0 where below 0.5, rows in any order", row="ANLS*"),
)
DOCUMENT_METRICS: dict[str, Metric] = {metric.name: metric for metric in _REGISTERED}


def score_fields(pairs: Iterable[tuple[Mapping[str, object] | None, Mapping[str, object]]]) -> DocumentScores:
    """Score pairs of predicted and true fields, with any nesting; a prediction of None is a malformed answer."""
    scores = DocumentScores()
    for predicted, truth in pairs:
        scores.add(None if predicted is None else as_document(predicted), as_document(truth))
    return scores


def score_answers(pairs: Iterable[tuple[str | None, str]], normalise: Callable[[str], str] = for_scoring) -> DocumentScores:
    """Score pairs of answer and truth, each a JSON object or lines of `name: value` as text; None is a missing answer.

    Raises: ValueError: when a truth is neither.
    """
    scores = DocumentScores()
    for number, (answer, truth) in enumerate(pairs):
        true = read_document(truth, normalise)
        if true is None:
            raise ValueError(f"truth {number} is neither a JSON object nor lines of `name: value`: {truth[:60]!r}")
        scores.add(None if answer is None else read_document(answer, normalise), true)
    return scores
