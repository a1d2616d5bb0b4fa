"""From data files to samples: read, encoded and written by Ray Data, before any training worker starts.

    file names -> Read -> Encode, write_parquet(prepared/train, prepared/validation)
                (tasks)   (tasks)

Which rows are held out, which are surveyed, and in which order samples are trained on follows from the rows alone, not from
how many workers there are.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import Dataset

from ocrray import __version__
from ocrray.config import fingerprint
from ocrray.errors import EngineError
from ocrray.runtime import blocks, cluster
from ocrray.sources.walk import Found
from ocrray.training import data, prepared
from ocrray.training.config import TrainConfig
from ocrray.training.data import Reader
from ocrray.training.prepared import Prepared
from ocrray.training.tasks import SAMPLES, Facts, Task, open_task

_SURVEY_ROWS = 20_000
_ROWS_AT_ONCE = 500
_BLOCK_BYTES = 8 << 20  # of texts, and five times as many of samples; Ray's own 128 MiB would leave most cores idle
_READING_CPUS = 0.5  # not what encoding takes: else Ray would make both one task, and a single file would keep one core busy


def prepare(config: TrainConfig, folder: Path, limit: int | None) -> Prepared:
    """Write the samples of `config.data` into `folder`, unless they lie there already.

    Raises ConfigError where files or columns are missing, or too many rows give no sample; EngineError where Ray gives up.
    """
    task = open_task(config)
    files = data.find_files(config.data, task.columns())
    mark = _fingerprint(config, files, limit)
    if (known := prepared.read_prepared(folder)) and known.fingerprint == mark:
        return known
    shutil.rmtree(folder, ignore_errors=True)
    blocks.quieten()
    try:
        facts = task.survey(lambda: _survey(_rows(config, task, files, "train", limit), task, config.seed))
        for part in prepared.PARTS:
            samples = _rows(config, task, files, part, limit).map_batches(Encode(config, facts), **_WHOLE_BLOCKS)
            samples.write_parquet(str(folder / part))
    except ray.exceptions.RayError as error:
        raise EngineError(f"samples cannot be prepared: {cluster.last_line(error)}") from None
    summaries = [prepared.summarise(folder, part) for part in prepared.PARTS]
    prepared.require_enough(summaries, config.data.max_dropped_frac)
    result = Prepared(mark, facts, [summary for summary, _ in summaries])
    result.write(folder)
    return result


def _fingerprint(config: TrainConfig, files: dict[str, list[Found]], limit: int | None) -> str:
    """Whatever the samples depend on; a local tokenizer, or the labels of a local model, may change behind their name."""
    model = config.model.model_dump(mode="json")
    named = [Path(name) for name in (config.model.tokenizer, config.model.name) if name]
    described_by = sorted(file for folder in named for pattern in ("*token*", "config.json") for file in folder.glob(pattern))
    return fingerprint(
        {
            "ocrray": __version__,
            "task": config.task.model_dump(mode="json"),
            "data": config.data.model_dump(mode="json", exclude={"grouping"}),
            "model": model,
            "method": config.method.kind,
            "described_by": [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in described_by],
            "seed": config.seed,
            "limit": limit,
            "files": {part: [f"{file.location.uri} {file.stat.etag}" for file in found] for part, found in files.items()},
        }
    )


_WHOLE_BLOCKS = {"batch_format": "pyarrow", "batch_size": None, "zero_copy_batch": True}


def _rows(config: TrainConfig, task: Task, files: dict[str, list[Found]], part: str, limit: int | None) -> Dataset:
    """The rows of one part, in blocks of successive rows of one file or of successive files."""
    is_split = not files["validation"]
    found = files["train" if is_split else part]
    names = [{"uri": file.location.uri, "number": number} for number, file in enumerate(found)]
    split = Split(tuple(task.columns()), config.data.validation_frac, config.seed, part) if is_split else None
    read = Read(Reader(task.columns(), config.data.group_column), split, limit)
    listed = ray.data.from_items(names, override_num_blocks=1 if limit else min(len(names), 1_000))
    listed.context.target_max_block_size = _BLOCK_BYTES
    return listed.map_batches(read, num_cpus=_READING_CPUS, **_WHOLE_BLOCKS)


@dataclass(frozen=True)
class Split:
    """Which rows of the training files belong to a part: about `validation_frac` of them, or of their groups, are held out."""

    columns: Sequence[str]
    validation_frac: float
    seed: int
    part: str

    def __call__(self, rows: pa.Table) -> pa.Table:
        held_out = data.draws(rows, self.columns, f"held out {self.seed}", by_group=True) < self.validation_frac
        return rows.filter(pa.array(held_out == (self.part == "validation")))


@dataclass(frozen=True)
class Read:
    """The rows of the files that a block names; only the first `limit` of them, before any is held out."""

    reader: Reader
    split: Split | None
    limit: int | None

    def __call__(self, names: pa.Table) -> Iterator[pa.Table]:
        left = self.limit
        for name in names.to_pylist():
            for rows in self.reader.read(name["uri"], name["number"]):
                taken = rows if left is None else rows.slice(0, left)
                yield self.split(taken) if self.split else taken
                left = None if left is None else left - len(taken)
                if left == 0:
                    return


class Encode:
    """Samples of every row, and for a row that cannot be read one that is dropped for that."""

    def __init__(self, config: TrainConfig, facts: Facts) -> None:
        self.config = config
        self.facts = facts

    def __call__(self, rows: pa.Table) -> Iterator[pa.Table]:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield self._encode(rows.slice(start, _ROWS_AT_ONCE))

    def _encode(self, rows: pa.Table) -> pa.Table:
        readable = pc.is_null(rows["problem"])
        good, bad = rows.filter(readable), rows.filter(pc.invert(readable))
        samples = _known_task(self.config.model_dump_json()).encode(good, self.facts)
        samples = samples.set_column(SAMPLES.get_field_index("row"), "row", good["row"].take(samples["row"]))
        blank = {field.name: pa.nulls(len(bad), field.type) for field in SAMPLES}
        dropped = pa.table({**blank, "dropped": bad["problem"], "row": bad["row"]}, schema=SAMPLES)
        return pa.concat_tables([samples, dropped])


@lru_cache(maxsize=1)
def _known_task(config: str) -> Task:
    """The task of a process, for all blocks that come to it: it holds the tokenizer."""
    return open_task(TrainConfig.model_validate_json(config))


def _survey(rows: Dataset, task: Task, seed: int) -> pa.Table:
    """Some thousand readable rows from all over the data."""

    def choose(table: pa.Table) -> pa.Table:
        readable = table.filter(pc.is_null(table["problem"]))
        drawn = data.draws(readable, tuple(task.columns()), f"surveyed {seed}")
        return readable.take(np.sort(np.argsort(drawn, kind="stable")[:_SURVEY_ROWS]))

    chosen: pa.Table | None = None
    for table in rows.map_batches(choose, **_WHOLE_BLOCKS).iter_batches(batch_size=None, batch_format="pyarrow"):
        chosen = choose(table if chosen is None else pa.concat_tables([chosen, table]))
    return pa.table({name: pa.array([], pa.string()) for name in task.columns()}) if chosen is None else chosen
