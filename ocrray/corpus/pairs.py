"""Training pairs of OCR text and ground truth: their schema, and the merge of workers' files into few, ordered Parquet files."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.batch import Integers
from ocrray.corpus.manifest import DataFile
from ocrray.corpus.summary import BIN_ENDS
from ocrray.records import Column
from ocrray.storage import Location

SCHEMA_VERSION = 2

COLUMNS = (
    Column("record_id", pa.string(), "unique: `page-`, `noise-` or `model-` and a number"),
    Column(
        "kind",
        pa.string(),
        "`page`: rendered, degraded and recognized; `noise`: from the noise model; `clean`: no errors; `model`: from a model",
    ),
    Column("ocr", pa.string(), "text with errors"),
    Column("gt", pa.string(), "ground truth: the text without errors"),
    Column("cer", pa.float32(), "wrong characters per character of `gt`, after NFC and with white space collapsed"),
    Column("severity", pa.float32(), "severity of the page's degradation, 0..1; null for other kinds"),
    Column("font", pa.string(), "font of the page; null for other kinds"),
    Column(
        "word_confidences", pa.list_(pa.float32()), "recognizer's confidence in each word of `ocr`, 0..1; null for other kinds"
    ),
    Column("image", pa.string(), "path of the scan, relative to this folder; null if none was kept"),
    Column("seed", pa.int64(), "seed of this pair's random numbers"),
    Column("source", pa.string(), "origin of `gt`: the input file, and the record in it"),
)
"""Columns of the pairs in their order."""

SCHEMA = pa.schema(
    [(column.name, column.type) for column in COLUMNS], metadata={"ocrray_pairs_schema_version": str(SCHEMA_VERSION)}
)

_DROPPED = [("drop_reason", pa.string()), ("drop_message", pa.string())]
_TOKENS = [("input_tokens", pa.int32()), ("output_tokens", pa.int32())]
MADE_SCHEMA = pa.schema([*SCHEMA, *_DROPPED, *_TOKENS], metadata=SCHEMA.metadata)
"""Rows as workers write them, one for every requested pair; one with a `drop_reason` has a message instead of texts. Tokens are
those that a language model read and wrote."""

_FILE_ROWS = 50_000
_GROUP_ROWS = 4096


@dataclass(slots=True)
class KindTotals:
    """Totals of the pairs of one kind."""

    pairs: int = 0
    chars: int = 0  # of gt
    wrong_chars: float = 0.0
    cer_bins: Integers = field(default_factory=lambda: np.zeros(len(BIN_ENDS) + 1, dtype=np.int64))  # pairs per bin of BIN_ENDS

    @property
    def cer(self) -> float | None:
        """Wrong characters per character over all pairs; None without characters."""
        return self.wrong_chars / self.chars if self.chars else None


@dataclass(slots=True)
class PairsSummary:
    """Totals of the pairs by kind, and of the dropped ones by reason."""

    kinds: dict[str, KindTotals] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    drop_examples: dict[str, str] = field(default_factory=dict)  # one message per reason
    fonts: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)  # `input_tokens` and `output_tokens` of a language model
    files: list[DataFile] = field(default_factory=list)

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return sum(totals.pairs for totals in self.kinds.values())


def gather(made: Mapping[str, Location], output: Location) -> PairsSummary:
    """Merge the folders of `made` into `<output>/data/<name>-00000.parquet`, ..., in the order of ids, replacing older files.

    Texts of scans are also written to `lines.csv`.
    """
    data, summary = output.child("data"), PairsSummary()
    data.filesystem.create_dir(data.path)
    data.filesystem.delete_dir_contents(data.path)
    lines: list[tuple[str, str]] = []
    for name, folder in made.items():
        for number, pairs in enumerate(_files_of(_kept(folder, summary))):
            _add(summary, pairs)
            file = f"{name}-{number:05d}.parquet"
            pq.write_table(
                pairs, f"{data.path}/{file}", filesystem=data.filesystem, compression="zstd", row_group_size=_GROUP_ROWS
            )
            size_bytes = data.filesystem.get_file_info(f"{data.path}/{file}").size
            summary.files.append(DataFile(file, pairs.num_rows, size_bytes))
            with_image = pairs.filter(pc.is_valid(pairs["image"]))
            lines += zip(with_image["image"].to_pylist(), with_image["gt"].to_pylist(), strict=True)
    if lines:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("image", "text"), *lines])
        output.write_text("lines.csv", text.getvalue())
    return summary


def made_batches(folder: Location, max_rows: int = _GROUP_ROWS) -> Iterator[pa.Table]:
    """Yield the rows that workers wrote, in the order of ids (each file holds a contiguous range of them)."""
    files = []
    for info in folder.files(".parquet"):
        with pq.ParquetFile(info.path, filesystem=folder.filesystem) as file:
            files.append((file.read_row_group(0, columns=["record_id"])["record_id"][0].as_py(), info.path))
    for _, path in sorted(files):
        with pq.ParquetFile(path, filesystem=folder.filesystem) as file:
            for batch in file.iter_batches(max_rows):
                yield pa.table(batch)


def _kept(folder: Location, summary: PairsSummary) -> Iterator[pa.Table]:
    for rows in made_batches(folder):
        made = pc.is_null(rows["drop_reason"])
        for row in rows.filter(pc.invert(made)).select(["drop_reason", "drop_message"]).to_pylist():
            summary.dropped[row["drop_reason"]] += 1
            summary.drop_examples.setdefault(row["drop_reason"], row["drop_message"])
        for name, _ in _TOKENS:
            if name in rows.column_names:  # files of an earlier version have none
                summary.tokens[name] += pc.sum(rows[name]).as_py() or 0
        yield rows.filter(made).select(SCHEMA.names).cast(SCHEMA)


def _files_of(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Regroup rows into tables of `_FILE_ROWS`, the last one shorter."""
    waiting = SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= _FILE_ROWS:
            yield waiting.slice(0, _FILE_ROWS)
            waiting = waiting.slice(_FILE_ROWS)
    if waiting.num_rows:
        yield waiting


def _add(summary: PairsSummary, pairs: pa.Table) -> None:
    summary.fonts.update(pairs["font"].drop_null().to_pylist())
    for kind in pc.unique(pairs["kind"]).to_pylist():
        rows = pairs.filter(pc.equal(pairs["kind"], kind))
        totals = summary.kinds.setdefault(kind, KindTotals())
        cers, chars = rows["cer"].to_numpy(), pc.utf8_length(rows["gt"]).to_numpy()
        totals.pairs += rows.num_rows
        totals.chars += int(chars.sum())
        totals.wrong_chars += float((cers * chars).sum())
        totals.cer_bins += np.bincount(np.searchsorted(BIN_ENDS, cers, side="left"), minlength=len(BIN_ENDS) + 1)
