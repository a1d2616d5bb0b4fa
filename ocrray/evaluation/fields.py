"""How well the fields of records were extracted: exact match, similarity, precision and recall, field by field."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import Levenshtein

from ocrray.records import PhotoFields
from ocrray.text.normalise import for_scoring


@dataclass(slots=True)
class FieldScore:
    """One field over all records. A record that has it neither in truth nor in prediction is `absent` and earns nothing.

    A field that one of the two lacks is no match, of similarity 0.
    """

    both: int = 0
    missed: int = 0  # in the truth alone
    invented: int = 0  # in the prediction alone
    absent: int = 0
    exact: int = 0
    similarity_sum: float = 0.0

    @property
    def present(self) -> int:
        """Records that have the field in truth, prediction or both: what the first two rates are shares of."""
        return self.both + self.missed + self.invented

    @property
    def exact_frac(self) -> float | None:
        """Share of records whose prediction is the truth; None where no record has the field."""
        return self.exact / self.present if self.present else None

    @property
    def similarity(self) -> float | None:
        """Mean of 1 - Levenshtein distance / length of the longer, in 0..1; None where no record has the field."""
        return self.similarity_sum / self.present if self.present else None

    @property
    def precision(self) -> float | None:
        """Share of the predicted values that are the truth; None where nothing is predicted."""
        return self.exact / (self.both + self.invented) if self.both + self.invented else None

    @property
    def recall(self) -> float | None:
        """Share of the true values that are predicted; None where there is none."""
        return self.exact / (self.both + self.missed) if self.both + self.missed else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where no record has the field."""
        return 2 * self.exact / (self.present + self.both) if self.present else None

    def add(self, predicted: str, truth: str) -> bool:
        """Count one record, "" where the field is absent; returns whether the two agree, in the field's absence too."""
        self.absent += not predicted and not truth
        self.missed += not predicted and bool(truth)
        self.invented += bool(predicted) and not truth
        if predicted and truth:
            self.both += 1
            self.exact += predicted == truth
            self.similarity_sum += Levenshtein.normalized_similarity(predicted, truth)
        return predicted == truth

    def as_json(self) -> dict[str, float | None]:
        """Counts and rates by name."""
        counts = ("both", "missed", "invented", "absent", "exact")
        rates = ("exact_frac", "similarity", "precision", "recall", "f1")
        return {name: getattr(self, name) for name in (*counts, *rates)}

    def __iadd__(self, other: "FieldScore") -> "FieldScore":
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@dataclass(slots=True)
class FieldTable:
    """The scores of every field, and how many of the records are right in all of them.

    `normalise` is applied to every value before it is compared.
    """

    normalise: Callable[[str], str] = for_scoring
    fields: dict[str, FieldScore] = field(default_factory=dict)
    records: int = 0
    records_exact: int = 0
    unanswered: int = 0  # records without a prediction: all that their truth holds counts as missed

    @property
    def overall(self) -> FieldScore:
        """All fields together."""
        total = FieldScore()
        for score in self.fields.values():
            total += score
        return total

    @property
    def rows(self) -> list[tuple[str, FieldScore]]:
        """What a reader's table shows: each field, and all together."""
        return [*self.fields.items(), ("all fields", self.overall)]

    def add(self, predicted: Mapping[str, str | None] | None, truth: Mapping[str, str | None]) -> list[str]:
        """Count one record; None is an answer that cannot be read. Returns the names of the fields that are wrong."""
        said, true = ({name: self.normalise(value or "") for name, value in one.items()} for one in (predicted or {}, truth))
        for name in (*true, *said):
            if name not in self.fields:
                self.fields[name] = FieldScore(absent=self.records)
        wrong = [name for name, score in self.fields.items() if not score.add(said.get(name, ""), true.get(name, ""))]
        self.records += 1
        self.unanswered += predicted is None
        self.records_exact += predicted is not None and not wrong
        return wrong

    def metrics(self) -> dict[str, float]:
        """The rates as fractions by name (`title_exact`, `title_similarity`, ..., `records_exact`), where there are any."""
        rates = {f"{name}_exact": score.exact_frac for name, score in self.fields.items()}
        rates |= {f"{name}_similarity": score.similarity for name, score in self.fields.items()}
        rates["records_exact"] = self.records_exact / self.records if self.records else None
        return {name: rate for name, rate in rates.items() if rate is not None}

    def as_json(self) -> dict[str, Any]:
        """Everything as `evaluation.json` holds it: counts and rates of each field and of all together."""
        named = {name: score.as_json() for name, score in self.fields.items()}
        whole = {"records": self.records, "right_in_all": self.records_exact, "unreadable": self.unanswered}
        return {**whole, "overall": self.overall.as_json(), "by_name": named}


def score_fields(pairs: Iterable[tuple[PhotoFields | None, PhotoFields]]) -> FieldTable:
    """The table over pairs of prediction and truth; a prediction of None is a record for which no answer was well-formed."""
    table = FieldTable(fields={name: FieldScore() for name in PhotoFields.__slots__})
    for predicted, truth in pairs:
        table.add(predicted and predicted.to_row(), truth.to_row())
    return table
