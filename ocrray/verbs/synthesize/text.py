"""Text that `synthesize` reads: clean text cut into passages, the work lists made of them, and the user's own pairs."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from ocrray.config import StrictModel
from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import walk_input
from ocrray.sources.worklist import list_records
from ocrray.storage import Location
from ocrray.synth.clean import Passage, passages
from ocrray.synth.config import FitConfig

WORK_SCHEMA = pa.schema([("record_id", pa.string()), ("text", pa.string()), ("source", pa.string())])
IMAGE_WORK_SCHEMA = pa.schema([*WORK_SCHEMA, ("part", pa.string())])
PAIR_PHASES = ("pages", "noise", "corrupt")
IMAGE_PHASES = ("lines", "documents")
PHASES = (*PAIR_PHASES, *IMAGE_PHASES)
_ID_PREFIXES = {"pages": "page", "noise": "noise", "corrupt": "model", "lines": "line", "documents": "document"}
_PART_ROWS = 8192
_ROUNDING = 1e-9
_MAX_TEXT_CHARS = 1 << 26  # a row may hold a whole book


class CleanTextConfig(StrictModel):
    """Clean text to make pairs from: files, folders, globs and `@list` files of plain text and tables, compressed or not."""

    paths: list[str] = Field(min_length=1)
    """Files, folders, globs and `@list` files (one path a line), local or `s3://`, `gs://`."""
    text_column: str | None = None
    """Column of tables that holds the text; null: `text` or `ocr`, where a table has one of the two."""


class CleanText:
    """Passages of an input; `files` and `unusable` are counted while they are read, so read them once."""

    def __init__(self, config: CleanTextConfig, min_chars: int) -> None:
        self.config, self.min_chars = config, min_chars
        self.files = 0
        self.unusable: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    def __iter__(self) -> Iterator[Passage]:
        """Yield the passages.

        Raises: ConfigError: with one line for each path that matches nothing; when a table lacks a column.
        """
        return passages(self._texts(), self.min_chars)

    @property
    def digest(self) -> str:
        """Digest of the files read so far; changes when any of them does."""
        return self._digest.hexdigest()

    def _texts(self) -> Iterator[tuple[str, str]]:
        last_uri = ""
        for table in list_records(_clean_input(self.config), images=False):
            columns = ("record_id", "uri", "size", "etag", "text", "kind", "error_kind")
            for record_id, uri, size, etag, text, kind, error_kind in zip(
                *(table[name].to_pylist() for name in columns), strict=True
            ):
                if uri != last_uri:
                    self.files += 1
                    self._digest.update(f"{uri}\0{size}\0{etag}\n".encode())
                    last_uri = uri
                if text is None:
                    self.unusable[error_kind or kind] += 1
                else:
                    yield record_id, text


def write_work_lists(folder: Location, counts: Mapping[str, int], seed: int, passage_count: int, text: CleanText) -> None:
    """Write the passages that pairs are made of to `<folder>/_work_list/<phase>`, in the order of the input.

    `counts` is the number of pairs of each phase, `passage_count` that of the passages in `text`. Each passage is used equally
    often, as nearly as the count allows; the seed draws those that are used once more.
    """
    for phase, count in counts.items():
        rows = _work_rows(_uses(text, phase, count, seed, passage_count), phase)
        _write_work_list(folder.child("_work_list").child(phase), rows, count, WORK_SCHEMA)


def write_image_work_list(
    folder: Location, phase: str, count: int, validation_frac: float, seed: int, passage_count: int, text: CleanText | None
) -> None:
    """Write the passages of a set of images as `write_work_lists` does, each passage (without `text`, each image) in one part.

    Without `text` the passages are empty.
    """
    uses = _uses(text, phase, count, seed, passage_count) if text else ((Passage("", ""), 1) for _ in range(count))
    rows = _work_rows(uses, phase, validation_frac)
    _write_work_list(folder.child("_work_list").child(phase), rows, count, IMAGE_WORK_SCHEMA)


def fit_pairs(config: FitConfig) -> Iterator[tuple[str, str]]:
    """Yield the user's own (clean, read) pairs without rows that lack one of the two.

    Raises: ConfigError: when the input cannot be read.
    """
    for table in list_records(_fit_input(config), images=False):
        for truth, read in zip(table["ground_truth"].to_pylist(), table["text"].to_pylist(), strict=True):
            if truth and read:
                yield truth, read


def fit_digest(config: FitConfig, section: str) -> str:
    """Return a digest that changes when any of the user's own pairs does.

    Raises: ConfigError: when the input cannot be read.
    """
    return walk_input(_fit_input(config), images=False, section=section).digest


def _write_work_list(work_list: Location, rows: Iterator[dict[str, str]], count: int, schema: pa.Schema) -> None:
    work_list.filesystem.create_dir(work_list.path)
    work_list.filesystem.delete_dir_contents(work_list.path)  # left by a run that was killed while listing
    for number in range(-(-count // _PART_ROWS)):
        part = pa.Table.from_pylist(list(islice(rows, _PART_ROWS)), schema=schema)
        path = f"{work_list.path}/part-{number:05d}.parquet"
        pq.write_table(part, path, filesystem=work_list.filesystem, row_group_size=512)


def _uses(text: CleanText, phase: str, count: int, seed: int, passage_count: int) -> Iterator[tuple[Passage, int]]:
    """Yield each passage that is used, with how many times."""
    rng = np.random.default_rng([seed, PHASES.index(phase)])
    uses = np.full(passage_count, count // passage_count)
    uses[rng.choice(passage_count, count % passage_count, replace=False)] += 1
    for passage, times in zip(text, uses.tolist(), strict=True):
        if times:
            yield passage, times


def _work_rows(uses: Iterable[tuple[Passage, int]], phase: str, validation_frac: float = 0) -> Iterator[dict[str, str]]:
    number = 0
    for place, (passage, times) in enumerate(uses):
        held_out = int((place + 1) * validation_frac + _ROUNDING) > int(place * validation_frac + _ROUNDING)
        for _ in range(times):
            record_id = f"{_ID_PREFIXES[phase]}-{number:09d}"
            part = "validation" if held_out else "train"
            yield {"record_id": record_id, "text": passage.text, "source": passage.source, "part": part}
            number += 1


class _CleanInput(InputConfig):
    KEYS: ClassVar = {"text_column": "input.text_column"}


class _FitInput(InputConfig):
    KEYS: ClassVar = {
        "paths": "noise.fit.paths",
        "text_column": "noise.fit.ocr_column",
        "ground_truth_column": "noise.fit.gt_column",
    }


def _clean_input(config: CleanTextConfig) -> InputConfig:
    return _CleanInput(paths=config.paths, text_column=config.text_column, text_unit="paragraph", max_text_chars=_MAX_TEXT_CHARS)


def _fit_input(config: FitConfig) -> InputConfig:
    return _FitInput(
        paths=config.paths,
        kind="table",
        text_column=config.ocr_column,
        ground_truth_column=config.gt_column,
        max_text_chars=_MAX_TEXT_CHARS,
    )
