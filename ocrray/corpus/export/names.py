"""Names of exported files: their paths relative to the deepest folder that contains all of them."""

from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import quote

from ocrray.errors import RecordError
from ocrray.storage import Location


@dataclass(slots=True)
class RelativeNames:
    """Paths relative to the deepest common folder of all added files; unique as the files are."""

    _parts: list[str] | None = None

    def add(self, uri: str) -> None:
        """Add a file; a URI that names none is left out, and its document fails when it is written."""
        with suppress(RecordError):
            self._add(_parts(uri)[:-1])

    def merge(self, other: "RelativeNames") -> None:
        """Add all files that were added to `other`."""
        if other._parts is not None:
            self._add(other._parts)

    def name_of(self, uri: str) -> str:
        """Return the relative path of an added file.

        Raises: RecordError: `bad_path` or `unsafe_path` when it has an empty, `.` or `..` component.
        """
        parts = _parts(uri)[len(self._parts or ()) :]
        if any(part in ("", ".", "..") for part in parts):
            raise RecordError(f"{uri}: not a safe file name", kind="unsafe_path")
        return "/".join(parts)

    def _add(self, parts: list[str]) -> None:
        if self._parts is None:
            self._parts = parts
        elif parts[: len(self._parts)] != self._parts:
            self._parts = _common_prefix(self._parts, parts)


def _parts(uri: str) -> list[str]:
    location = Location.at(uri)
    # Files of several stores: each store has a folder.
    return [quote(location.prefix + location.query, safe="") or "file", *location.path.removeprefix("/").split("/")]


def _common_prefix(one: list[str], other: list[str]) -> list[str]:
    return [pair[0] for pair in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]
