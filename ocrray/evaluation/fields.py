"""Scores of extracted fields: exact match, similarity, precision and recall, per field."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from ocrray.evaluation.field_matching import ValuePair

OTHER = "(other names)"
_MAX_NAMES = 200

Json = dict[str, object]


@dataclass(slots=True)
class FieldScore:
    """Scores of the values of one field over all records.

    A value that only truth or prediction has is no match, with similarity 0.
    """

    both: int = 0
    missed: int = 0  # only in the truth
    invented: int = 0  # only in the prediction
    absent: int = 0  # records without the field in either, in no rate
    exact: int = 0
    similarity_sum: float = 0.0

    @property
    def present(self) -> int:
        """Values in truth, prediction or both: the denominator of `exact_frac` and `similarity`."""
        return self.both + self.missed + self.invented

    @property
    def exact_frac(self) -> float | None:
        """Fraction of values whose prediction equals the truth; None where no record has the field."""
        return self.exact / self.present if self.present else None

    @property
    def similarity(self) -> float | None:
        """Mean of 1 - Levenshtein distance / length of the longer, in 0..1; None where no record has the field."""
        return self.similarity_sum / self.present if self.present else None

    @property
    def precision(self) -> float | None:
        """Fraction of predicted values that equal the truth; None where nothing is predicted."""
        return self.exact / (self.both + self.invented) if self.both + self.invented else None

    @property
    def recall(self) -> float | None:
        """Fraction of true values that are predicted exactly; None where the truth has none."""
        return self.exact / (self.both + self.missed) if self.both + self.missed else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where no record has the field."""
        return 2 * self.exact / (self.present + self.both) if self.present else None

    def add(self, pair: ValuePair) -> bool:
        """Count one value and return whether prediction and truth are equal."""
        self.missed += not pair.predicted
        self.invented += not pair.true
        if pair.predicted and pair.true:
            self.both += 1
            self.exact += pair.predicted == pair.true
            self.similarity_sum += Levenshtein.normalized_similarity(pair.predicted, pair.true)
        return pair.predicted == pair.true

    def as_json(self) -> Json:
        """Return counts and rates by name."""
        counts = ("both", "missed", "invented", "absent", "exact")
        rates = ("exact_frac", "similarity", "precision", "recall", "f1")
        return {name: getattr(self, name) for name in (*counts, *rates)}

    def __iadd__(self, other: "FieldScore") -> "FieldScore":
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@dataclass(slots=True)
class FieldTable:
    """Scores of every field by its path; each value of a list counts, the rows of lists assigned to one another."""

    fields: dict[str, FieldScore] = field(default_factory=dict)
    records: int = 0

    @property
    def overall(self) -> FieldScore:
        """Scores of all fields together."""
        total = FieldScore()
        for score in self.fields.values():
            total += score
        return total

    @property
    def rows(self) -> list[tuple[str, FieldScore]]:
        """Names and scores of each field, and of all together, for tables."""
        return [*self.fields.items(), ("all fields", self.overall)]

    def add(self, pairs: Sequence[ValuePair]) -> list[str]:
        """Count the values of one record and return the names of the fields that are wrong."""
        names = [self._name(pair.path) for pair in pairs]
        equal = [self.fields[name].add(pair) for name, pair in zip(names, pairs, strict=True)]
        for name in self.fields.keys() - set(names):
            self.fields[name].absent += 1
        self.records += 1
        return list(dict.fromkeys(name for name, right in zip(names, equal, strict=True) if not right))

    def _name(self, path: str) -> str:
        """Return the row of a path, which is new if need be; a model that invents names must not fill memory and report."""
        if path not in self.fields:
            path = path if len(self.fields) < _MAX_NAMES else OTHER
            self.fields.setdefault(path, FieldScore(absent=self.records))
        return path
