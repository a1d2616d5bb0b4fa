"""References to images in training tables: paths, bytes, and the structs and data URIs that hold either."""

import base64
import binascii
from urllib.parse import quote

from ocrray.errors import RecordError
from ocrray.sources.pages import named_file
from ocrray.sources.walk import Found
from ocrray.storage import Location, files
from ocrray.text.normalise import sanitise
from ocrray.training.cells import as_object, nested

Reference = dict[str, bytes | str | None]
"""Fields of `samples.IMAGE`."""


def image_reference(value: object, folder: Location) -> Reference | None:
    """Return the reference that a cell holds, not decoded: bytes, a path below `folder`, `{bytes, path}`, or a data URI.

    None stands for a cell without an image.

    Raises:
        RecordError: `image_missing`, `image_unsafe_path` (it leads out of `folder`), ..., `bad_image` where it is none of these.
    """
    fields = as_object(nested(value) if isinstance(value, str) else value)
    data, path = (fields.get("bytes"), fields.get("path")) if fields is not None else _bytes_or_path(value)
    if isinstance(data, str):  # JSON has no bytes
        data = _decoded(data)
    if isinstance(path, str) and path.startswith("data:"):
        data, path = _decoded(path.partition(",")[2]), None
    if not (isinstance(data, bytes | None) and isinstance(path, str | None)):
        raise RecordError(f"an image is bytes or a path, not {type(value).__name__}", kind="bad_image")
    if data:
        return {"bytes": data, "path": path or None}
    return {"bytes": None, "path": _file_below(folder, path)} if path else None


def _bytes_or_path(value: object) -> tuple[object, object]:
    return (value, None) if isinstance(value, bytes) else (None, value)


def _file_below(folder: Location, path: str) -> str:
    """Return the URI of a file; names are read literally, and with their %xx decoded where there is no such file."""
    inside = f"{folder.uri.rstrip('/')}/"
    path = sanitise(path).removeprefix(inside)
    table = Found(folder.name, folder.child("table"), files.FileStat(0, ""), "file")
    found = [named_file(table, quote(path)), *([named_file(table, path)] if "%" in path else [])]
    for file in found:
        if not isinstance(file.stat, RecordError):
            return file.location.uri
    problem = found[0].stat
    assert isinstance(problem, RecordError)
    raise RecordError(str(problem), kind=f"image_{problem.kind}")  # kinds of a table's own problems end the run


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RecordError("the image's bytes are no base64", kind="bad_image") from None
