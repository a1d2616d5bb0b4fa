"""Files of an input, walked once by the driver: what their names, and the METS files among them, tell; no rows are read."""

import hashlib
import posixpath
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ocrray.errors import ConfigError, RecordError
from ocrray.sources.input import InputConfig
from ocrray.sources.kinds import IMAGE_KINDS, KINDS, MARKUP, family_of
from ocrray.sources.pages import GROUND_TRUTH_SUFFIX, Inspected, Inspector
from ocrray.sources.seen import SeenKeys
from ocrray.sources.texts import first_table_types
from ocrray.sources.walk import Found, Walk
from ocrray.storage import Location, files
from ocrray.storage.files import FileStat
from ocrray.text.normalise import sanitise

Role = Literal["file", "member", "container"]
"""`member`: named by a METS for one page; `container`: such a METS itself, which has no rows of its own."""

_CONCURRENT_FILES = 16  # object stores answer slowly, but many at a time
_ROWS_PER_GROUP = 4096
_FILE_WEIGHT = 1 << 16
_NAMED_SNIFFED = 256  # XML files named one by one that are opened to find a METS among them, whatever their names
_FILES_BEYOND_LIMIT = 10_000  # some files hold no record

_TABLE_KINDS = frozenset(kind.name for kind in KINDS.values() if kind.texts == "rows")

_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("uri", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("origin", pa.string()),
        ("family", pa.string()),
        ("role", pa.string()),
        ("image_uri", pa.string()),
        ("truths", pa.list_(pa.string())),  # names of .gt.txt files of this scan; null where its folder was not listed
        ("truth_tag", pa.string()),  # changes when any of them does
        ("error_kind", pa.string()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read; `found.siblings` holds the names of its ground truths only."""

    found: Found
    family: str | None
    role: Role = "file"
    image_uri: str | None = None
    truth_tag: str = ""

    @property
    def tag(self) -> str:
        """Return a tag that changes when the file, its ground truth or its scan does."""
        etag = self.found.known_stat.etag
        return "|".join(filter(None, (etag, self.truth_tag, self.image_uri))) if self.truth_tag or self.image_uri else etag


@dataclass
class InputFiles:
    """Files of an input in their order, each once, kept as compressed Parquet: some ten bytes a file."""

    digest: str = ""
    """Changes when any file, or the ground truth beside it, does."""
    count: int = 0
    weight: int = 0
    """Work that listing them is, as the sum of `file_weight`."""
    families: Counter[str] = field(default_factory=Counter)
    """Number of files by `InputKind.family`."""
    skipped_by_reason: Counter[str] = field(default_factory=Counter)
    """Files of folders and globs that were left out by their names."""
    names_collide: bool = False
    """Two files have the same name in record ids, so that ids may repeat."""
    passthrough: pa.Schema = field(default_factory=lambda: pa.schema([]))
    """Types of the passthrough columns, as in the first table."""
    known_mets: frozenset[str] = frozenset()
    """Of the walk."""
    parquet: pa.Buffer | None = None

    def holds_scans(self, config: InputConfig) -> bool:
        """Return True if a file may need a recognizer by its name, or by the METS that names it."""
        return any(self.families[kind] for kind in config.recognized_kinds)

    def __iter__(self) -> Iterator[InputFile]:
        """Yield the files in their order."""
        if self.parquet is None:
            return
        with pq.ParquetFile(pa.BufferReader(self.parquet)) as file:
            for batch in file.iter_batches(_ROWS_PER_GROUP):
                yield from map(_from_row, zip(*(column.to_pylist() for column in batch.columns), strict=True))


def walk_input(
    config: InputConfig,
    *,
    images: bool,
    section: str = "input",
    limit: int | None = None,
    known_mets: Collection[str] = (),
    open_all_markup: bool = False,
) -> InputFiles:
    """Walk the input. `images` is True if scans can be recognized; `section` is the config section that errors in `paths` name.

    A METS is known by its name (`mets` in it), as one of `known_mets` (URIs), or by opening it: the first few XML files that are
    named one by one, or, with `open_all_markup`, all. With a `limit` of records the walk ends where so many files, and some
    thousands more, are found.

    Raises: ConfigError: with one line for each path that matches nothing; for scans that nothing recognizes.
    """
    if not images and (config.image_column or config.kind in config.recognized_kinds):
        raise ConfigError("input: these are scans, and nothing recognizes them: set `recognize`")
    walk = Walk(config.paths, f"{section}.paths")
    with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
        collector = _Collector(inspector_of(config, images), pool, frozenset(known_mets), open_all_markup)
        found = collector.files(walk)
        result = collector.collected(found if limit is None else islice(found, limit + _FILES_BEYOND_LIMIT))
    result.known_mets = frozenset(known_mets)
    result.passthrough = first_table_types(config, _tables(result))
    return result


def inspector_of(config: InputConfig, images: bool) -> Inspector:
    """Return the inspector of this config's files."""
    unread_kinds = () if images else config.recognized_kinds
    return Inspector(config.kind, unread_kinds, config.text_encoding, config.text_unit == "file", config.max_file_bytes)


def _tables(found: InputFiles) -> Iterator[Found]:
    if any(found.families[kind] for kind in _TABLE_KINDS):
        yield from (
            file.found for file in found if file.family in _TABLE_KINDS and family_of(file.found.location.name) == file.family
        )


def stream_bytes(file: InputFile) -> int:
    """Return the size of a table or text, which is read whole, 0 for other files."""
    kind = KINDS.get(file.family or "")
    return file.found.known_stat.size if kind and kind.texts else 0


def file_weight(file: InputFile) -> int:
    """Return the work that listing a file is, in bytes to be read, for a progress display."""
    return _FILE_WEIGHT + stream_bytes(file)


def file_key(found: Found) -> str:
    """Return what identifies a file: its URI, or its name if it cannot be read."""
    return found.name if isinstance(found.stat, Exception) else found.location.uri


class _Collector:
    def __init__(self, inspector: Inspector, pool: ThreadPoolExecutor, known_mets: frozenset[str], open_all: bool) -> None:
        self._inspector, self._pool = inspector, pool
        self._known_mets, self._open_all = known_mets, open_all
        self._named_left = _NAMED_SNIFFED
        self._seen, self._names = SeenKeys(), SeenKeys()
        self._truths = _Truths()
        self._result = InputFiles()

    def files(self, walk: Walk) -> Iterator[InputFile]:
        """Yield each file once, with the members of a METS after it; files that a METS named before are left out."""
        skipped = self._result.skipped_by_reason
        for batch in walk.batches(skipped):
            known = self._seen.contains([file_key(found) for found in batch]).tolist()
            new = [found for found, is_known in zip(batch, known, strict=True) if not is_known]
            # A file that a folder leaves out may still be named later, so it has another key.
            reasons = [self._inspector.skip_reason(found) for found in new]
            left_out = [(found, reason) for found, reason in zip(new, reasons, strict=True) if reason]
            is_new = self._seen.add([f"skipped: {file_key(found)}" for found, _ in left_out])
            skipped.update(reason for (_, reason), first in zip(left_out, is_new, strict=True) if first)
            yield from self._listed([found for found, reason in zip(new, reasons, strict=True) if not reason])

    def collected(self, found: Iterable[InputFile]) -> InputFiles:
        """Collect the files into the result."""
        result, digest, sink = self._result, hashlib.sha256(), pa.BufferOutputStream()
        with pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer:
            stream = iter(found)
            while rows := list(islice(stream, _ROWS_PER_GROUP)):
                lines = [f"{file_key(file.found)}\0{file.found.known_stat.size}\0{file.tag}\n" for file in rows]
                digest.update("".join(lines).encode())
                result.families.update(file.family or "" for file in rows if file.role != "container")
                result.count += len(rows)
                result.weight += sum(map(file_weight, rows))
                new_names = self._names.add([sanitise(file.found.name) for file in rows])
                result.names_collide |= not bool(new_names.all())
                writer.write_table(pa.table(list(zip(*map(_to_row, rows), strict=True)), schema=_SCHEMA))
        result.digest, result.parquet = digest.hexdigest(), sink.getvalue()
        return result

    def _listed(self, found: Sequence[Found]) -> Iterator[InputFile]:
        families = [self._inspector.family(file) for file in found]
        inspected = self._mets_among(found, families)
        chosen = {file_key(member.found) for mets in inspected.values() for member in mets.members}
        self._seen.add([uri for mets in inspected.values() for uri in mets.claims if uri not in chosen])
        entries: list[InputFile] = []
        for file, family in zip(found, families, strict=True):
            mets = inspected.get(file_key(file)) if inspected else None
            entries.append(self._entry(file, family, "container" if mets else "file"))
            entries += [self._entry(m.found, m.family, "member", m.image_uri) for m in mets.members] if mets else []
        is_new = self._seen.add([file_key(entry.found) for entry in entries]).tolist()
        yield from (entry for entry, first in zip(entries, is_new, strict=True) if first)

    def _mets_among(self, found: Sequence[Found], families: Sequence[str | None]) -> dict[str, Inspected]:
        markup = (file for file, family in zip(found, families, strict=True) if family == MARKUP)
        inspected = self._pool.map(self._inspector.if_container, filter(self._may_be_mets, markup))
        return {file_key(mets.found): mets for mets in inspected if mets.members}

    def _may_be_mets(self, found: Found) -> bool:
        if isinstance(found.stat, RecordError):
            return False
        if self._open_all or "mets" in found.location.name.lower() or found.location.uri in self._known_mets:
            return True
        self._named_left -= found.origin == "file"
        return found.origin == "file" and self._named_left >= 0

    def _entry(self, found: Found, family: str | None, role: Role, image_uri: str | None = None) -> InputFile:
        names, tag = self._truths.of(found) if family in IMAGE_KINDS else ((), "")
        only_truths = Found(found.name, found.location, found.stat, found.origin, names)
        return InputFile(only_truths, family, role, image_uri, tag)


class _Truths:
    """Ground truth files beside scans, by the names of the last folder."""

    def __init__(self) -> None:
        self._folder: Collection[str] | None = None
        self._names: dict[str, list[str]] = {}

    def of(self, found: Found) -> tuple[Sequence[str] | None, str]:
        """Return the names of a scan's ground truths (None if its folder was not listed), and a tag of their contents."""
        stem = posixpath.splitext(found.location.name)[0]
        names: Sequence[str] | None = None
        if found.siblings is not None:
            if found.siblings is not self._folder:
                self._folder, self._names = found.siblings, _by_stem(found.siblings)
            names = self._names.get(stem, ())
        tags = (_tag(found, name) for name in (names if names is not None else [stem + GROUND_TRUTH_SUFFIX]))
        return names, " ".join(filter(None, tags))


def _by_stem(siblings: Iterable[str]) -> dict[str, list[str]]:
    """Group the names of ground truths by the scan's name without its extension; `x.1.gt.txt` may belong to `x` or `x.1`."""
    grouped: dict[str, list[str]] = {}
    for name in siblings:
        if name.endswith(GROUND_TRUTH_SUFFIX):
            stem = name.removesuffix(GROUND_TRUTH_SUFFIX)
            above, _, page = stem.rpartition(".")
            for key in (stem, above) if page.isdecimal() else (stem,):
                grouped.setdefault(key, []).append(name)
    return grouped


def _tag(found: Found, name: str) -> str:
    known = found.siblings.get(name) if isinstance(found.siblings, dict) else None
    try:
        return f"{name}:{(known or files.stat(found.location.parent().child(name))).etag}"
    except RecordError:
        return ""


def _to_row(file: InputFile) -> tuple[Any, ...]:
    """Return the values of `_SCHEMA`."""
    found, status = file.found, file.found.known_stat
    truths = None if found.siblings is None else list(found.siblings)
    fixed = (found.name, found.location.uri, status.size, status.etag, found.origin, file.family, file.role, file.image_uri)
    problem = found.stat if isinstance(found.stat, RecordError) else None
    return (*fixed, truths, file.truth_tag, problem and problem.kind, problem and str(problem))


def _from_row(row: tuple[Any, ...]) -> InputFile:
    name, uri, size, etag, origin, family, role, image_uri, truths, truth_tag, error_kind, error = row
    status = FileStat(size, etag) if error_kind is None else RecordError(error, kind=error_kind)
    found = Found(name, _location(uri, error_kind is not None), status, origin, truths)
    return InputFile(found, family, role, image_uri, truth_tag)


def _location(uri: str, failed: bool) -> Location:
    if uri.startswith("/"):
        return Location("", uri)
    try:
        location = Location.at(uri)
    except RecordError:
        return Location("", uri)
    return Location("", uri) if failed and location.uri != uri else location
