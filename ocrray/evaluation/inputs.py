"""Inputs of an evaluation: a finished run, or tables of raw, corrected and true texts, read in batches of bounded size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from ocrray.config import StrictModel
from ocrray.corpus.manifest import require_whole
from ocrray.errors import ConfigError, Problems, RecordError
from ocrray.sources.input import Encoding
from ocrray.sources.rows import Texts, clean, record_ids
from ocrray.sources.streams import TextEncoding
from ocrray.sources.tables import forms as tables
from ocrray.sources.tables.columns import Columns, Table
from ocrray.sources.tables.forms import columns_problem, open_table
from ocrray.sources.tables.parquet_table import is_text
from ocrray.sources.walk import Found, Walk
from ocrray.storage import files
from ocrray.storage.files import FileStat

_RUN_COLUMNS = {
    "id_column": "record_id",
    "raw_column": "raw_text",
    "corrected_column": "corrected_text",
    "ground_truth_column": "ground_truth",
}
GUARD_COLUMNS = ("status", "guard_reason", "edits", "refused_edits", "verdicts")
"""Columns of a run about accepted and refused corrections."""
FIELD_COLUMNS = ("fields",)
"""Column of a run with the fields of documents."""
_MAX_NAMED_FILES = 5  # of those with problems; a corpus has thousands with the same columns
_RUN_EXTRAS = (*GUARD_COLUMNS, *FIELD_COLUMNS, "source_uri", "page")
_ANSWERS = "answers"


class SystemConfig(StrictModel):
    """Outputs of one corrector or reader: give `run` or `paths`; a run's columns are known, those of tables are named here."""

    run: str | None = None
    """Output folder of `ocrray restore`, local, `s3://` or `gs://`; null where `paths` are given."""
    paths: list[str] | None = None
    """Tables (JSON, CSV, TSV, Parquet): files, folders, globs and `@list` files; null where `run` is given."""
    name: str | None = None
    """Name of the system in results; null: the run's path, or the corrected column."""
    id_column: str | None = None
    """Column of record ids; null: file name and row number."""
    raw_column: str | None = None
    """Column of the text before correction; null, or the same as `corrected_column`: answers are scored, not corrections."""
    corrected_column: str | None = None
    """Column of the corrected text, or of the answers: what a reader read, or JSON whose `fields` are scored."""
    ground_truth_column: str | None = None
    """Column of the true text; not needed with `sample`."""
    language_column: str | None = None
    """Column whose values form groups of their own in the results; null: no such groups."""
    source_column: str | None = None
    """The same for a second column, of the records' sources."""
    document_column: str | None = None
    """Column whose equal values mark records of one document; intervals then come from resampling documents, not records."""
    encoding: Encoding = "utf-8"
    """Encoding of JSON, CSV and TSV without a byte order mark."""

    @property
    def label(self) -> str:
        """Name of the system in results."""
        return self.name or self.run or self.column("corrected_column") or ""

    @property
    def locations(self) -> list[str]:
        """Paths and globs of its tables."""
        return [f"{self.run.rstrip('/')}/data/*.parquet"] if self.run else list(self.paths or ())

    def column(self, key: str) -> str | None:
        """Return the column that `key` names, or the one that a run has for it."""
        named: str | None = getattr(self, key)
        return named or (_RUN_COLUMNS.get(key) if self.run else None)

    @property
    def required_columns(self) -> dict[str, str]:
        """Names of the columns that must exist, by config key."""
        keys = [key for key in type(self).model_fields if key.endswith("_column")]
        return {key: column for key in keys if (column := self.column(key))}

    def require_complete(self, *, raw: bool, truth: bool) -> None:
        """Check that `run` or `paths` and the needed columns are set; `raw` and `truth` say which texts are needed.

        Raises: ValueError: when something is missing.
        """
        if bool(self.run) == bool(self.paths):
            raise ValueError("give either run (a folder of `ocrray restore`) or paths (tables)")
        needed = [*(["raw_column"] if raw else []), "corrected_column", *(["ground_truth_column"] if truth else [])]
        if missing := [key for key in needed if not self.column(key)]:
            raise ValueError(f"set {', '.join(missing)}: the columns of the tables")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as lists of equal length; an absent text or value is None."""

    ids: list[str]
    raw: list[str | None]
    """Texts before correction; where answers are scored, the answers."""
    corrected: list[str | None]
    truth: list[str | None]
    problems: dict[int, str]  # by row: why it cannot be read
    languages: list[str | None]
    sources: list[str | None]
    documents: list[str | None]
    run_columns: pa.Table  # GUARD_COLUMNS, FIELD_COLUMNS, source_uri and page, as far as a run has them; else no columns

    def __len__(self) -> int:
        return len(self.ids)

    def run_values(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the columns `names`, as far as the input is a run that has them with a type: one dictionary a record."""
        schema = self.run_columns.schema
        present = [name for name in names if name in schema.names and not pa.types.is_null(schema.field(name).type)]
        return list(self.run_columns.select(present).to_pylist()) if present else [{}] * len(self)


class System:
    """Tables of a `SystemConfig`, located and their columns checked.

    Raises: ConfigError: with one line for each problem found.
    """

    def __init__(self, config: SystemConfig, key: str, *, documents: bool = False) -> None:
        self.config = config
        self._documents = documents
        raw = config.raw_column if documents else config.column("raw_column")  # a run's text is no raw form of its fields
        self.raw_column = None if raw == config.column("corrected_column") else raw
        """Column of the text before correction; None where answers are scored."""
        self._encoding = TextEncoding(config.encoding, f"{key}.encoding")
        self.files = self._locate(key)
        problems = Problems()
        for found in self.files:
            problems.checked(partial(self._check, found, key))
            if len(problems) > _MAX_NAMED_FILES:
                problems[_MAX_NAMED_FILES:] = [f"{key}: more files have problems"]
                break
        problems.raise_if_any()

    @property
    def size_bytes(self) -> int:
        """Total size of the files."""
        return sum(found.stat.size for found in self.files if isinstance(found.stat, FileStat))

    def batches(self, limit: int | None = None) -> Iterator[Batch]:
        """Yield the first `limit` records in the order of the files.

        Raises: ConfigError: when a file is truncated or damaged.
        """
        left = limit
        for found in self.files:
            with files.open_binary(found.location) as file:
                table = open_table(file, found.location.name, self._encoding)
                columns, run_columns = self._columns(table)
                for texts in table.batches(columns):
                    _require_whole(found, texts)
                    batch = _batch(self, found, texts, columns, run_columns, left)
                    yield batch
                    if left is not None:
                        left -= len(batch)
                        if not left:
                            return

    def _locate(self, key: str) -> list[Found]:
        require_whole(self.config.locations, f"{key}.run" if self.config.run else f"{key}.paths")
        try:
            found = [file for batch in Walk(self.config.locations, key).batches(Counter()) for file in batch]
        except ConfigError:
            if not self.config.run:
                raise
            raise ConfigError(
                f"{key}.run: {self.config.run} holds no data/*.parquet: is it the output of a finished run?"
            ) from None
        found = [file for file in found if tables.is_table(file)]
        if not found:
            raise ConfigError(f"{key}.paths: there is no table among these files; {tables.ADVICE}")
        return list({file.location.uri: file for file in found}.values())

    def _check(self, found: Found, key: str) -> None:
        try:
            if isinstance(found.stat, RecordError):
                raise found.stat
            with files.open_binary(found.location) as file:
                table = open_table(file, found.location.name, self._encoding)
        except RecordError as err:
            raise ConfigError(f"{key}: {found.name}: {err}") from None
        schema, required = table.schema, self.config.required_columns
        for name in ("raw_column", "corrected_column", "ground_truth_column"):
            column = self.config.column(name)
            if column in schema.names and not is_text(schema.field(column).type):
                raise ConfigError(f"{found.name}: column {column} holds {schema.field(column).type}, not text")
        labels = {column: f"{column} ({key}.{name})" for name, column in required.items()}
        if problem := columns_problem(table, required.values(), labels):
            raise ConfigError(f"{found.name}: {problem}")

    def _columns(self, table: Table) -> tuple[Columns, list[str]]:
        config = self.config
        extras = (*_RUN_EXTRAS, *([_ANSWERS] if self._documents else []))
        run_columns = [name for name in extras if config.run and name in table.schema.names]
        others = [config.column(key) for key in ("corrected_column", "language_column", "source_column", "document_column")]
        passthrough = tuple(dict.fromkeys([*filter(None, others), *run_columns]))
        truth = config.column("ground_truth_column")
        text = self.raw_column or truth
        if text is None:
            raise ConfigError("neither a raw text nor a ground truth is named")  # excluded by `require_complete`
        return Columns(text, config.column("id_column"), truth, passthrough, optional=frozenset(passthrough)), run_columns


def _require_whole(found: Found, texts: Texts) -> None:
    for kind, message in texts.problems.values():
        if kind == "bad_table":
            raise ConfigError(f"{found.name}: {message}")


def _batch(system: System, found: Found, texts: Texts, columns: Columns, run_columns: list[str], limit: int | None) -> Batch:
    config = system.config
    arrays = dict(zip(columns.passthrough, texts.passthrough, strict=True))
    size = len(texts.texts) if limit is None else min(limit, len(texts.texts))

    def strings(key: str) -> pa.Array:
        name = config.column(key)
        if name is None:
            return pa.nulls(size, pa.string())
        try:
            return arrays[name].slice(0, size).cast(pa.string())
        except pa.ArrowException:
            raise ConfigError(f"{found.name}: column {name} holds {arrays[name].type} that is no text in UTF-8") from None

    corrected: list[str | None] = clean(strings("corrected_column")).to_pylist()
    if _ANSWERS in arrays:  # of a run that read documents: the answer as the model wrote it
        written = arrays[_ANSWERS].slice(0, size).to_pylist()
        corrected = [answers[0] if answers else text for answers, text in zip(written, corrected, strict=True)]
    problems: dict[int, tuple[str, str]] = dict(texts.problems)
    ids = record_ids(found, texts, problems)
    return Batch(
        ids=ids.slice(0, size).to_pylist(),
        raw=clean(texts.texts).slice(0, size).to_pylist() if system.raw_column else [text or "" for text in corrected],
        corrected=corrected,
        truth=[None] * size if texts.ground_truths is None else clean(texts.ground_truths).slice(0, size).to_pylist(),
        problems={row: message for row, (_, message) in problems.items() if row < size},
        languages=strings("language_column").to_pylist(),
        sources=strings("source_column").to_pylist(),
        documents=strings("document_column").to_pylist(),
        run_columns=pa.table({name: arrays[name].slice(0, size) for name in run_columns}),
    )
