"""What is evaluated: a finished run, or a table of raw, corrected and true texts; read in batches of bounded size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ocrray.config import StrictModel
from ocrray.errors import ConfigError, Problems, RecordError
from ocrray.sources import files
from ocrray.sources.input import Encoding
from ocrray.sources.rows import Texts, clean, record_ids
from ocrray.sources.tables import EXTENSIONS, Columns, Table, is_text, open_table
from ocrray.sources.walk import Found, Walk

_RUN_COLUMNS = {
    "id_column": "record_id",
    "raw_column": "raw_text",
    "corrected_column": "corrected_text",
    "ground_truth_column": "ground_truth",
}
REFUSALS = ("status", "guard_reason", "edits", "refused_edits", "verdicts")
"""What a run's files tell of refused corrections."""
FIELDS = ("fields", "field_candidates")
"""What they tell of extracted fields; the candidates are null where nothing was extracted."""
_OF_RUNS = (*REFUSALS, *FIELDS, "source_uri", "page")


class SystemConfig(StrictModel):
    """One corrector's output. Give `run` or `paths`; a run's columns are known, those of tables are named here."""

    run: str | None = None
    """The output folder of `ocrray restore`, local, `s3://` or `gs://`."""
    paths: list[str] | None = None
    """Tables (JSON lines, CSV, TSV, Parquet): files, folders, globs and `@list` files."""
    name: str | None = None
    """What to call it; not given: the run's path, or the corrected column."""
    id_column: str | None = None
    raw_column: str | None = None
    """The text before correction. Where answers hold `fields` it may be left out: every answer is then made from nothing."""
    corrected_column: str | None = None
    ground_truth_column: str | None = None
    language_column: str | None = None
    source_column: str | None = None
    """Figures are given for each value of these two as well."""
    document_column: str | None = None
    """Records with the same value belong together: intervals then come from drawing documents, not records."""
    encoding: Encoding = "utf-8"

    @property
    def called(self) -> str:
        """Its name for readers."""
        return self.name or self.run or self.column("corrected_column") or ""

    @property
    def locations(self) -> list[str]:
        """Where its tables are."""
        return [f"{self.run.rstrip('/')}/data/*.parquet"] if self.run else list(self.paths or ())

    def column(self, key: str) -> str | None:
        """The column that `key` names, or the one that a run has for it."""
        return getattr(self, key) or (_RUN_COLUMNS.get(key) if self.run else None)

    @property
    def named(self) -> dict[str, str]:
        """Every column that must be there, by its key."""
        keys = [key for key in type(self).model_fields if key.endswith("_column")]
        return {key: column for key in keys if (column := self.column(key))}

    def require_complete(self, *, raw: bool, truth: bool) -> None:
        """Raise ValueError unless it says what to read, with `raw` and `truth` the raw text and the ground truth as well."""
        if bool(self.run) == bool(self.paths):
            raise ValueError("give either run (a folder of `ocrray restore`) or paths (tables)")
        needed = [*(["raw_column"] if raw else []), "corrected_column", *(["ground_truth_column"] if truth else [])]
        if missing := [key for key in needed if not self.column(key)]:
            raise ValueError(f"set {', '.join(missing)}: the columns of the tables")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as lists of equal length; an absent text, value or column is None."""

    ids: list[str]
    raw: list[str | None]
    corrected: list[str | None]
    truth: list[str | None]
    problems: dict[int, str]  # by position: why a row cannot be read
    languages: list[str | None]
    sources: list[str | None]
    documents: list[str | None]
    of_run: pa.Table  # `REFUSALS` and the place in the source, so far as a run's files have them; no columns for other tables

    def __len__(self) -> int:
        return len(self.ids)

    def run_values(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """These of the columns `of_run`, as far as there are any, one dictionary a record."""
        there = [name for name in names if name in self.of_run.column_names]
        return self.of_run.select(there).to_pylist() if there else [{}] * len(self)


class System:
    """The tables of a `SystemConfig`, found and their columns checked; raises ConfigError with a line for each problem."""

    def __init__(self, config: SystemConfig, key: str) -> None:
        self.config = config
        self.files = self._found(key)
        problems = Problems()
        for found in self.files:
            problems.checked(lambda found=found: self._check(found, key))
        problems.raise_if_any()

    @property
    def size_bytes(self) -> int:
        """All its files together."""
        return sum(found.stat.size for found in self.files)

    def batches(self, limit: int | None = None) -> Iterator[Batch]:
        """The first `limit` records in the order of the files; raises ConfigError where a file breaks off."""
        left = limit
        for found in self.files:
            with files.open_binary(found.location) as file:
                table = open_table(file, found.location.name, self.config.encoding)
                columns, of_run = self._columns(table)
                for texts in table.batches(columns):
                    _require_whole(found, texts)
                    batch = _batch(self.config, found, texts, columns, of_run, left)
                    yield batch
                    if left is not None:
                        left -= len(batch)
                        if not left:
                            return

    def _found(self, key: str) -> list[Found]:
        try:
            found = [file for batch in Walk(self.config.locations, key).batches(Counter()) for file in batch]
        except ConfigError:
            if not self.config.run:
                raise
            raise ConfigError(
                f"{key}.run: {self.config.run} holds no data/*.parquet: is it the output of a finished run?"
            ) from None
        tables = [file for file in found if file.location.name.lower().endswith(EXTENSIONS)]
        if not tables:
            raise ConfigError(f"{key}.paths: there is no table ({', '.join(EXTENSIONS)}) among these files")
        return list({file.location.uri: file for file in tables}.values())

    def _check(self, found: Found, key: str) -> None:
        try:
            if isinstance(found.stat, RecordError):
                raise found.stat
            with files.open_binary(found.location) as file:
                schema = open_table(file, found.location.name, self.config.encoding).schema
        except RecordError as err:
            raise ConfigError(f"{key}: {err}") from None
        missing = {name: column for name, column in self.config.named.items() if column not in schema.names}
        for name in ("raw_column", "corrected_column", "ground_truth_column"):
            column = self.config.column(name)
            if column in schema.names and not is_text(schema.field(column).type):
                raise ConfigError(f"{found.name}: column {column} holds {schema.field(column).type}, not text")
        if missing:
            told = ", ".join(f"{column} ({key}.{name})" for name, column in missing.items())
            raise ConfigError(f"{found.name}: no column {told}; the columns are {', '.join(schema.names)}")

    def _columns(self, table: Table) -> tuple[Columns, list[str]]:
        config = self.config
        of_run = [name for name in _OF_RUNS if config.run and name in table.schema.names]
        others = [config.column(key) for key in ("corrected_column", "language_column", "source_column", "document_column")]
        passthrough = tuple(dict.fromkeys([*filter(None, others), *of_run]))
        truth = config.column("ground_truth_column")
        columns = Columns(config.column("raw_column") or truth, config.column("id_column"), truth, passthrough)
        return columns, of_run


def _require_whole(found: Found, texts: Texts) -> None:
    for kind, message in texts.problems.values():
        if kind == "bad_table":
            raise ConfigError(f"{found.name}: {message}")


def _batch(config: SystemConfig, found: Found, texts: Texts, columns: Columns, of_run: list[str], limit: int | None) -> Batch:
    arrays = dict(zip(columns.passthrough, texts.passthrough, strict=True))
    size = len(texts.texts) if limit is None else min(limit, len(texts.texts))

    def strings(key: str) -> pa.Array:
        name = config.column(key)
        try:
            return arrays[name].slice(0, size).cast(pa.string()) if name else pa.nulls(size, pa.string())
        except pa.ArrowException:
            raise ConfigError(f"{found.name}: column {name} holds {arrays[name].type} that is no text in UTF-8") from None

    problems: dict[int, tuple[str, str]] = dict(texts.problems)
    ids = record_ids(found, texts, problems)
    return Batch(
        ids=ids.slice(0, size).to_pylist(),
        raw=clean(texts.texts).slice(0, size).to_pylist() if config.column("raw_column") else [""] * size,
        corrected=clean(strings("corrected_column")).to_pylist(),
        truth=[None] * size if texts.ground_truths is None else clean(texts.ground_truths).slice(0, size).to_pylist(),
        problems={row: message for row, (_, message) in problems.items() if row < size},
        languages=strings("language_column").to_pylist(),
        sources=strings("source_column").to_pylist(),
        documents=strings("document_column").to_pylist(),
        of_run=pa.table({name: arrays[name].slice(0, size) for name in of_run}),
    )
