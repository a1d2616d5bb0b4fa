"""The folder of samples that a run trains on: what is in it, whether it is still good, and reading it in one order for ever."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.errors import Problems
from ocrray.training.config import TrainConfig
from ocrray.training.data import BREAKS_OFF
from ocrray.training.history import DataPart
from ocrray.training.packing import Packed
from ocrray.training.tasks import SAMPLES, Facts

PARTS = ("train", "validation")
_SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Samples that are complete: the facts they were made with, and what each part holds."""

    fingerprint: str
    facts: Facts
    parts: Sequence[DataPart]

    def write(self, folder: Path) -> None:
        """Write it into `folder`; its presence says that all samples are there."""
        temporary = folder / f".{_SUMMARY}"
        temporary.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        temporary.rename(folder / _SUMMARY)


def read_prepared(folder: Path) -> Prepared | None:
    """What an earlier run prepared; None where it did not come to the end."""
    try:
        tree = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
        return Prepared(tree["fingerprint"], tree["facts"], [DataPart(**part) for part in tree["parts"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summarise(folder: Path, part: str) -> tuple[DataPart, float]:
    """What one part holds, and the share of its rows that was dropped, where a piece of a row counts as that part of it."""
    table = _read_columns(folder / part, ["row", "dropped", "length"])
    _, row, samples_of_row = np.unique(table["row"].to_numpy(), return_inverse=True, return_counts=True)
    is_dropped = pc.is_valid(table["dropped"]).to_numpy()
    lost = float((is_dropped / samples_of_row[row]).sum() / max(1, len(samples_of_row)))
    reasons = Counter(table["dropped"].drop_null().to_pylist())
    tokens = pc.sum(table["length"]).as_py() or 0
    kept = len(table) - int(is_dropped.sum())
    return DataPart(part, len(samples_of_row), kept, tokens, dict(reasons.most_common())), lost


def require_enough(parts: Sequence[tuple[DataPart, float]], max_dropped_frac: float) -> None:
    """Raise ConfigError where a part is empty, a file of it breaks off, or too much of it was dropped, with all reasons."""
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


def read_samples(config: TrainConfig, folder: Path, part: str, cache: Path) -> Any:
    """The samples of a part in the order of the rows they were made of: a memory-mapped `datasets.Dataset`, or Packed rows of it.

    The mapped file is put into `cache`.
    """
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    order, lengths = _order(folder / part)
    mapped = Dataset.from_parquet([str(file) for file in _files(folder / part)], cache_dir=str(cache))
    samples = mapped.select_columns(["input_ids", "labels", "length"]).with_format("numpy").select(order)
    if part == "train" and config.data.grouping == "packed":
        return Packed(samples, lengths, config.data.max_length_tokens)
    return samples


def read_part(folder: Path, part: str) -> pa.Table:
    """SAMPLES of a part, all of them, in the order of the rows they were made of."""
    return _read_columns(folder / part).take(_order(folder / part)[0])


def _order(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all samples among the rows of the files, and their lengths: whoever wrote the files, in whatever order."""
    keys = _read_columns(folder, ["row", "dropped", "length"])
    order = np.argsort(keys["row"].to_numpy(), kind="stable")
    order = order[pc.is_null(keys["dropped"]).to_numpy()[order]]
    return order, keys["length"].take(order).to_numpy()


def _read_columns(folder: Path, columns: list[str] | None = None) -> pa.Table:
    found = [pq.read_table(file, columns=columns, partitioning=None) for file in _files(folder)]
    return pa.concat_tables(found or [SAMPLES.empty_table().select(columns or SAMPLES.names)])


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))
