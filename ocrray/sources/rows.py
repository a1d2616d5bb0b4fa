"""Rows of the work list: pages listed one by one, and texts that come by the thousand."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.errors import RecordError
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources.files import FileStat
from ocrray.sources.seen import Seen
from ocrray.sources.walk import Found
from ocrray.text.normalise import sanitise

MAX_TEXT_CHARS = 1_000_000
"""Default limit on the characters of one text; longer ones become failed records."""

# What `sanitise` would change, as far as it can occur in valid UTF-8.
_UNCLEAN = r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}]"


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
    """The row of one page of a file; with a `problem` it is listed as a failed record."""
    status = found.stat if isinstance(found.stat, FileStat) else FileStat(0, "")
    if problem is not None:
        known |= {"error_kind": problem.kind, "error": sanitise(str(problem))}
    return Row(f"{sanitise(found.name)}#{page}", found.location.uri, kind, page, status.size, status.etag, **known)


def table_of_rows(rows: Sequence[Row], passthrough: pa.Schema) -> pa.Table:
    """The rows as a table; they have no passthrough values."""
    columns = zip(*rows, strict=True) if rows else [[] for _ in WORK_LIST_SCHEMA]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, WORK_LIST_SCHEMA, strict=True)]
    blank = [pa.nulls(len(rows), field.type) for field in passthrough]
    return pa.table([*arrays, *blank], schema=pa.schema([*WORK_LIST_SCHEMA, *passthrough]))


@dataclass(slots=True)
class Texts:
    """Texts of one file, with the 0-based numbers of the rows, lines or paragraphs that they are.

    A text is null where `problems` (by position: kind, message) says why; `ids` are the user's own, where given.
    """

    numbers: np.ndarray
    texts: pa.Array
    problems: dict[int, tuple[str, str]] = field(default_factory=dict)
    ground_truths: pa.Array | None = None
    ids: pa.Array | None = None
    passthrough: Sequence[pa.Array] = ()


def table_of_texts(found: Found, kind: str, batch: Texts, passthrough: pa.Schema, max_text_chars: int) -> pa.Table:
    """The texts as rows of the work list, clean, and with a problem noted for each that cannot be used."""
    count, problems = len(batch.texts), dict(batch.problems)
    texts = clean(batch.texts)
    truths = pa.nulls(count, pa.string()) if batch.ground_truths is None else clean(batch.ground_truths)
    for values in (texts, truths):
        too_long = pc.greater(pc.utf8_length(values), max_text_chars)
        _note(problems, too_long, ("too_long", f"a text of more than input.max_text_chars ({max_text_chars:,}) characters"))
    _note(problems, pc.is_null(texts), ("missing_text", "there is no text here"))
    ids = record_ids(found, batch, problems)
    places = {position: f"{found.name}#{batch.numbers[position]}" for position in problems}
    kinds = [None] * count
    errors = [None] * count
    for position, (error_kind, message) in problems.items():
        kinds[position], errors[position] = error_kind, sanitise(f"{places[position]}: {message}")
    usable = pc.is_null(pa.array(kinds, pa.string()))
    known = {
        "record_id": ids,
        "uri": pa.repeat(found.location.uri, count),
        "kind": pa.repeat(kind, count),
        "page": pa.array(batch.numbers, pa.int32()),
        "size": pa.repeat(pa.scalar(found.stat.size, pa.int64()), count),
        "etag": pa.repeat(found.stat.etag, count),
        "text": pc.if_else(usable, texts, None),
        "ground_truth": pc.if_else(usable, truths, None),
        "image_uri": pa.nulls(count, pa.string()),
        "error_kind": pa.array(kinds, pa.string()),
        "error": pa.array(errors, pa.string()),
    }
    return pa.table([*known.values(), *batch.passthrough], schema=pa.schema([*WORK_LIST_SCHEMA, *passthrough]))


def record_ids(found: Found, batch: Texts, problems: dict[int, tuple[str, str]]) -> pa.Array:
    """The user's ids, or `<file>#<number>`; a missing one becomes a problem."""
    made = pc.binary_join_element_wise(pa.scalar(sanitise(found.name)), pc.cast(pa.array(batch.numbers), pa.string()), "#")
    if batch.ids is None:
        return made
    ids = pc.if_else(pc.equal(batch.ids, ""), None, batch.ids)
    _note(problems, pc.is_null(ids), ("missing_id", "the id column is empty here"))
    return pc.coalesce(clean(ids), made)


def clean(values: pa.Array) -> pa.Array:
    """Strings as a corpus may hold them (`text.normalise.sanitise`), by looking for the few that need it first."""
    dirty = pc.fill_null(pc.match_substring_regex(values, _UNCLEAN), False)
    if not pc.any(dirty).as_py():
        return values
    cleaned = [sanitise(value) for value in values.filter(dirty).to_pylist()]
    return pc.replace_with_mask(values, dirty, pa.array(cleaned, values.type))


def with_unique_ids(table: pa.Table, seen: Seen, copies: Counter[str]) -> pa.Table:
    """The table with each id that came before made `<id>~2`, `<id>~3`, ... and its row a failed one of kind `duplicate_id`."""
    ids = table["record_id"].to_pylist()
    again = np.flatnonzero(~seen.first(ids))
    if not len(again):
        return table
    rows = {name: table[name].to_pylist() for name in ("text", "ground_truth", "error_kind", "error")}
    for position in again.tolist():
        original = ids[position]
        while ids[position] in seen:
            copies[original] += 1
            ids[position] = f"{original}~{copies[original] + 1}"
        seen.first([ids[position]])
        message = f"{original}: another record before this one has the same id"
        for name, value in (("text", None), ("ground_truth", None), ("error_kind", "duplicate_id"), ("error", message)):
            rows[name][position] = value
    for name, values in {"record_id": ids, **rows}.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), pa.array(values, pa.string()))
    return table


def _note(problems: dict[int, tuple[str, str]], mask: pa.Array, problem: tuple[str, str]) -> None:
    for position in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist():
        problems.setdefault(position, problem)
