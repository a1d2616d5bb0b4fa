"""Scores of extracted fields: exact match, similarity, precision and recall, per field."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from ocrray.evaluation.field_values import flatten
from ocrray.text.normalise import for_scoring

Json = dict[str, object]


@dataclass(slots=True)
class FieldScore:
    """Scores of one field over all records.

    A record that has the field neither in truth nor in prediction counts as `absent` and enters no rate. A field that only
    one of the two has is no match, with similarity 0.
    """

    both: int = 0
    missed: int = 0  # only in the truth
    invented: int = 0  # only in the prediction
    absent: int = 0
    exact: int = 0
    similarity_sum: float = 0.0

    @property
    def present(self) -> int:
        """Records that have the field in truth, prediction or both: the denominator of `exact_frac` and `similarity`."""
        return self.both + self.missed + self.invented

    @property
    def exact_frac(self) -> float | None:
        """Fraction of records whose prediction equals the truth; None where no record has the field."""
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

    def add(self, predicted: str, truth: str) -> bool:
        """Count one record ("" where the field is absent) and return whether prediction and truth are equal."""
        self.absent += not predicted and not truth
        self.missed += not predicted and bool(truth)
        self.invented += bool(predicted) and not truth
        if predicted and truth:
            self.both += 1
            self.exact += predicted == truth
            self.similarity_sum += Levenshtein.normalized_similarity(predicted, truth)
        return predicted == truth

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
    """Scores of every field by its path, and the number of records that are right in all of them.

    `normalise` is applied to every value before it is compared.
    """

    normalise: Callable[[str], str] = for_scoring
    fields: dict[str, FieldScore] = field(default_factory=dict)
    records: int = 0
    records_exact: int = 0
    unanswered: int = 0  # records without a prediction: every field of their truth counts as missed

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

    def add(self, predicted: Mapping[str, str] | None, truth: Mapping[str, str]) -> list[str]:
        """Count one record of flattened fields and return the names of those that are wrong; None is an unreadable answer."""
        guess, true = ({name: self.normalise(value) for name, value in one.items()} for one in (predicted or {}, truth))
        for name in (*true, *guess):
            if name not in self.fields:
                self.fields[name] = FieldScore(absent=self.records)
        wrong = [name for name, score in self.fields.items() if not score.add(guess.get(name, ""), true.get(name, ""))]
        self.records += 1
        self.unanswered += predicted is None
        self.records_exact += predicted is not None and not wrong
        return wrong

    def metrics(self) -> dict[str, float]:
        """Return the defined rates as fractions by name (`title_exact`, `title_similarity`, ..., `records_exact`)."""
        rates = {f"{name}_exact": score.exact_frac for name, score in self.fields.items()}
        rates |= {f"{name}_similarity": score.similarity for name, score in self.fields.items()}
        rates["records_exact"] = self.records_exact / self.records if self.records else None
        return {name: rate for name, rate in rates.items() if rate is not None}

    def as_json(self) -> Json:
        """Return counts and rates of each field and of all together, as in `evaluation.json`."""
        by_name = {name: score.as_json() for name, score in self.fields.items()}
        whole = {"records": self.records, "right_in_all": self.records_exact, "unreadable": self.unanswered}
        return {**whole, "overall": self.overall.as_json(), "by_name": by_name}


def score_fields(pairs: Iterable[tuple[Mapping[str, object] | None, Mapping[str, object]]]) -> FieldTable:
    """Score pairs of predicted and true fields, with any nesting; a prediction of None is an answer without fields."""
    table = FieldTable()
    for predicted, truth in pairs:
        table.add(None if predicted is None else flatten(predicted), flatten(truth))
    return table
