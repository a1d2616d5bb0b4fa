"""Files named in `input.paths` by path, folder, glob or list file, walked one folder at a time to bound memory."""

import os
import posixpath
import re
from collections import Counter, deque
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import islice
from typing import Literal, NamedTuple

from pyarrow import fs

from ocrray.errors import ConfigError, RecordError
from ocrray.storage import Location, files
from ocrray.storage.faults import retrying
from ocrray.storage.files import FileStat
from ocrray.storage.location import UNREADABLE_PARTS

_WILD = re.compile(r"[*?\[]")
_CONCURRENT_REQUESTS = 16  # object stores answer slowly, but many at a time
_BATCH_FILES = 512
_MAX_LIST_LINE_BYTES = 1 << 16
_OUTPUT_MARKS = frozenset({"_run.json", "_work_list"})


Origin = Literal["file", "folder", "glob", "ending"]


@dataclass(frozen=True, slots=True)
class Found:
    """One file of the input."""

    name: str
    """Path as the user would write it: record ids begin with it."""
    location: Location
    stat: FileStat | RecordError
    """Size and tag, or the reason why the file cannot be read."""
    origin: Origin
    """`file` when the user named this very file, else the folder or glob that holds it; `ending` for a glob that names the end of
    the file's name, as `*.json` does."""
    siblings: Collection[str] | None = None
    """Names in the same folder; None where that was not listed."""

    @property
    def known_stat(self) -> FileStat:
        """Size and tag; 0 and empty for a file that cannot be read."""
        return self.stat if isinstance(self.stat, FileStat) else FileStat(0, "")


@dataclass(frozen=True, slots=True)
class _Item:
    """One existing entry of `input.paths`; a folder is the glob `**` in it, a list file holds the names of files."""

    name: str
    location: Location
    origin: Origin
    pattern: Sequence[str] = ()
    is_list: bool = False


class Walk:
    """All files that `paths` name, in a stable order, possibly with repetitions; `key` is the config key of the paths.

    Raises: ConfigError: with one line for each path that matches nothing.
    """

    def __init__(self, paths: Sequence[str], key: str = "input.paths") -> None:
        self._key = key
        self._items: list[_Item] = []
        problems = []
        for path in paths:
            try:
                item = _resolve(path)
                with closing(_files(item, Counter())) as found:
                    if next(found, None) is None:
                        raise RecordError(f"{path}: there is no file here")
                self._items.append(item)
            except (RecordError, OSError, ValueError) as err:
                problems.append(f"{key}: {' '.join(str(err).split())}")
        if problems:
            raise ConfigError("\n".join(problems))

    def batches(self, skipped: Counter[str]) -> Iterator[list[Found]]:
        """Yield a few hundred files at a time; count in `skipped` by reason what is left out.

        Raises: ConfigError: when a folder cannot be listed.
        """
        found = (file for item in self._items for file in _files(item, skipped))
        try:
            while batch := list(islice(found, _BATCH_FILES)):
                yield batch
        except OSError as err:
            raise ConfigError(f"{self._key}: a folder cannot be listed: {err}") from None


def _resolve(path: str) -> _Item:
    if path.startswith("@"):
        location = Location.at(path[1:])
        files.stat(location)
        return _Item(path[1:], location, "file", is_list=True)
    location = Location.at(path)
    name = _name(path, location)
    kind = _kind(location)
    if kind == fs.FileType.Directory:
        return _Item("" if name == "." else name, location, "folder", ("**",))
    if kind == fs.FileType.NotFound and _WILD.search(location.path):
        return _glob(name, location)
    if kind == fs.FileType.NotFound:
        raise RecordError(f"{path}: no such file or folder")
    return _Item(name, location, "file")


def _name(path: str, location: Location) -> str:
    """Return the beginning of record ids: the path as given, normalised."""
    if location.prefix:
        return location.prefix + location.path
    return posixpath.normpath(path.removeprefix("file://"))


def _glob(name: str, location: Location) -> _Item:
    """Split a glob into the folder before the first wildcard and the pattern below it."""
    parts = location.path.split("/")
    first = next(i for i, part in enumerate(parts) if _WILD.search(part))
    pattern = parts[first:]
    root = Location(location.prefix, "/".join(parts[:first]) or "/", location.query)
    if _kind(root) != fs.FileType.Directory:
        raise RecordError(f"{name}: no such folder: {root.uri}")
    above = name.split("/")[: -len(pattern)]
    return _Item("/" if above == [""] else "/".join(above), root, "glob", pattern)


def _kind(location: Location) -> fs.FileType:
    return location.filesystem.get_file_info(location.path).type


def _files(item: _Item, skipped: Counter[str]) -> Generator[Found]:
    if item.is_list:
        yield from _listed(item)
    elif item.origin == "file":
        yield _found(item.name, item.location, "file")
    else:
        yield from _walk(item, skipped)


def _listed(item: _Item) -> Iterator[Found]:
    with files.open_binary(item.location) as file, ThreadPoolExecutor(_CONCURRENT_REQUESTS) as pool:
        lines = iter(lambda: file.readline(_MAX_LIST_LINE_BYTES), b"")
        paths = (path for line in lines if (path := line.decode(errors="surrogateescape").strip("\r\n \ufeff")))
        while batch := list(islice(paths, _BATCH_FILES)):
            yield from pool.map(_listed_file, batch)


def _listed_file(path: str) -> Found:
    try:
        location = Location.at(path)
        return _found(_name(path, location), location, "file")
    except RecordError as err:
        name = path.encode(errors="backslashreplace").decode()
        return Found(name, Location("", name), err, "file")


def _found(
    name: str, location: Location, origin: Origin, status: FileStat | None = None, siblings: Collection[str] | None = None
) -> Found:
    try:
        name.encode()
        return Found(name, location, status or files.stat(location), origin, siblings)
    except UnicodeEncodeError:
        name, path = (text.encode(errors="backslashreplace").decode() for text in (name, location.path))
        problem = RecordError(f"{path}: the file's name is not UTF-8; rename it", kind="bad_path")
        return Found(name, replace(location, path=path), problem, origin)
    except RecordError as err:
        return Found(name, location, err, origin)


def _walk(item: _Item, skipped: Counter[str]) -> Iterator[Found]:
    """Yield the matching files depth first, files before folders, by name."""
    with ThreadPoolExecutor(_CONCURRENT_REQUESTS) as pool:
        root = _Folder(item.location, item.name, _closure(item.pattern, {0}))
        levels = [_listed_ahead(pool, iter([root]))]
        while levels:
            if (following := next(levels[-1], None)) is None:
                levels.pop()
                continue
            folder, members = following
            if members.unreadable_keys:
                skipped["unreadable_key"] += members.unreadable_keys
            if members.is_output and folder is not root:
                skipped["output_folder"] += 1
                levels.append(_listed_ahead(pool, _named_below(item.pattern, folder, members.folders)))
                continue
            for member in sorted(members.files, key=_mets_first):
                if len(item.pattern) in _advance(item.pattern, folder.states, member):
                    place, name = folder.location.child(member), posixpath.join(folder.name, member)
                    yield _found(name, place, _origin(item, member), members.files[member], members.files)
                elif member.startswith("."):
                    skipped["hidden"] += 1
            levels.append(_listed_ahead(pool, _below(item.pattern, folder, members.folders, skipped)))


def _origin(item: _Item, name: str) -> Origin:
    if item.origin != "glob":
        return item.origin
    ending = _WILD.split(item.pattern[-1])[-1]
    return "ending" if "." in ending and name.endswith(ending) else "glob"


class _Folder(NamedTuple):
    location: Location
    name: str
    states: frozenset[int]
    recursive: bool = False
    """True where only a `**` leads here."""


@dataclass(slots=True)
class _Members:
    files: dict[str, FileStat | None] = field(default_factory=dict)
    """With size and tag in an object store, None on a local disk."""
    folders: dict[str, bool] = field(default_factory=dict)
    """True for a link."""
    unreadable_keys: int = 0
    """Number of keys below this folder of an object store that have one of UNREADABLE_PARTS just below it."""

    @property
    def is_output(self) -> bool:
        """Return whether this is the output folder of a run; its files are no input of another run unless it is named."""
        return not _OUTPUT_MARKS.isdisjoint(self.files) or not _OUTPUT_MARKS.isdisjoint(self.folders)


def _listed_ahead(pool: ThreadPoolExecutor, folders: Iterator[_Folder]) -> Iterator[tuple[_Folder, _Members]]:
    """Yield each folder with its members while the next few are being listed, as object stores answer slowly."""
    ahead: deque[tuple[_Folder, Future[_Members]]] = deque()
    for folder in folders:
        ahead.append((folder, pool.submit(_list_folder, folder.location)))
        if len(ahead) > _CONCURRENT_REQUESTS:
            first, members = ahead.popleft()
            yield first, members.result()
    for folder, members in ahead:
        yield folder, members.result()


def _below(pattern: Sequence[str], folder: _Folder, folders: dict[str, bool], skipped: Counter[str]) -> Iterator[_Folder]:
    recursive = {i for i in folder.states if i < len(pattern) and pattern[i] == "**"}
    for name in sorted(folders):
        states = _advance(pattern, folder.states, name) - {len(pattern)}
        only_recursive = states <= _closure(pattern, recursive)
        # Links may form a cycle, so `**` does not follow them; a name or a `*` does.
        if states and folders[name] and only_recursive:
            skipped["linked_folder"] += 1
        elif states:
            yield _Folder(folder.location.child(name), posixpath.join(folder.name, name), states, only_recursive)
        elif recursive and name.startswith("."):
            skipped["hidden"] += 1


def _named_below(pattern: Sequence[str], output: _Folder, folders: dict[str, bool]) -> Iterator[_Folder]:
    """Yield the folders of another run's output that `pattern` asks for, as in `runs/*/data/*.parquet`; no `**` leads there."""
    states = frozenset(() if output.recursive else (i for i in output.states if pattern[i] != "**"))
    return _below(pattern, output._replace(states=states), folders, Counter())


def _list_folder(folder: Location) -> _Members:
    if folder.prefix:
        return _list_keys(folder)
    return retrying(lambda: _list_directory(folder), f"{folder.path}: cannot be listed")


def _list_directory(folder: Location) -> _Members:
    members = _Members()
    with os.scandir(folder.path) as entries:
        for entry in entries:
            if entry.is_dir():
                members.folders[entry.name] = entry.is_symlink()
            else:
                members.files[entry.name] = None
    return members


def _list_keys(folder: Location) -> _Members:
    members, unreadable = _Members(), set()
    for info in folder.filesystem.get_file_info(fs.FileSelector(folder.path, allow_not_found=True)):
        name = info.path[len(folder.path) + 1 :]  # `info.base_name` of an empty part is the folder's own name
        if name in UNREADABLE_PARTS:
            unreadable.add(name)
        elif info.type == fs.FileType.Directory:
            members.folders[name] = False
        else:
            members.files[name] = FileStat(info.size, f"{info.size}-{info.mtime_ns}")
    if unreadable:  # rare: everything below has to be listed, because pyarrow cannot list `a//` by itself
        below = folder.filesystem.get_file_info(fs.FileSelector(folder.path, recursive=True))
        names = (info.path[len(folder.path) + 1 :] for info in below if info.type == fs.FileType.File)
        members.unreadable_keys = sum(name.partition("/")[0] in unreadable for name in names)
    return members


def _mets_first(name: str) -> tuple[bool, str]:
    # The files that a METS names must be known before they are listed themselves.
    return "mets" not in name.lower(), name


def _closure(pattern: Sequence[str], states: Iterable[int]) -> frozenset[int]:
    """Return `states` (positions in `pattern`) and those reached by letting a `**` match no folder at all."""
    reached = set(states)
    for state in states:
        following = state
        while following < len(pattern) and pattern[following] == "**":
            following += 1
            reached.add(following)
    return frozenset(reached)


def _advance(pattern: Sequence[str], states: Iterable[int], name: str) -> frozenset[int]:
    """Return the positions in `pattern` after matching `name`; only a part that starts with a dot matches hidden names."""
    after = set()
    for state in states:
        part = pattern[state] if state < len(pattern) else "."
        if name.startswith(".") and not part.startswith("."):
            continue
        if part == "**":
            after.add(state)
        elif state < len(pattern) and fnmatchcase(name, part):
            after.add(state + 1)
    return _closure(pattern, after)
