"""Preparation of samples: data files are read, encoded and written by Ray Data before any training worker starts.

    file names -> Read -> Encode, write_parquet(prepared/train, prepared/validation)
                (tasks)   (tasks)

Held-out rows, surveyed rows and the order of samples are functions of the rows alone, not of the number of workers.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import Dataset

from ocrray.config import fingerprint
from ocrray.errors import EngineError
from ocrray.runtime import blocks, cluster
from ocrray.sources.walk import Found
from ocrray.training import data, prepared
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.data import Reader
from ocrray.training.fingerprints import sample_settings
from ocrray.training.prepared import Prepared
from ocrray.training.samples import ARROW_TYPES, SAMPLES, Facts
from ocrray.training.tasks.base import Task

_SURVEY_ROWS = 20_000
_BLOCK_BYTES = 8 << 20  # of rows, and five times as many of samples; Ray's default of 128 MiB would leave most cores idle
_READING_CPUS = 0.5  # unlike encoding: else Ray would fuse both into one task, and a single file would keep one core busy


def prepare(config: TrainConfig, folder: Path, limit: int | None) -> Prepared:
    """Write the samples of `config.data` into `folder`, unless they are there already; `limit`: of the first rows only.

    Raises:
        ConfigError: when files or columns are missing, or too many rows give no sample.
        EngineError: when Ray fails.
    """
    task = open_task(config)
    files = data.find_files(config.data, task.layout())
    wanted = fingerprint(sample_settings(config, files, limit))
    if (earlier := prepared.read_prepared(folder)) and earlier.fingerprint == wanted:
        return earlier
    shutil.rmtree(folder, ignore_errors=True)
    blocks.silence_ray_data()
    try:
        facts = task.survey(lambda: _survey(_rows(config, task, files, "train", limit), task, config.seed))
        for part in prepared.PARTS:
            samples = _map_blocks(_rows(config, task, files, part, limit), Encode(config, facts))
            samples.write_parquet(str(folder / part))
    except ray.exceptions.RayError as error:
        raise EngineError(f"samples cannot be prepared: {cluster.last_line(error)}") from None
    summaries = [prepared.summarise(folder, part) for part in prepared.PARTS]
    prepared.require_enough(summaries, config.data.max_dropped_frac)
    result = Prepared(wanted, facts, [summary for summary, _ in summaries])
    result.write(folder)
    return result


def _map_blocks(dataset: Dataset, function: Callable[[pa.Table], pa.Table | Iterator[pa.Table]], **resources: float) -> Dataset:
    """Apply `function` to whole blocks, as pyarrow tables."""
    mapped: Dataset = dataset.map_batches(
        function,
        batch_format="pyarrow",
        batch_size=None,
        zero_copy_batch=True,
        num_cpus=resources.get("num_cpus"),
    )
    return mapped


def _rows(config: TrainConfig, task: Task, files: Mapping[str, Sequence[Found]], part: str, limit: int | None) -> Dataset:
    """Read the rows of one part, in blocks of successive rows of one file or of successive files."""
    is_split = not files["validation"]
    found = files["train" if is_split else part]
    names = [{"uri": file.location.uri, "number": number} for number, file in enumerate(found)]
    split = Split(_names(task), config.data.validation_frac, config.seed, part) if is_split else None
    read = Read(Reader(task.layout(), config.data.group_column), split, limit)
    listed = ray.data.from_items(names, override_num_blocks=1 if limit else min(len(names), 1_000))
    listed.context.target_max_block_size = _BLOCK_BYTES
    return _map_blocks(listed, read, num_cpus=_READING_CPUS)


def _names(task: Task) -> tuple[str, ...]:
    return tuple(column.name for column in task.columns())


@dataclass(frozen=True)
class Split:
    """Filter for the rows of one part of the training files; about `validation_frac` of rows or groups are for validation."""

    columns: Sequence[str]
    validation_frac: float
    seed: int
    part: str

    def __call__(self, rows: pa.Table) -> pa.Table:
        held_out = data.draws(rows, self.columns, f"held out {self.seed}", by_group=True) < self.validation_frac
        return rows.filter(pa.array(held_out == (self.part == "validation")))


@dataclass(frozen=True)
class Read:
    """Reader of the files that a block names; stops after `limit` rows, counted before the split."""

    reader: Reader
    split: Split | None
    limit: int | None

    def __call__(self, names: pa.Table) -> Iterator[pa.Table]:
        remaining = self.limit
        for name in names.to_pylist():
            for rows in self.reader.read(name["uri"], name["number"]):
                taken = rows if remaining is None else rows.slice(0, remaining)
                yield self.split(taken) if self.split else taken
                remaining = None if remaining is None else remaining - len(taken)
                if remaining == 0:
                    return


class Encode:
    """Encoder of rows; a row with a problem becomes a dropped sample."""

    def __init__(self, config: TrainConfig, facts: Facts) -> None:
        self.config = config
        self.facts = facts

    def __call__(self, rows: pa.Table) -> Iterator[pa.Table]:
        count = _cached_task(self.config.model_dump_json()).rows_per_call
        for start in range(0, len(rows), count):
            yield self._encode(rows.slice(start, count))

    def _encode(self, rows: pa.Table) -> pa.Table:
        readable = pc.is_null(rows["problem"])
        good, bad = rows.filter(readable), rows.filter(pc.invert(readable))
        samples = _cached_task(self.config.model_dump_json()).encode(good, self.facts)
        samples = samples.set_column(SAMPLES.get_field_index("row"), "row", good["row"].take(samples["row"]))
        blank = {field.name: pa.nulls(len(bad), field.type) for field in SAMPLES}
        dropped = pa.table({**blank, "dropped": bad["problem"], "row": bad["row"]}, schema=SAMPLES)
        return pa.concat_tables([samples, dropped])


@lru_cache(maxsize=1)
def _cached_task(config: str) -> Task:
    """Open the task once a process: it holds the tokenizer."""
    return open_task(TrainConfig.model_validate_json(config))


def _survey(rows: Dataset, task: Task, seed: int) -> pa.Table:
    """Read up to _SURVEY_ROWS rows without a problem, a random sample of the data."""

    def choose(table: pa.Table) -> pa.Table:
        readable = table.filter(pc.is_null(table["problem"]))
        drawn = data.draws(readable, _names(task), f"surveyed {seed}")
        return readable.take(np.sort(np.argsort(drawn, kind="stable")[:_SURVEY_ROWS]))

    chosen: pa.Table | None = None
    for table in _map_blocks(rows, choose).iter_batches(batch_size=None, batch_format="pyarrow"):
        chosen = choose(table if chosen is None else pa.concat_tables([chosen, table]))
    empty = {column.name: pa.array([], ARROW_TYPES[column.kind]) for column in task.columns()}
    return pa.table(empty) if chosen is None else chosen
