"""Stratified sample of the records without ground truth, and the estimates that its checked records give.

Strata are formed by what the corrector did to a record, because errors differ most by that; rare strata are sampled more
densely. A checked record is weighted by the records of its stratum over those checked in it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ocrray.errors import ConfigError
from ocrray.evaluation.counts import Counts, count
from ocrray.evaluation.inputs import Batch
from ocrray.evaluation.metrics import Sums, summands
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.report_records import ReportRecord
from ocrray.text.metrics import distances

STRATA = ("refused", "unchanged", "up to 2 % changed", "2 to 10 % changed", "over 10 % changed")
_CHANGED_FRAC_ENDS = (0.02, 0.10)
_MIN_CHECKED = 2  # one record has no variance


@dataclass(frozen=True, slots=True)
class SampledRecord:
    """One record without ground truth; `stratum` is an index in STRATA, `source` where to look it up."""

    id: str
    stratum: int
    raw: str
    corrected: str
    source: str


@dataclass(frozen=True, slots=True)
class Stratum:
    """Number of records of a stratum, and of those that were checked."""

    name: str
    records: int
    checked: int


@dataclass(frozen=True, slots=True)
class CheckedSample:
    """Checked records and their strata."""

    strata: list[Stratum]
    stratum_of: np.ndarray  # of each checked record the index in `strata`
    counts: Counts
    report_records: list[ReportRecord]

    def estimated_sums(self) -> Sums:
        """Return the estimated sums over all records of all strata."""
        weights = np.array([stratum.records / stratum.checked for stratum in self.strata])[self.stratum_of]
        return {name: (column * weights).sum() for name, column in summands(self.counts).items()}

    def resampled_sums(self, resamples: int, seed: int) -> Sums:
        """Return the estimated sums of each resample, by the rescaling bootstrap of Rao and Wu (1988).

        In each stratum one record fewer than were checked is drawn with replacement and weighted accordingly. SciPy's bootstrap
        draws as many as there are, which makes intervals of strata with few checked records too narrow: by 30 % for two.
        """
        rng = np.random.default_rng(seed)
        values = summands(self.counts)
        table = np.stack([column.astype(np.float64) for column in values.values()], axis=1)
        total = np.zeros((resamples, table.shape[1]))
        for index, stratum in enumerate(self.strata):
            rows = table[self.stratum_of == index]
            size = max(1, stratum.checked - 1)
            drawn = rng.integers(stratum.checked, size=(resamples, size))
            multiplicities = np.stack([np.bincount(row, minlength=stratum.checked) for row in drawn])
            total += (multiplicities @ rows) * (stratum.records / size)
        return dict(zip(values, total.T, strict=True))


def draw_sample(batches: Iterable[Batch], size: int, seed: int) -> list[SampledRecord]:
    """Draw about `size` records without ground truth at random within each stratum.

    Raises: ConfigError: when every record has a ground truth.
    """
    rng = np.random.default_rng(seed)
    records: Counter[int] = Counter()
    smallest: dict[int, list[tuple[float, SampledRecord]]] = {index: [] for index in range(len(STRATA))}
    for record in _records_without_truth(batches):
        records[record.stratum] += 1
        kept = smallest[record.stratum]
        kept.append((rng.random(), record))
        if len(kept) > 4 * size:
            smallest[record.stratum] = sorted(kept, key=lambda entry: entry[0])[:size]
    if not records:
        raise ConfigError("sample: no record lacks ground truth; leave sample out to measure those that have it")
    sizes = allocate([records[index] for index in range(len(STRATA))], size)
    chosen = [sorted(smallest[index], key=lambda entry: entry[0])[:number] for index, number in enumerate(sizes)]
    return [record for stratum in chosen for _, record in stratum]


def allocate(records: Sequence[int], size: int) -> list[int]:
    """Return sample sizes by stratum: half of `size` in proportion to `records`, half in equal parts, at least two each."""
    present = sum(number > 0 for number in records)
    total = sum(records)
    wanted = [size * (0.5 * number / total + 0.5 / present) if number else 0 for number in records]
    return [min(number, max(_MIN_CHECKED, round(share))) if number else 0 for number, share in zip(records, wanted, strict=True)]


def check_sample(batches: Iterable[Batch], truths: Mapping[str, str], normalise: Normalisation) -> CheckedSample:
    """Read the input again, count the records of its strata, and score those whose id is in `truths`.

    Raises: ConfigError: when a checked record is not in the input, or too few were checked in a stratum.
    """
    records: Counter[int] = Counter()
    found: list[SampledRecord] = []
    for record in _records_without_truth(batches):
        records[record.stratum] += 1
        if record.id in truths:
            found.append(record)
    checked = Counter(record.stratum for record in found)
    _require_complete(records, checked, found, truths)
    present = sorted(records)
    counts = count(
        [record.raw for record in found],
        [record.corrected for record in found],
        [truths[record.id] for record in found],
        normalise,
    )
    return CheckedSample(
        strata=[Stratum(STRATA[index], records[index], checked[index]) for index in present],
        stratum_of=np.array([present.index(record.stratum) for record in found]),
        counts=counts,
        report_records=[
            ReportRecord(
                record.id,
                record.raw,
                record.corrected,
                truths[record.id],
                {name: int(values[row]) for name, values in counts.items()},
                (STRATA[record.stratum],),
            )
            for row, record in enumerate(found)
        ],
    )


def _require_complete(
    records: Counter[int], checked: Counter[int], found: Sequence[SampledRecord], truths: Mapping[str, str]
) -> None:
    missing = set(truths) - {record.id for record in found}
    if missing or len(found) > len(truths):
        wrong = f"{len(missing):,} of its checked records are not here" if missing else "ids occur more than once"
        raise ConfigError(f"sample: the sheet belongs to another input: {wrong}")
    too_few = [STRATA[index] for index, size in records.items() if checked[index] < min(size, _MIN_CHECKED)]
    if too_few:
        raise ConfigError(
            f"sample: at least {_MIN_CHECKED} records of each stratum must be checked; too few of: {', '.join(too_few)}"
        )


def _records_without_truth(batches: Iterable[Batch]) -> Iterator[SampledRecord]:
    for batch in batches:
        texts = [
            (row, raw, raw if corrected is None else corrected)
            for row, (raw, corrected, truth) in enumerate(zip(batch.raw, batch.corrected, batch.truth, strict=True))
            if row not in batch.problems and truth is None and raw is not None
        ]
        changed_chars = distances([raw for _, raw, _ in texts], [corrected for *_, corrected in texts])
        run_values = batch.run_values(["status", "source_uri", "page"])
        for (row, raw, corrected), changed in zip(texts, changed_chars, strict=True):
            frac = changed / max(len(raw), len(corrected), 1)
            refused = run_values[row].get("status") == "kept_raw"
            stratum = 0 if refused else 1 if not changed else 2 + int(np.searchsorted(_CHANGED_FRAC_ENDS, frac))
            yield SampledRecord(batch.ids[row], stratum, raw, corrected, batch.sources[row] or _location(run_values[row]))


def _location(run_values: Mapping[str, object]) -> str:
    page = run_values.get("page")
    return f"{run_values.get('source_uri') or ''}{f', page {page + 1}' if isinstance(page, int) else ''}"
