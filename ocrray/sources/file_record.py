"""Record of the input files of a work list, and of the places of their records in its parts."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ocrray.sources.input_files import InputFile
from ocrray.storage import Location

GONE_KIND = "gone"
"""Kind of a file that an update found to be gone."""
_ROWS_PER_GROUP = 4096

FILES_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("uri", pa.string()),
        ("size", pa.int64()),
        ("tag", pa.string()),  # changes when the file, its ground truth or its scan does
        ("kind", pa.string()),  # empty for a file that was left out for its content
        ("places", pa.list_(pa.struct([("part", pa.string()), ("start", pa.int64()), ("rows", pa.int64())]))),  # of its records
    ]
)

Part = tuple[str, int]
"""Name and number of rows of a part."""


def files_name(version: int) -> str:
    """Return the name of the record; `version` is 0, or the number of the update that wrote it."""
    return f"_files-{version:03d}.parquet"


def read_files(work_list: Location, version: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of the record."""
    with pq.ParquetFile(work_list.child(files_name(version)).path, filesystem=work_list.filesystem) as file:
        for batch in file.iter_batches(_ROWS_PER_GROUP):
            yield from batch.to_pylist()


class FilesRecord:
    """Record under construction, kept compressed."""

    def __init__(self) -> None:
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(self._sink, FILES_SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Add the row of one file."""
        self._rows.append(row)
        if len(self._rows) > _ROWS_PER_GROUP:
            self._flush(self._rows[:-1])
            self._rows = self._rows[-1:]

    def add_places(self, places: list[dict[str, Any]]) -> None:
        """Add places to those of the last file."""
        self._rows[-1]["places"] += places

    def finish(self) -> pa.Buffer:
        """Return the Parquet file."""
        self._flush(self._rows)
        self._writer.close()
        return self._sink.getvalue()

    def _flush(self, rows: list[dict[str, Any]]) -> None:
        self._writer.write_table(pa.Table.from_pylist(rows, schema=FILES_SCHEMA))


class Places:
    """Places in consecutive parts, handed out in their order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = deque(parts)
        self._start = 0

    def take(self, rows: int) -> list[dict[str, Any]]:
        """Return the places of the next rows, or of as many as there are."""
        places = []
        while rows and self._parts:
            part, size = self._parts[0]
            taken = min(rows, size - self._start)
            places.append({"part": part, "start": self._start, "rows": taken})
            rows, self._start = rows - taken, self._start + taken
            if self._start == size:
                self._parts.popleft()
                self._start = 0
        return places


def file_row(file: InputFile, kind: str, places: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of `FILES_SCHEMA` of a file whose records are in these places."""
    found = file.found
    return {
        "name": found.name,
        "uri": found.location.uri,
        "size": found.known_stat.size,
        "tag": file.tag,
        "kind": kind,
        "places": places,
    }
