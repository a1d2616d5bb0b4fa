"""Sets of labelled images for training readers: their schema, and the two parts of a set written from workers' files.

Workers write rows with the images in them; so a block's file is its commit, and no image is left of one that was not finished.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocrray.corpus.manifest import DataFile
from ocrray.corpus.pairs import made_batches
from ocrray.records import Column
from ocrray.storage import Location

SCHEMA_VERSION = 1
PARTS = ("train", "validation")
Format = Literal["parquet", "csv", "jsonl"]

COLUMNS = (
    Column("record_id", pa.string(), "unique: `line-` or `document-` and a number"),
    Column(
        "image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]), "the image as a PNG or JPEG file, and a name for it"
    ),
    Column("text", pa.string(), "what a reader must return: the line, or the fields of the document as JSON on one line"),
    Column("kind", pa.string(), "`line`, or the kind of document"),
    Column("font", pa.string(), "file name of the font"),
    Column("severity", pa.float32(), "severity of the degradation, 0..1"),
    Column("seed", pa.int64(), "seed of this image's random numbers"),
    Column("source", pa.string(), "origin of the text: the input file, and the record in it; empty where it is made up"),
)
"""Columns of a set in their order."""

SCHEMA = pa.schema(
    [(column.name, column.type) for column in COLUMNS], metadata={"ocrray_image_set_schema_version": str(SCHEMA_VERSION)}
)
MADE_SCHEMA = pa.schema(
    [*SCHEMA, ("part", pa.string()), ("drop_reason", pa.string()), ("drop_message", pa.string())], metadata=SCHEMA.metadata
)
"""Rows as workers write them, one for every requested image; one with a `drop_reason` has a message instead of image and text."""

_BATCH_ROWS = 256
_FILE_BYTES = 256 << 20
_IMAGES_A_FOLDER = 1000
_CONCURRENT_WRITES = 16


@dataclass(slots=True)
class ImageSetSummary:
    """Totals of the images of each part and kind, and of the dropped ones by reason."""

    images: Counter[str] = field(default_factory=Counter)  # by part
    chars: Counter[str] = field(default_factory=Counter)  # of the texts, by part
    kinds: Counter[str] = field(default_factory=Counter)
    fonts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # one text per kind
    dropped: Counter[str] = field(default_factory=Counter)
    drop_examples: dict[str, str] = field(default_factory=dict)  # one message per reason
    files: list[DataFile] = field(default_factory=list)  # Parquet files, by their names in `data`


def write_set(made: Location, output: Location, name: str, form: Format, instruction: str) -> ImageSetSummary:
    """Write the rows in the folder `made` as a set called `name` (`lines`, `documents`), in the order of ids.

    What an earlier call has written is replaced. `instruction` is the prefix of JSON lines.
    """
    summary = ImageSetSummary()
    for folder in ("data", *PARTS):
        with suppress(FileNotFoundError):
            output.filesystem.delete_dir(output.child(folder).path)
    sinks: dict[str, _Sink] = {}
    for rows in _kept(made, summary):
        for part in PARTS:
            chosen = rows.filter(pc.equal(rows["part"], part)).select(SCHEMA.names).cast(SCHEMA)
            if not len(chosen):
                continue
            if part not in sinks:
                sinks[part] = (
                    _ParquetFiles(output, part) if form == "parquet" else _Folder(output.child(part), name, form, instruction)
                )
            sinks[part].add(chosen)
            _count(summary, part, chosen)
    for sink in sinks.values():
        summary.files += sink.close()
    return summary


class _ParquetFiles:
    """Files `data/<part>-00000.parquet`, ... of about `_FILE_BYTES`."""

    def __init__(self, output: Location, part: str) -> None:
        self.folder, self.part = output.child("data"), part
        self.folder.filesystem.create_dir(self.folder.path)
        self.files: list[DataFile] = []
        self.waiting: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        self.waiting.append(rows)
        if sum(table.nbytes for table in self.waiting) >= _FILE_BYTES:
            self._write()

    def close(self) -> list[DataFile]:
        if self.waiting:
            self._write()
        return self.files

    def _write(self) -> None:
        rows = pa.concat_tables(self.waiting)
        file = f"{self.part}-{len(self.files):05d}.parquet"
        path = f"{self.folder.path}/{file}"
        filesystem = self.folder.filesystem
        # images cannot be compressed further, and readers of single rows want small groups.
        pq.write_table(rows, path, filesystem=filesystem, compression="zstd", row_group_size=_BATCH_ROWS)
        self.files.append(DataFile(file, rows.num_rows, filesystem.get_file_info(path).size))
        self.waiting = []


class _Folder:
    """Folder of one part: image files under `images/`, and a table that names them relative to itself."""

    def __init__(self, folder: Location, name: str, form: Format, instruction: str) -> None:
        self.folder, self.name, self.form, self.instruction = folder, name, form, instruction
        self.rows: list[tuple[str, str]] = []
        self.made_folders: set[str] = set()
        folder.filesystem.create_dir(folder.path)

    def add(self, rows: pa.Table) -> None:
        images = rows["image"].to_pylist()
        paths = [f"images/{record_number(image['path']) // _IMAGES_A_FOLDER:06d}/{image['path']}" for image in images]
        for path in {path.rpartition("/")[0] for path in paths} - self.made_folders:
            self.folder.filesystem.create_dir(self.folder.child(path).path)
            self.made_folders.add(path)

        def write(path: str, data: bytes) -> None:
            parent, _, name = path.rpartition("/")
            self.folder.child(parent).write_bytes(name, data)

        with ThreadPoolExecutor(_CONCURRENT_WRITES) as pool:
            list(pool.map(write, paths, [image["bytes"] for image in images]))
        self.rows += zip(paths, rows["text"].to_pylist(), strict=True)

    def close(self) -> list[DataFile]:
        write = csv_table if self.form == "csv" else json_lines
        self.folder.write_text(f"{self.name}.{self.form}", write(self.rows, self.instruction))
        return []


def csv_table(rows: Iterable[tuple[str, str]], _: str = "") -> str:
    """Return (image path, text) pairs as CSV with the header `image_file,text`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("image_file", "text"), *rows])
    return text.getvalue()


def json_lines(rows: Iterable[tuple[str, str]], instruction: str) -> str:
    """Return (image path, text) pairs as JSON lines of `image`, `prefix` (the instruction) and `suffix`."""
    return "".join(
        json.dumps({"image": image, "prefix": instruction, "suffix": text}, ensure_ascii=False) + "\n" for image, text in rows
    )


_Sink = _ParquetFiles | _Folder


def record_number(name: str) -> int:
    """Return the number in a record id, or in the name of its file."""
    return int(name.rpartition("-")[2].partition(".")[0])


def _kept(made: Location, summary: ImageSetSummary) -> Iterator[pa.Table]:
    """Yield the rows with an image, a few at a time, and count the others."""
    for rows in made_batches(made, _BATCH_ROWS):
        is_made = pc.is_null(rows["drop_reason"])
        for row in rows.filter(pc.invert(is_made)).select(["drop_reason", "drop_message"]).to_pylist():
            summary.dropped[row["drop_reason"]] += 1
            summary.drop_examples.setdefault(row["drop_reason"], row["drop_message"])
        yield rows.filter(is_made)


def _count(summary: ImageSetSummary, part: str, rows: pa.Table) -> None:
    summary.images[part] += len(rows)
    summary.chars[part] += pc.sum(pc.utf8_length(rows["text"])).as_py() or 0
    for counter, column in ((summary.kinds, "kind"), (summary.fonts, "font")):
        counter.update(rows[column].to_pylist())
    for kind, text in zip(rows["kind"].to_pylist(), rows["text"].to_pylist(), strict=True):
        summary.examples.setdefault(kind, text)
