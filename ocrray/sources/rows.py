"""Rows of the work list: pages of files, and batches of texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import RecordError
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources.seen import SeenKeys
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


def page_row(found: Found, kind: str, page: int = 0, problem: RecordError | None = None, **known: str | None) -> Row:
    """Return the row of one page of a file; with a `problem` it is a failed record."""
    status = found.known_stat
    if problem is not None:
        known |= {"error_kind": problem.kind, "error": sanitise(str(problem))}
    return Row(f"{sanitise(found.name)}#{page}", found.location.uri, kind, page, status.size, status.etag, **known)


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
    places = {position: f"{found.name}#{batch.numbers[position]}" for position in problems}
    kinds: list[str | None] = [None] * count
    errors: list[str | None] = [None] * count
    for position, (error_kind, message) in problems.items():
        kinds[position], errors[position] = error_kind, sanitise(f"{places[position]}: {message}")
    usable = pc.is_null(pa.array(kinds, pa.string()))
    known = {
        "record_id": ids,
        "uri": pa.repeat(found.location.uri, count),
        "kind": pa.repeat(kind, count),
        "page": pa.array(batch.numbers, pa.int32()),
        "size": pa.repeat(pa.scalar(found.known_stat.size, pa.int64()), count),
        "etag": pa.repeat(found.known_stat.etag, count),
        "text": pc.if_else(usable, texts, None),
        "ground_truth": pc.if_else(usable, truths, None),
        "image_uri": pa.nulls(count, pa.string()),
        "error_kind": pa.array(kinds, pa.string()),
        "error": pa.array(errors, pa.string()),
    }
    return pa.table([*known.values(), *batch.passthrough], schema=pa.schema([*WORK_LIST_SCHEMA, *passthrough]))


def record_ids(found: Found, batch: Texts, problems: Problems) -> pa.Array:
    """Return the user's ids, or `<file>#<number>`; a missing id is added to `problems`."""
    made = pc.binary_join_element_wise(pa.scalar(sanitise(found.name)), pc.cast(pa.array(batch.numbers), pa.string()), "#")
    if batch.ids is None:
        return made
    ids = pc.if_else(pc.equal(batch.ids, ""), None, batch.ids)
    _add_problems(problems, pc.is_null(ids), ("missing_id", "the id column is empty here"))
    return pc.coalesce(clean(ids), made)


def clean(values: pa.Array) -> pa.Array:
    """Apply `text.normalise.sanitise` to an array of strings, calling it only for those that need it."""
    dirty = pc.fill_null(pc.match_substring_regex(values, _UNCLEAN), False)
    if not pc.any(dirty).as_py():
        return values
    cleaned = [sanitise(value) for value in values.filter(dirty).to_pylist()]
    return pc.replace_with_mask(values, dirty, pa.array(cleaned, values.type))


def with_unique_ids(table: pa.Table, seen: SeenKeys, copies: Counter[str]) -> pa.Table:
    """Rename each repeated id to `<id>~2`, `<id>~3`, ... and turn its row into a failed record (`duplicate_id`).

    `seen` holds the ids of all rows so far, `copies` the number of repetitions of each id.
    """
    ids = table["record_id"].to_pylist()
    again = np.flatnonzero(~seen.add(ids))
    if not len(again):
        return table
    rows = {name: table[name].to_pylist() for name in ("text", "ground_truth", "error_kind", "error")}
    for position in again.tolist():
        original = ids[position]
        while ids[position] in seen:
            copies[original] += 1
            ids[position] = f"{original}~{copies[original] + 1}"
        seen.add([ids[position]])
        message = f"{original}: another record before this one has the same id"
        for name, value in (("text", None), ("ground_truth", None), ("error_kind", "duplicate_id"), ("error", message)):
            rows[name][position] = value
    for name, values in {"record_id": ids, **rows}.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), pa.array(values, pa.string()))
    return table


def _add_problems(problems: Problems, mask: pa.Array, problem: tuple[str, str]) -> None:
    for position in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
        problems.setdefault(position, problem)
