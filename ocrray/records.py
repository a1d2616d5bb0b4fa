"""Vocabulary of a corpus: every column of a row with its Arrow type and meaning, and the nested types in Python and Arrow form.

Between the work list and the Parquet sink a batch is one `pyarrow.Table` with the columns of `SCHEMA`, the user's passthrough
columns, and `RUN_COLUMNS`, which the last map drops.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

SCHEMA_VERSION = 7

Status = Literal["corrected", "unchanged", "kept_raw", "failed"]
STATUS_MEANINGS: dict[Status, str] = {
    "corrected": "at least one edit was accepted",
    "unchanged": "nothing to correct",
    "kept_raw": "the correction was refused, or none could be made",
    "failed": "no corrected text; the reason is given",
}
STATUSES: tuple[Status, ...] = tuple(STATUS_MEANINGS)

TRANSIENT_KINDS = frozenset({"missing", "read_error"})
"""Values of `error_kind` whose reason may pass: the same command run again processes such records again."""

_PASSING_STATUSES = (408, 409, 425, 429, 500, 502, 503, 504, 529)
TRANSIENT_REASONS = frozenset(("connection_lost", "error_in_answer", "timeout", *(f"http_{code}" for code in _PASSING_STATUSES)))
"""Values of `guard_reason` whose reason may pass, of records that a server alone did not answer; as above."""

TRANSIENT_ANSWER_KINDS = TRANSIENT_REASONS - {"timeout"}
"""Values of `error_kind` of pages that a server did not read, for a reason that may pass; a Tesseract's `timeout` may not."""


AWAITING_ANSWER = "awaiting_answer"

WARNING_MEANINGS: dict[str, str] = {
    AWAITING_ANSWER: "a request for its correction is in a batch file that has no answer yet; run again when it has",
    "guard_not_fitted": "the guard's scorer does not know the script or language: rules and script-neutral signals judged",
    "json_closed": "the answer was cut off; its whole values are in the fields, and some may be missing",
    "no_text": "the page has ink, but no text was recognized on it",
    "read_by_fallback": "the answer of the recognizer did not count, and its fallback read the page; the column error says why",
    "text_layer_doubtful": "the text layer of the PDF page looks broken or leaves out most of what is printed",
    "text_not_read": "the OCR file holds text that was not read",
    "wrapping_removed": "a wrapping around the answer of a model (a code fence, a preamble) was taken off",
}
"""Values of `warnings`: what a person should look at in a record that did not fail."""


@dataclass(frozen=True, slots=True)
class Word:
    """Word on a page; the box is in pixels (or the file's own unit) from the top left, `confidence` is in 0..1."""

    text: str
    left: int | None = None
    top: int | None = None
    right: int | None = None
    bottom: int | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Line on a page, in reading order; `raw_text` is the text of all lines, joined by line feeds."""

    text: str
    left: int | None = None
    top: int | None = None
    right: int | None = None
    bottom: int | None = None
    confidence: float | None = None
    words: Sequence[Word] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """Replacement of `raw_text[start:end]`, which reads `raw`, by `corrected`; offsets count code points.

    `probability` is the engine's, 0..1, None if it gives none; edits that differ in nothing else are equal.
    """

    start: int
    end: int
    raw: str
    corrected: str
    probability: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Decision of the guard on one span, `raw_text[start:end]`: whole words that were changed together.

    `reason` is empty when accepted; otherwise a rule of the guard, a family of signals, or the reason why the engine did not
    correct the passage. `score` is the scorer's probability that the change is wrong, 0..1; None without a scorer.
    """

    start: int
    end: int
    accepted: bool
    reason: str = ""
    similarity: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """Part of a record that went to the corrector in one piece and that the guard has to judge: `raw_text[start:end]`.

    `reason` is empty when the corrector changed the passage, otherwise the reason why it did not correct it.
    """

    start: int
    end: int
    reason: str = ""


_BOX = [("left", pa.int32()), ("top", pa.int32()), ("right", pa.int32()), ("bottom", pa.int32())]
_WORD = pa.struct([("text", pa.string()), *_BOX, ("confidence", pa.float32())])
_LINE = pa.struct([("text", pa.string()), *_BOX, ("confidence", pa.float32()), ("words", pa.list_(_WORD))])
_EDIT = pa.struct(
    [
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("raw", pa.string()),
        ("corrected", pa.string()),
        ("probability", pa.float32()),
    ]
)
_VERDICT = pa.struct(
    [
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("accepted", pa.bool_()),
        ("reason", pa.string()),
        ("similarity", pa.float32()),
        ("score", pa.float32()),
    ]
)
_DIVISION = pa.struct([("at", pa.int32()), ("word", pa.string())])
_PASSAGE = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("reason", pa.string())])


class Column(NamedTuple):
    """One column of a corpus; `meaning` is one clause for a reader of the data, in Markdown."""

    name: str
    type: pa.DataType
    meaning: str


COLUMNS = (
    Column("record_id", pa.string(), "stable, unique id of the record, from its URI and page or from the user's own id column"),
    Column(
        "status",
        pa.string(),
        "`corrected`, `unchanged`, `kept_raw` (the correction was refused, or none could be made) or `failed`",
    ),
    Column(
        "raw_text",
        pa.string(),
        "the text as it was read or recognized, before any correction; of a page that became fields, or was not read, the answer "
        "as its model wrote it",
    ),
    Column("corrected_text", pa.string(), "the text to use; equal to `raw_text` unless corrected, null only when failed"),
    Column(
        "dehyphenated_text",
        pa.string(),
        "`corrected_text` with words that are divided at line ends made whole; null without `dehyphenate`",
    ),
    Column("ground_truth", pa.string(), "the true text, where one was given"),
    Column("lines", pa.list_(_LINE), "lines of the page in reading order, with boxes, confidence and words, as recognized"),
    Column(
        "edits",
        pa.list_(_EDIT),
        "changed character spans, from `raw_text` to `corrected_text`; `probability` is the corrector's, where it gives one",
    ),
    Column("refused_edits", pa.list_(_EDIT), "edits that the corrector proposed and the guard refused"),
    Column(
        "verdicts",
        pa.list_(_VERDICT),
        "the guard's decision on each changed span: accepted or not, reason, similarity, score (probability of an error, 0..1)",
    ),
    Column("guard_reason", pa.string(), "why the raw text was kept, when status is `kept_raw`"),
    Column(
        "estimated_cer",
        pa.float32(),
        "share of characters still wrong after the tagger's own edits, as it estimates it: for ranking",
    ),
    Column(
        "tagger_edits",
        pa.list_(_EDIT),
        "edits that the tagger proposed for a record that was sent on to the `corrector`; null for all others",
    ),
    Column(
        "fields",
        pa.null(),  # in a run that extracts fields or reads pages into them, the struct of its schema
        "values extracted from the text, or read from the page, in the types of the run's schema; null where there are none",
    ),
    Column(
        "field_candidates",
        pa.null(),  # in a run with `extract`, a list of such structs
        "the well-formed answers in the order drawn; `fields` is the one that agrees most with the others",
    ),
    Column("answers", pa.list_(pa.string()), "all answers that `fields` were drawn from, as the model wrote them"),
    Column("failed_stage", pa.string(), "the stage in which the record failed"),
    Column("error_kind", pa.string(), "the kind of failure, one or two words"),
    Column("error", pa.string(), "what went wrong, in one line"),
    Column("warnings", pa.list_(pa.string()), "what to look at in a record that did not fail, by name; null without any"),
    Column("source_uri", pa.string(), "the file that the record was read from"),
    Column("source_kind", pa.string(), "kind of the input, such as `image`, `alto` or `table`"),
    Column("page", pa.int32(), "0-based index of the page, or of the row, inside `source_uri`"),
    Column("image_uri", pa.string(), "the scan behind the text, where one is known"),
    Column("content_hash", pa.string(), "sha256 of the source's bytes (of the text, for rows of a table)"),
    Column("recognizer", pa.string(), "the engine that recognized the text; empty or null where the input already was text"),
    Column("corrector", pa.string(), "the engine that corrected the text"),
    Column("model", pa.string(), "the corrector's model"),
    Column(
        "model_revision", pa.string(), "the model's revision, and after a plus sign the number format that an edit tagger ran in"
    ),
    Column("adapter", pa.string(), "the adapter (LoRA) on top of the model"),
    Column("prompt_version", pa.string(), "version of the prompt template that the model was asked with"),
    Column("input_tokens", pa.int32(), "tokens the corrector read"),
    Column("output_tokens", pa.int32(), "tokens the corrector wrote"),
    Column("recognize_s", pa.float32(), "seconds spent recognizing the record"),
    Column("correct_s", pa.float32(), "seconds spent correcting the record (its share of a batch)"),
    Column(
        "ground_truth_chars",
        pa.int32(),
        "characters of the ground truth, in NFC with white space collapsed; null without ground truth",
    ),
    Column("raw_distance", pa.int32(), "Levenshtein distance of `raw_text` to the ground truth, normalised alike"),
    Column("corrected_distance", pa.int32(), "Levenshtein distance of `corrected_text` to the ground truth, normalised alike"),
    Column("gone", pa.bool_(), "true where an update (`update: true`) found the input without this record"),
)
"""Columns of the corpus in their order: the only place that a new one is defined; card and docs list them from here."""

RUN_COLUMNS = (
    Column(
        "_divisions", pa.list_(_DIVISION), "line ends in `raw_text` where the file says that a word is divided, and that word"
    ),
    Column("_passages", pa.list_(_PASSAGE), "passages that the guard has to judge; null where no corrector read the record"),
    Column("_sent_on", pa.bool_(), "whether the tagger sent the record on to the corrector; null without `route`"),
)
"""Columns that exist only between two stages of a run, and are never written."""


def schema_for(fields: pa.DataType | None = None) -> pa.Schema:
    """Return the schema of a corpus whose fields have this type; null without fields."""
    types = {} if fields is None or pa.types.is_null(fields) else {"fields": fields, "field_candidates": pa.list_(fields)}
    columns = [(column.name, types.get(column.name, column.type)) for column in COLUMNS]
    return pa.schema(columns, metadata={"ocrray_schema_version": str(SCHEMA_VERSION)})


SCHEMA = schema_for()
"""Schema of a corpus without extracted fields."""

WORK_LIST_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("uri", pa.string()),
        ("kind", pa.string()),
        ("page", pa.int32()),
        ("size", pa.int64()),  # bytes of the whole file behind uri
        ("etag", pa.string()),  # changes when the file does: size-mtime, or the object store's own
        ("text", pa.string()),  # rows of tables and text files carry their text with them; null where a file must be opened
        ("ground_truth", pa.string()),
        ("image_uri", pa.string()),
        ("error_kind", pa.string()),  # set when listing already found the record unusable (a duplicate id, a missing page)
        ("error", pa.string()),
        ("gone", pa.bool_()),  # an update found the input without it
    ]
)

RESERVED_NAMES = frozenset({*SCHEMA.names, *WORK_LIST_SCHEMA.names, *(column.name for column in RUN_COLUMNS)})
"""Names that no column of the user's own can have in a corpus."""


def lines_to_rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Convert lines with their words into the dictionaries that Arrow takes (`dataclasses.asdict` takes ten times as long)."""
    return [{**_box_to_row(line), "words": [_box_to_row(word) for word in line.words]} for line in lines]


def lines_from_column(pages: pa.ChunkedArray) -> Iterator[list[Line] | None]:
    """Yield the lines of every row of the column `lines`, None for a null; boxes are left out, which saves half of the time."""
    column = pages.combine_chunks()
    lines = column.flatten()
    words = lines.field("words").flatten()
    all_words = map(_unboxed_word, words.field("text").to_pylist(), words.field("confidence").to_pylist())
    parts = (lines.field("text").to_pylist(), lines.field("confidence").to_pylist(), _lengths(lines.field("words")))
    all_lines = (
        Line(text, confidence=confidence, words=list(islice(all_words, length)))
        for text, confidence, length in zip(*parts, strict=True)
    )
    for valid, length in zip(column.is_valid().to_pylist(), _lengths(column), strict=True):
        of_row = list(islice(all_lines, length))
        yield of_row if valid else None


def edits_to_rows(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Convert edits into the dictionaries that Arrow takes."""
    return [{"start": e.start, "end": e.end, "raw": e.raw, "corrected": e.corrected, "probability": e.probability} for e in edits]


def edits_from_rows(rows: Iterable[Mapping[str, Any]] | None) -> list[Edit]:
    """Convert the value of a column of edits into edits; none for a null. A corpus before schema 4 has no probabilities."""
    return [Edit(row["start"], row["end"], row["raw"], row["corrected"], row.get("probability")) for row in rows or ()]


def verdicts_to_rows(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Convert verdicts into the dictionaries that Arrow takes."""
    return [{name: getattr(verdict, name) for name in Verdict.__slots__} for verdict in verdicts]


def verdicts_from_rows(rows: Iterable[Mapping[str, Any]] | None) -> list[Verdict]:
    """Convert the value of the column `verdicts` into verdicts; none for a null."""
    names = ("similarity", "score")
    return [Verdict(row["start"], row["end"], row["accepted"], row["reason"] or "", *map(row.get, names)) for row in rows or ()]


def passages_to_rows(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Convert passages into the dictionaries that Arrow takes."""
    return [{"start": passage.start, "end": passage.end, "reason": passage.reason} for passage in passages]


def passages_from_rows(rows: Iterable[Mapping[str, Any]] | None) -> list[Passage]:
    """Convert the value of the column `_passages` into passages; none for a null."""
    return [Passage(row["start"], row["end"], row["reason"]) for row in rows or ()]


def merge_warnings(old: Sequence[str] | None, new: Iterable[str]) -> list[str] | None:
    """Return the value of `warnings` with more names: each once, sorted; null for none."""
    return sorted({*(old or ()), *new}) or None


def _box_to_row(box: Line | Word) -> dict[str, Any]:
    return {
        "text": box.text,
        "left": box.left,
        "top": box.top,
        "right": box.right,
        "bottom": box.bottom,
        "confidence": box.confidence,
    }


def _unboxed_word(text: str, confidence: float | None) -> Word:
    return Word(text, confidence=confidence)


def _lengths(lists: pa.Array) -> list[int]:
    lengths: list[int] = pc.fill_null(pc.list_value_length(lists), 0).to_pylist()
    return lengths
