"""Prepared samples on disk: summary, checks, and reading in the order of the rows."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.errors import Problems
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.data import BREAKS_OFF
from ocrray.training.history import DataPart
from ocrray.training.packing import Packed, SampleData
from ocrray.training.samples import SAMPLES, Facts

PARTS = ("train", "validation")
_SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Complete samples of a run."""

    fingerprint: str
    """Of everything that the samples depend on."""
    facts: Facts
    """With which the rows were encoded."""
    parts: Sequence[DataPart]
    """Training and validation data."""

    def write(self, folder: Path) -> None:
        """Write the summary into `folder`, last of all: its presence means that the samples are complete."""
        temporary = folder / f".{_SUMMARY}"
        temporary.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        temporary.rename(folder / _SUMMARY)


def read_prepared(folder: Path) -> Prepared | None:
    """Return the summary of samples prepared earlier; None when they are not complete."""
    try:
        tree = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
        return Prepared(tree["fingerprint"], tree["facts"], [DataPart(**part) for part in tree["parts"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summarise(folder: Path, part: str) -> tuple[DataPart, float]:
    """Return counts of one part and the share of its rows that was dropped, 0..1; a piece counts as its fraction of the row."""
    table = _read_columns(folder / part, ["row", "dropped", "length"])
    _, row, samples_of_row = np.unique(table["row"].to_numpy(), return_inverse=True, return_counts=True)
    is_dropped = pc.is_valid(table["dropped"]).to_numpy()
    lost = float((is_dropped / samples_of_row[row]).sum() / max(1, len(samples_of_row)))
    reasons = Counter(table["dropped"].drop_null().to_pylist())
    tokens = pc.sum(table["length"]).as_py() or 0
    kept = len(table) - int(is_dropped.sum())
    return DataPart(part, len(samples_of_row), kept, tokens, dict(reasons.most_common())), lost


def require_enough(parts: Sequence[tuple[DataPart, float]], max_dropped_frac: float) -> None:
    """Check every part with its dropped share.

    Raises:
        ConfigError: when a part is empty, a file of it is truncated, or too much of it was dropped; with all reasons.
    """
    problems = Problems()
    for part, lost in parts:
        if broken := [kind for kind in part.dropped if kind in BREAKS_OFF]:
            problems.append(f"data.{part.name}: a file breaks off ({', '.join(broken)}); mend it or leave it out")
        if lost > max_dropped_frac:
            problems.append(f"data.max_dropped_frac: {lost:.1%} of {part.rows:,} {part.name} rows would be dropped:")
            problems += [f"  {count:>9,}  {reason}" for reason, count in part.dropped.items()]
        elif not part.samples:
            hint = "; give a file in data.validation, or raise data.validation_frac" if part.name == "validation" else ""
            problems.append(f"data.{part.name}: not one of {part.rows:,} rows gives a sample{hint}")
    problems.raise_if_any()


def read_samples(config: TrainConfig, folder: Path, part: str, cache: Path) -> SampleData:
    """Open the samples of a part in the order of their rows: a `datasets.Dataset` memory-mapped in `cache`, or Packed ones.

    Columns are `input_ids`, `labels`, `length` and, where the task reads images, `images` (not decoded) and `source`.
    """
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    order, lengths = _order(folder / part)
    mapped = Dataset.from_parquet([str(file) for file in _files(folder / part)], cache_dir=str(cache))
    has_images = any(column.kind == "image" for column in open_task(config).columns())
    columns = ["input_ids", "labels", "length", *(["images", "source"] if has_images else [])]
    samples: SampleData = mapped.select_columns(columns).with_format("numpy").select(order)
    if part == "train" and config.data.grouping == "packed":
        return Packed(samples, lengths.tolist(), config.data.max_length_tokens)
    return samples


def read_part(folder: Path, part: str) -> pa.Table:
    """Read all SAMPLES of a part, without the dropped ones, in the order of their rows."""
    return _read_columns(folder / part).take(_order(folder / part)[0])


def _order(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in the files of all samples, sorted by row, and their lengths in tokens; file names have no order."""
    keys = _read_columns(folder, ["row", "dropped", "length"])
    order = np.argsort(keys["row"].to_numpy(), kind="stable")
    order = order[pc.is_null(keys["dropped"]).to_numpy()[order]]
    return order, keys["length"].take(order).to_numpy()


def _read_columns(folder: Path, columns: list[str] | None = None) -> pa.Table:
    found = [pq.read_table(file, columns=columns, partitioning=None) for file in _files(folder)]
    return pa.concat_tables(found or [SAMPLES.empty_table().select(columns or SAMPLES.names)])


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))
