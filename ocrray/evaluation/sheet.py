"""Records without ground truth: a sample of them on a sheet that someone checks, and the figures that it gives for all.

Records are parted by what the corrector did to them, because that is where errors differ, and drawn at random in each part; rare
parts are drawn more densely. What is counted of a checked record then stands for all of its part (weight: records of the part
over those checked). Intervals come from the rescaling bootstrap of Rao and Wu (1988): in each part one record fewer than were
checked is drawn, with replacement, and weights are raised accordingly.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocrray.errors import ConfigError, RecordError
from ocrray.evaluation.counts import Counts, count
from ocrray.evaluation.figures import Sums, addends
from ocrray.evaluation.inputs import Batch
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.scoring import Shown
from ocrray.sources.tables import Columns, open_table
from ocrray.text.metrics import distances

NAME = "sample.csv"
COLUMNS = ("id", "source", "part", "raw", "corrected", "truth", "checked")
PARTS = ("refused", "unchanged", "up to 2 % changed", "2 to 10 % changed", "over 10 % changed")
_SHARE_ENDS = (0.02, 0.10)
_FEWEST = 2  # with one record checked, nothing can be said of how far others may be from it
_FORMULA = re.compile(r"'*[=+\-@]")
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@]")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One record that may go on the sheet."""

    id: str
    part: int
    raw: str
    corrected: str
    source: str  # where to look


@dataclass(frozen=True, slots=True)
class Part:
    """How many records a part has, and how many of them were checked."""

    name: str
    records: int
    checked: int


@dataclass(frozen=True, slots=True)
class Checked:
    """Checked records, and the parts that they stand for."""

    parts: list[Part]
    part_of: np.ndarray  # of each checked record the index in `parts`
    counts: Counts
    shown: list[Shown]

    @property
    def records(self) -> int:
        """How many records the figures speak for."""
        return sum(part.records for part in self.parts)

    def sums(self) -> Sums:
        """The estimated sums over all records."""
        weights = np.array([part.records / part.checked for part in self.parts])[self.part_of]
        return {name: (column * weights).sum() for name, column in addends(self.counts).items()}

    def resampled(self, resamples: int, seed: int) -> Sums:
        """The estimated sums in each resample."""
        rng = np.random.default_rng(seed)
        values = addends(self.counts)
        table = np.stack(list(values.values()), axis=1)
        total = np.zeros((resamples, table.shape[1]))
        for index, part in enumerate(self.parts):
            rows = table[self.part_of == index]
            drawn = max(1, part.checked - 1)
            places = rng.integers(part.checked, size=(resamples, drawn))
            times = np.stack([np.bincount(row, minlength=part.checked) for row in places])
            total += (times @ rows) * (part.records / drawn)
        return dict(zip(values, total.T, strict=True))


def draw(batches: Iterable[Batch], size: int, seed: int) -> list[Drawn]:
    """About `size` records without ground truth, drawn in every part; raises ConfigError where there are none."""
    rng = np.random.default_rng(seed)
    records: Counter[int] = Counter()
    best: dict[int, list[tuple[float, Drawn]]] = {index: [] for index in range(len(PARTS))}
    for batch in batches:
        for record in _without_truth(batch):
            records[record.part] += 1
            kept = best[record.part]
            kept.append((rng.random(), record))
            if len(kept) > 4 * size:
                best[record.part] = sorted(kept, key=lambda entry: entry[0])[:size]
    if not records:
        raise ConfigError("sample: no record lacks ground truth; leave sample out to measure those that have it")
    shares = allocation([records[index] for index in range(len(PARTS))], size)
    chosen = [sorted(best[index], key=lambda entry: entry[0])[:share] for index, share in enumerate(shares)]
    return [record for part in chosen for _, record in part]


def allocation(records: Sequence[int], size: int) -> list[int]:
    """How many records to draw of each part: half of `size` by the parts' sizes, half equally, and two where there are two."""
    present = sum(count > 0 for count in records)
    total = sum(records)
    wanted = [size * (0.5 * count / total + 0.5 / present) if count else 0 for count in records]
    return [min(count, max(_FEWEST, round(share))) if count else 0 for count, share in zip(records, wanted, strict=True)]


def sheet_of(records: Sequence[Drawn]) -> str:
    """The sheet as CSV: `truth` starts as the corrected text, for someone to put right by the source; `checked` is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for record in records:
        cells = (record.id, record.source, PARTS[record.part], record.raw, record.corrected, record.corrected, "")
        writer.writerow([_plain(cell) for cell in cells])
    return "\ufeff" + text.getvalue()  # without the mark Excel takes UTF-8 for something else


def read_sheet(text: str, name: str) -> dict[str, str]:
    """The truths of the rows that are marked as checked, by id; raises ConfigError."""
    try:
        table = open_table(io.BytesIO(text.encode()), NAME, "utf-8")
        missing = [column for column in ("id", "truth", "checked") if column not in table.schema.names]
        if missing:
            raise ConfigError(f"{name}: no column {', '.join(missing)}; the columns are {', '.join(table.schema.names)}")
        truths: dict[str, str] = {}
        for texts in table.batches(Columns("truth", "id", None, ("checked",))):
            if texts.problems:
                raise ConfigError(f"{name}: {next(iter(texts.problems.values()))[1]}")
            rows = zip(*(column.to_pylist() for column in (texts.ids, texts.texts, texts.passthrough[0])), strict=True)
            truths |= {_as_was(record): _as_was(truth) for record, truth, mark in rows if (mark or "").strip()}
    except RecordError as err:
        raise ConfigError(f"{name}: {err}") from None
    if not truths:
        raise ConfigError(
            f"{name}: no row is checked yet: look at the source of each, put its `truth` right and anything into `checked`"
        )
    return truths


def checked_records(batches: Iterable[Batch], truths: Mapping[str, str], normalise: Normalisation) -> Checked:
    """The input read again: how large its parts are, and what is counted of the checked records.

    Raises ConfigError where a checked record is not in the input, or a part of which too few were checked has more.
    """
    records: Counter[int] = Counter()
    found: list[Drawn] = []
    for batch in batches:
        for record in _without_truth(batch):
            records[record.part] += 1
            if record.id in truths:
                found.append(record)
    lost = set(truths) - {record.id for record in found}
    if lost or len(found) > len(truths):
        wrong = f"{len(lost):,} of its checked records are not here" if lost else "ids occur more than once"
        raise ConfigError(f"sample: the sheet belongs to another input: {wrong}")
    checked = Counter(record.part for record in found)
    few = [PARTS[index] for index, size in records.items() if checked[index] < min(size, _FEWEST)]
    if few:
        raise ConfigError(f"sample: at least {_FEWEST} records of each part must be checked; too few of: {', '.join(few)}")
    present = sorted(records)
    counts = count(
        [record.raw for record in found],
        [record.corrected for record in found],
        [truths[record.id] for record in found],
        normalise,
    )
    shown = [
        Shown(
            record.id,
            record.raw,
            record.corrected,
            truths[record.id],
            {name: int(values[row]) for name, values in counts.items()},
            None,
            PARTS[record.part],
            {},
        )
        for row, record in enumerate(found)
    ]
    return Checked(
        parts=[Part(PARTS[index], records[index], checked[index]) for index in present],
        part_of=np.array([present.index(record.part) for record in found]),
        counts=counts,
        shown=shown,
    )


def _without_truth(batch: Batch) -> Iterable[Drawn]:
    rows = [
        row for row in range(len(batch)) if row not in batch.problems and batch.truth[row] is None and batch.raw[row] is not None
    ]
    raw = [batch.raw[row] for row in rows]
    corrected = [batch.raw[row] if batch.corrected[row] is None else batch.corrected[row] for row in rows]
    changed = distances(raw, corrected)
    told = batch.run_values(["status", "source_uri", "page"])
    for i, row in enumerate(rows):
        share = changed[i] / max(len(raw[i]), len(corrected[i]), 1)
        kept_raw = told[row].get("status") == "kept_raw"
        part = 0 if kept_raw else 1 if not changed[i] else 2 + int(np.searchsorted(_SHARE_ENDS, share))
        yield Drawn(batch.ids[row], part, raw[i], corrected[i], batch.sources[row] or _place(told[row]))


def _place(told: Mapping[str, Any]) -> str:
    page = told.get("page")
    return f"{told.get('source_uri') or ''}{'' if page is None else f', page {page + 1}'}"


def _plain(cell: str) -> str:
    """A cell that a spreadsheet takes for text: texts of strangers may look like formulas."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _as_was(cell: str | None) -> str:
    cell = cell or ""
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell
