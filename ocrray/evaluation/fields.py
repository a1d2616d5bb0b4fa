"""How well the fields of records were extracted: exact match and character similarity, field by field."""

from collections.abc import Iterable
from dataclasses import dataclass, field

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
        """Records that have the field in truth, prediction or both: what the two rates are shares of."""
        return self.both + self.missed + self.invented

    @property
    def exact_frac(self) -> float | None:
        """Share of predictions that are the truth, after NFC with white space collapsed; None where no record has the field."""
        return self.exact / self.present if self.present else None

    @property
    def similarity(self) -> float | None:
        """Mean of 1 - Levenshtein distance / length of the longer, in 0..1; None where no record has the field."""
        return self.similarity_sum / self.present if self.present else None

    def add(self, predicted: str | None, truth: str | None) -> bool:
        """Count one record; returns whether the two agree, in the field's absence too."""
        said, true = for_scoring(predicted or ""), for_scoring(truth or "")
        self.absent += not said and not true
        self.missed += not said and bool(true)
        self.invented += bool(said) and not true
        if said and true:
            self.both += 1
            self.exact += said == true
            self.similarity_sum += Levenshtein.normalized_similarity(said, true)
        return said == true


@dataclass(slots=True)
class FieldTable:
    """The scores of every field, and how many of the records are right in all of them."""

    fields: dict[str, FieldScore] = field(default_factory=lambda: {name: FieldScore() for name in PhotoFields.__slots__})
    records: int = 0
    records_exact: int = 0
    unanswered: int = 0  # records without a prediction: all that their truth holds counts as missed

    def metrics(self) -> dict[str, float]:
        """The rates as fractions by name (`title_exact`, `title_similarity`, ..., `records_exact`), where there are any."""
        rates = {f"{name}_exact": score.exact_frac for name, score in self.fields.items()}
        rates |= {f"{name}_similarity": score.similarity for name, score in self.fields.items()}
        rates["records_exact"] = self.records_exact / self.records if self.records else None
        return {name: rate for name, rate in rates.items() if rate is not None}

    def markdown(self) -> str:
        """The table as Markdown, with a line below it on whole records."""
        lines = [
            "| field | in both | missed | invented | exact match | similarity |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, score in self.fields.items():
            rates = ("–" if rate is None else f"{rate:.1%}" for rate in (score.exact_frac, score.similarity))
            lines.append(f"| {name} | {score.both} | {score.missed} | {score.invented} | {' | '.join(rates)} |")
        whole = f"Right in every field: {self.records_exact} of {self.records} records; without an answer: {self.unanswered}."
        return "\n".join([*lines, "", whole])


def score_fields(pairs: Iterable[tuple[PhotoFields | None, PhotoFields]]) -> FieldTable:
    """The table over pairs of prediction and truth; a prediction of None is a record for which no answer was well-formed."""
    table = FieldTable()
    for predicted, truth in pairs:
        said, true = (predicted or PhotoFields()).to_row(), truth.to_row()
        agree = [score.add(said[name], true[name]) for name, score in table.fields.items()]
        table.records += 1
        table.unanswered += predicted is None
        table.records_exact += predicted is not None and all(agree)
    return table
