"""What an evaluation says: figures with intervals, for all records and by group, and the comparison with a second system."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import Field

from ocrray.config import StrictModel
from ocrray.errors import ConfigError
from ocrray.evaluation.bootstrap import MAX_UNITS, Interval, Resampling, figures_of, totals
from ocrray.evaluation.counts import Counts
from ocrray.evaluation.figures import FIGURES, SHARES, addends
from ocrray.evaluation.scoring import Scores
from ocrray.evaluation.sheet import Checked

BUCKETS = ("0 %", "up to 2 %", "2 to 5 %", "5 to 10 %", "over 10 %")
_BUCKET_ENDS = (0.0, 0.02, 0.05, 0.10)
_MAX_GROUPS = 30
OTHERS = "(all others)"
_SUMS = (
    *("records", "truth_chars", "truth_words", "truth_digits", "raw_distance", "corrected_distance"),
    *("clean", "exact", "improved", "made_worse", "broke_clean", "digits_changed", "digits_made_worse"),
)


class BootstrapConfig(StrictModel):
    """How intervals and tests are computed."""

    resamples: int = Field(1_000, ge=100, le=100_000)
    permutations: int = Field(10_000, ge=100, le=1_000_000)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    seed: int = Field(0, ge=0)

    def over(self, units: np.ndarray) -> Resampling:
        """Draws of these units."""
        return Resampling(units, resamples=self.resamples, confidence=self.confidence, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Value:
    """A figure and its interval: None where there is nothing to divide by, in the records or in one of the resamples."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Group:
    """Records that share something: what was added up over them, and the figures."""

    name: str
    sums: dict[str, int]
    figures: dict[str, Value]

    @property
    def records(self) -> int:
        return self.sums["records"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on the records that both have with the same truth; a difference is the system's figure less the baseline's."""

    records: int
    only_in_system: int
    only_in_baseline: int
    other_truth: int
    system: dict[str, Value]
    baseline: dict[str, Value]
    differences: dict[str, Value]
    p_value: float
    """Of the micro CER: how often swapping the two at random makes a difference as large."""


@dataclass(frozen=True, slots=True)
class Results:
    """All figures of one system."""

    overall: Group
    by_raw_cer: list[Group]
    by_language: list[Group]
    by_source: list[Group]
    units: int
    in_lots: bool


def results_of(scores: Scores, bootstrap: BootstrapConfig) -> Results:
    """The figures over all scored records, and by group; groups are resampled each by itself."""
    units = scores.units
    number = int(units.max(initial=-1)) + 1

    def group(name: str, rows: np.ndarray) -> Group:
        return _group(name, {key: values[rows] for key, values in scores.counts.items()}, units[rows], bootstrap)

    buckets = raw_cer_buckets(scores.counts)
    return Results(
        overall=group("all", np.arange(len(scores))),
        by_raw_cer=[group(name, rows) for i, name in enumerate(BUCKETS) if len(rows := np.flatnonzero(buckets == i))],
        by_language=[group(name, rows) for name, rows in _by_label(scores.languages)],
        by_source=[group(name, rows) for name, rows in _by_label(scores.sources)],
        units=number,
        in_lots=number > MAX_UNITS,
    )


def estimate_of(checked: Checked, bootstrap: BootstrapConfig) -> Results:
    """The figures of all records without ground truth, from those that were checked; sums are rounded to whole numbers."""
    sums = checked.sums()
    resampling = bootstrap.over(np.arange(len(checked.part_of)))
    figures = _values(figures_of(sums), figures_of(checked.resampled(bootstrap.resamples, bootstrap.seed)), resampling)
    overall = Group("estimated", {key: round(float(sums[key])) for key in _SUMS}, figures)
    return Results(overall, [], [], [], units=len(checked.part_of), in_lots=False)


def raw_cer_buckets(counts: Counts) -> np.ndarray:
    """The index in BUCKETS of each record, by the CER of its raw text; where the truth is empty every character is an error."""
    cer = counts["raw_distance"] / np.maximum(counts["truth_chars"], 1)
    return np.searchsorted(_BUCKET_ENDS, cer, side="left")


def compare(system: Scores, baseline: Scores, bootstrap: BootstrapConfig) -> Comparison:
    """Both systems on the records that they share; raises ConfigError where ids are not unique or none is shared."""
    ours, theirs = _shared_rows(system, baseline)
    shared = len(ours)
    same = system.truth_hashes[ours] == baseline.truth_hashes[theirs]
    ours, theirs = ours[same], theirs[same]
    if not len(ours):
        why = "have the same truth" if shared else "are in both"
        raise ConfigError(f"baseline: no records {why}, so the two cannot be compared; set id_column in both")
    values = [
        addends({name: column[rows] for name, column in scores.counts.items()})
        for scores, rows in ((system, ours), (baseline, theirs))
    ]
    units = np.unique(system.units[ours], return_inverse=True)[1]
    resampling = bootstrap.over(units)
    point, drawn = [figures_of(totals(value)) for value in values], [figures_of(resampling.sums(value)) for value in values]
    return Comparison(
        records=len(ours),
        only_in_system=len(system) - shared,
        only_in_baseline=len(baseline) - shared,
        other_truth=shared - len(ours),
        system=_values(point[0], drawn[0], resampling),
        baseline=_values(point[1], drawn[1], resampling),
        differences=_values(*({name: both[0][name] - both[1][name] for name in FIGURES} for both in (point, drawn)), resampling),
        p_value=resampling.p_value(values[0]["corrected_distance"] - values[1]["corrected_distance"], bootstrap.permutations),
    )


def _shared_rows(system: Scores, baseline: Scores) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the same records in either system, in the order of the first."""
    for name, scores in (("input", system), ("baseline", baseline)):
        if repeated := [record for record, times in Counter(scores.ids).items() if times > 1]:
            raise ConfigError(
                f"{name}: to compare two systems every record needs an id of its own (id_column); "
                f"{len(repeated):,} occur more than once, {repeated[0]} for instance"
            )
    place = {record: row for row, record in enumerate(baseline.ids)}
    theirs = np.array([place.get(record, -1) for record in system.ids], dtype=np.int64)
    ours = np.flatnonzero(theirs >= 0)
    return ours, theirs[ours]


def as_json(part: Group | Comparison) -> dict[str, Any]:
    """The part as JSON holds it: every figure with its value, the ends of its interval, and nothing that is not a number."""
    return _plain(asdict(part))


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"value", "interval"}:
        interval = value["interval"] or {"low": None, "high": None}
        return {"value": value["value"], **interval}
    return {name: _plain(part) for name, part in value.items()} if isinstance(value, dict) else value


def _group(name: str, counts: Counts, units: np.ndarray, bootstrap: BootstrapConfig) -> Group:
    values = addends(counts)
    sums = totals(values)
    resampling = bootstrap.over(np.unique(units, return_inverse=True)[1])
    figures = _values(figures_of(sums), figures_of(resampling.sums(values)), resampling)
    for share in SHARES:
        if figures[share].value in (0, 1):
            interval = resampling.of_none_or_all(values[FIGURES[share].whole], figures[share].value)
            figures[share] = Value(figures[share].value, interval)
    return Group(name, {key: int(sums[key]) for key in _SUMS}, figures)


def _values(point: dict[str, np.ndarray], drawn: dict[str, np.ndarray], resampling: Resampling) -> dict[str, Value]:
    return {
        name: Value(None if np.isnan(point[name]) else float(point[name]), resampling.interval(drawn[name])) for name in point
    }


def _by_label(labels: Sequence[str | None]) -> list[tuple[str, np.ndarray]]:
    """The rows of each label, the most frequent first, the rarest together; nothing where no record has one."""
    frequent = Counter("(none)" if label is None else label for label in labels)
    if set(frequent) <= {"(none)"}:
        return []
    names = [name for name, _ in frequent.most_common()]
    kept = names if len(names) <= _MAX_GROUPS else [*names[: _MAX_GROUPS - 1], OTHERS]
    number = {name: i for i, name in enumerate(kept)}
    rest = len(kept) - 1
    codes = np.array([number.get("(none)" if label is None else label, rest) for label in labels])
    return [(name, np.flatnonzero(codes == i)) for i, name in enumerate(kept)]
