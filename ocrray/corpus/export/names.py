"""What a document is called among the exported ones: its path below the folder that all of them are in."""

from dataclasses import dataclass
from urllib.parse import quote

from ocrray.errors import RecordError
from ocrray.sources import files


@dataclass(slots=True)
class CommonFolder:
    """The deepest folder that all added files are in; names below it are as different as the files are."""

    _parts: list[str] | None = None

    def add(self, uri: str) -> None:
        """Take this file in."""
        parts = _parts(uri)[:-1]
        if self._parts is None:
            self._parts = parts
        elif parts[: len(self._parts)] != self._parts:
            self._parts = [mine for mine, theirs in _while_equal(self._parts, parts)]

    def name_below(self, uri: str) -> str:
        """The path of an added file below the folder; raises RecordError (`unsafe_path`) for one that is no plain path."""
        parts = _parts(uri)[len(self._parts or ()) :]
        if any(part in ("", ".", "..") for part in parts):
            raise RecordError(f"{uri}: not a name that a file can be given", kind="unsafe_path")
        return "/".join(parts)


def _parts(uri: str) -> list[str]:
    location = files.parse(uri)
    # Where they are in several stores, each has a folder of its own.
    return [quote(location.prefix + location.query, safe="") or "file", *location.path.removeprefix("/").split("/")]


def _while_equal(mine: list[str], theirs: list[str]) -> list[tuple[str, str]]:
    pairs = list(zip(mine, theirs, strict=False))
    first = next((i for i, (one, other) in enumerate(pairs) if one != other), len(pairs))
    return pairs[:first]
