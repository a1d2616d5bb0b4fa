"""Results of evaluating one system, for tables, report and JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from ocrray.evaluation.comparison import Comparison
from ocrray.evaluation.hipe import HipeScores
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.published_format import PublishedScores
from ocrray.evaluation.report_records import ReportRecord
from ocrray.evaluation.results import MetricValue, Results
from ocrray.evaluation.sampling import CheckedSample
from ocrray.evaluation.scoring import Scores
from ocrray.evaluation.translation import TranslationScores

_MIN_UNITS = 30  # percentile intervals from fewer are known to be too narrow
_TALLY_NOTES = {
    "without_output": "records without a corrected text, scored with their raw text",
    "without_truth": "records without ground truth, in no metric",
    "without_text": "records with ground truth but no raw text, in no metric",
    "unreadable": "rows that cannot be read, in no metric",
}
_ANSWER_NOTES = {"without_output": "records without an answer, scored as empty"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One system's results; `scores` where its records have ground truth, `sample` where they are estimated from a sheet."""

    name: str
    results: Results
    normalise: Normalisation
    confidence: float
    scores: Scores | None = None
    sample: CheckedSample | None = None
    has_raw_text: bool = True
    """False where answers are scored, not corrections: the raw texts are the answers, once more."""
    documents: dict[str, MetricValue] | None = None
    """DOCUMENT_METRICS, where fields are scored."""
    translation: TranslationScores | None = None
    published: PublishedScores | None = None
    """Of the same records as `translation`."""
    hipe: HipeScores | None = None
    baseline_name: str | None = None
    comparison: Comparison | None = None

    @property
    def report_records(self) -> Sequence[ReportRecord]:
        """Records that the report shows."""
        return self.scores.report_records if self.scores else self.sample.report_records if self.sample else ()

    @property
    def unit(self) -> str:
        """Name of the units of resampling."""
        return self.scores.unit if self.scores else "checked records"

    @property
    def tally(self) -> dict[str, int]:
        """Number of records scored, and of those that were not, by reason; see `scoring.Scores`."""
        return dict(self.scores.tally) if self.scores else {}

    @property
    def notes(self) -> list[str]:
        """Sentences on what limits the results."""
        tally = self.tally
        named = _TALLY_NOTES if self.has_raw_text else _TALLY_NOTES | _ANSWER_NOTES
        notes = [f"{tally[name]:,} {words}" for name, words in named.items() if tally.get(name)]
        if self.scores and self.scores.first_problem:
            notes.append(f"unreadable: {self.scores.first_problem}")
        if self.results.units < _MIN_UNITS:
            notes.append(f"{self.results.units:,} {self.unit} are too few for reliable intervals")
        return notes
