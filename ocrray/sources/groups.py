"""Groups of input files, and reading the rows of one group: what one task of the listing does."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import InputFile, file_weight, inspector_of, stream_bytes
from ocrray.sources.kinds import InputKind, family_of
from ocrray.sources.pages import Inspected, Member
from ocrray.sources.rows import Row, table_of_rows
from ocrray.sources.text_files import WHOLE, Piece
from ocrray.sources.texts import TextReader

_CONCURRENT_FILES = 16  # object stores answer slowly, but many at a time
_MAX_GROUP_FILES = 2048
_MAX_GROUP_BYTES = 1 << 25  # of tables and text, which are read whole
_PIECE_BYTES = 1 << 25


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive files that are read by one task, or one piece of a large file."""

    number: int
    files: tuple[InputFile, ...]
    piece: Piece = WHOLE


@dataclass(slots=True)
class FileRows:
    """Result of reading one file; `kind` is empty for one that was left out, for the reason `skipped`."""

    kind: str = ""
    records: int = 0
    skipped: str = ""
    table_rows: int = 0
    """Rows of a CSV or TSV, and the lines that they stand in, without the header."""
    table_lines: int = 0
    unclear: list[str] = field(default_factory=list)
    """The first messages about rows that can be read as several rows too."""
    is_unforeseen_mets: bool = False
    """It names other files, which neither its name nor the walk showed: its own rows are not read."""


def cut_groups(files: Iterable[InputFile], endings: tuple[str, ...] = ()) -> Iterator[Group]:
    """Cut the files into groups of bounded size, numbered in their order; large files with these endings into pieces."""
    number, waiting, waiting_bytes = 0, list[InputFile](), 0
    for file in files:
        size = stream_bytes(file)
        name = file.found.location.name
        # A file that is not what its name says is no stream, or is read whole.
        is_cut = name.lower().endswith(endings) and family_of(name) == file.family
        pieces = -(-size // _PIECE_BYTES) if is_cut else 1
        if waiting and (pieces > 1 or len(waiting) == _MAX_GROUP_FILES or waiting_bytes + size > _MAX_GROUP_BYTES):
            yield Group(number, tuple(waiting))
            number, waiting, waiting_bytes = number + 1, [], 0
        if pieces > 1:
            for piece in range(pieces):
                yield Group(number + piece, (file,), Piece(piece, pieces))
            number += pieces
        else:
            waiting.append(file)
            waiting_bytes += size
    if waiting:
        yield Group(number, tuple(waiting))


def weight(group: Group) -> int:
    """Return the work that a group is, in bytes to be read, for a progress display."""
    return sum(map(file_weight, group.files)) // group.piece.count


class GroupReader:
    """Reads the rows of groups; `passthrough` is the schema of the passthrough columns."""

    def __init__(self, config: InputConfig, *, images: bool, passthrough: pa.Schema) -> None:
        self.config, self.passthrough = config, passthrough
        self._inspector = inspector_of(config, images)

    def tables(self, group: Group, results: list[FileRows]) -> Iterator[pa.Table]:
        """Yield the rows of the files in their order; append to `results`, as each file is begun, what it is.

        Raises: ConfigError: when a table lacks a column.
        """
        with ThreadPoolExecutor(min(_CONCURRENT_FILES, len(group.files))) as pool:
            reader = TextReader(self.config, self.passthrough, pool)
            rows: list[Row] = []
            for file, inspected in zip(group.files, pool.map(self._inspected, group.files), strict=True):
                result = FileRows(skipped=inspected.skipped, is_unforeseen_mets=bool(inspected.members))
                results.append(result)
                rows += inspected.rows
                if inspected.rows:
                    result.kind, result.records = inspected.rows[0].kind, len(inspected.rows)
                elif file.role == "container" or inspected.members:
                    result.kind = "mets"
                if inspected.stream:
                    yield table_of_rows(rows, self.passthrough)
                    rows, result.kind = [], inspected.stream.name
                    yield from self._counted(reader, inspected, inspected.stream, group.piece, result)
            yield table_of_rows(rows, self.passthrough)

    def _inspected(self, file: InputFile) -> Inspected:
        if file.role == "container":
            return Inspected(file.found)
        if file.role == "member":
            return self._inspector.member(Member(file.found, file.family or "", file.image_uri))
        return self._inspector.file(file.found)

    def _counted(
        self, reader: TextReader, inspected: Inspected, kind: InputKind, piece: Piece, result: FileRows
    ) -> Iterator[pa.Table]:
        for table in reader.read(inspected.found, kind, piece):
            result.records += len(table)
            yield table
        result.table_rows, result.table_lines, result.unclear = reader.table_rows, reader.table_lines, reader.unclear
