"""Rows of the work list: pages of files, and batches of texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import RecordError
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources.walk import Found
from ocrray.text.normalise import sanitise

MAX_TEXT_CHARS = 1_000_000
"""Default limit on the characters of one text; longer ones become failed records."""

# What `sanitise` would change, as far as it can occur in valid UTF-8.
_UNCLEAN = r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}]"


Problems = dict[int, tuple[str, str]]
"""Kind and message of the error of a row, by its position in the batch."""


class Row(NamedTuple):
    """One row, with the fields of `WORK_LIST_SCHEMA`."""

    record_id: str
    uri: str
    kind: str
    page: int
    size: int
    etag: str
    text: str | None = None
    ground_truth: str | None = None
    image_uri: str | None = None
    error_kind: str | None = None
    error: str | None = None
    gone: bool = False


def page_row(
    found: Found, kind: str, page: int = 0, problem: RecordError | None = None, *, ground_truth: str | None = None
) -> Row:
    """Return the row of one page of a file; with a `problem` it is a failed record."""
    status = found.known_stat
    row = Row(f"{sanitise(found.name)}#{page}", found.location.uri, kind, page, status.size, status.etag, None, ground_truth)
    return row if problem is None else row._replace(error_kind=problem.kind, error=sanitise(str(problem)))


def table_of_rows(rows: Sequence[Row], passthrough: pa.Schema) -> pa.Table:
    """Return the rows as a table with null passthrough columns."""
    columns = zip(*rows, strict=True) if rows else [[] for _ in WORK_LIST_SCHEMA]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, WORK_LIST_SCHEMA, strict=True)]
    blank = [pa.nulls(len(rows), field.type) for field in passthrough]
    return pa.table([*arrays, *blank], schema=pa.schema([*WORK_LIST_SCHEMA, *passthrough]))


@dataclass(slots=True)
class Texts:
    """Batch of texts of one file."""

    numbers: np.ndarray
    """0-based numbers of the rows, lines or paragraphs in the file."""
    texts: pa.Array
    """Strings; null where a text is missing or has a problem."""
    problems: Problems = field(default_factory=dict)
    ground_truths: pa.Array | None = None
    ids: pa.Array | None = None
    """User's own ids."""
    passthrough: Sequence[pa.Array] = ()
    lines: int = 0
    """Lines of a CSV or TSV that these rows stand in; 0 for other files."""
    unclear: Sequence[str] = ()
    """Messages about rows over several lines that can be read as several rows too."""


def table_of_texts(found: Found, kind: str, batch: Texts, passthrough: pa.Schema, max_text_chars: int) -> pa.Table:
    """Return the texts as rows of the work list, sanitised; a text that cannot be used becomes a failed record."""
    count, problems = len(batch.texts), dict(batch.problems)
    texts = clean(batch.texts)
    truths = pa.nulls(count, pa.string()) if batch.ground_truths is None else clean(batch.ground_truths)
    for values in (texts, truths):
        too_long = pc.greater(pc.utf8_length(values), max_text_chars)
        _add_problems(
            problems, too_long, ("too_long", f"a text of more than input.max_text_chars ({max_text_chars:,}) characters")
        )
    _add_problems(problems, pc.is_null(texts), ("missing_text", "there is no text here"))
    ids = record_ids(found, batch, problems)
    if problems:
        kinds, errors = _errors(found, batch, problems)
        usable = pc.is_null(kinds)
        texts, truths = pc.if_else(usable, texts, None), pc.if_else(usable, truths, None)
    else:
        kinds = errors = pa.nulls(count, pa.string())
    known = {
        "record_id": ids,
        "uri": pa.repeat(found.location.uri, count),
        "kind": pa.repeat(kind, count),
        "page": pa.array(batch.numbers, pa.int32()),
        "size": pa.repeat(pa.scalar(found.known_stat.size, pa.int64()), count),
        "etag": pa.repeat(found.known_stat.etag, count),
        "text": texts,
        "ground_truth": truths,
        "image_uri": pa.nulls(count, pa.string()),
        "error_kind": kinds,
        "error": errors,
        "gone": pa.repeat(False, count),
    }
    return pa.table([*known.values(), *batch.passthrough], schema=pa.schema([*WORK_LIST_SCHEMA, *passthrough]))


def record_ids(found: Found, batch: Texts, problems: Problems) -> pa.Array:
    """Return the user's ids, or `<file>#<number>`; a missing id is added to `problems`."""
    if batch.ids is None:
        return _made_ids(found, batch)
    ids = clean(pc.if_else(pc.equal(batch.ids, ""), None, batch.ids))
    if not ids.null_count:
        return ids
    _add_problems(problems, pc.is_null(ids), ("missing_id", "the id column is empty here"))
    return pc.coalesce(ids, _made_ids(found, batch))


def clean(values: pa.Array) -> pa.Array:
    """Apply `text.normalise.sanitise` to an array of strings, calling it only for those that need it."""
    if not _may_be_unclean(values):
        return values
    dirty = pc.fill_null(pc.match_substring_regex(values, _UNCLEAN), False)
    if not pc.any(dirty).as_py():
        return values
    cleaned = [sanitise(value) for value in values.filter(dirty).to_pylist()]
    return pc.replace_with_mask(values, dirty, pa.array(cleaned, values.type))


def _may_be_unclean(values: pa.Array) -> bool:
    """Return whether `_UNCLEAN` may match, from the bytes of all values at once: twenty times as fast as the expression."""
    _, offsets, data = values.buffers()
    if not offsets or not data:
        return False
    ends = np.frombuffer(offsets, np.int32)
    octets = np.frombuffer(data, np.uint8)[ends[values.offset] : ends[values.offset + len(values)]]
    controls = octets[(octets < 0x20) | (octets == 0x7F)]
    if not np.isin(controls, (0x09, 0x0A)).all():
        return True
    following = octets[np.flatnonzero(octets[:-1] == 0xC2) + 1]  # UTF-8 of U+0080 to U+00BF
    return bool((following < 0xA0).any())


def _made_ids(found: Found, batch: Texts) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(sanitise(found.name)), pc.cast(pa.array(batch.numbers), pa.string()), "#")


def _errors(found: Found, batch: Texts, problems: Problems) -> tuple[pa.Array, pa.Array]:
    """Return the columns `error_kind` and `error`."""
    kinds: list[str | None] = [None] * len(batch.texts)
    errors: list[str | None] = [None] * len(batch.texts)
    for position, (kind, message) in problems.items():
        kinds[position], errors[position] = kind, sanitise(f"{found.name}#{batch.numbers[position]}: {message}")
    return pa.array(kinds, pa.string()), pa.array(errors, pa.string())


def _add_problems(problems: Problems, mask: pa.Array, problem: tuple[str, str]) -> None:
    for position in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
        problems.setdefault(position, problem)
