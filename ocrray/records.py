"""The vocabulary: what one row of a corpus holds, and its Arrow schema.

From the work list to the Parquet sink a batch is one `pyarrow.Table` with exactly `SCHEMA`'s columns (then the user's passthrough
columns). A stage replaces the columns that it computes and touches no other, so rows in = rows out holds by construction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

SCHEMA_VERSION = 4

IMAGE_KINDS = ("image", "pdf")
"""The values of `source_kind` that stand for a scan; all others hold text."""

Status = Literal["corrected", "unchanged", "kept_raw", "failed"]
STATUSES: tuple[Status, ...] = ("corrected", "unchanged", "kept_raw", "failed")


@dataclass(frozen=True, slots=True)
class Word:
    """One word on a page; the box is in pixels (or the file's own unit) from the top left, `confidence` in 0..1."""

    text: str
    left: int | None = None
    top: int | None = None
    right: int | None = None
    bottom: int | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line on a page, in reading order; its text is what `raw_text` holds between two line feeds."""

    text: str
    left: int | None = None
    top: int | None = None
    right: int | None = None
    bottom: int | None = None
    confidence: float | None = None
    words: Sequence[Word] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """`raw_text[start:end]`, which reads `raw`, became `corrected`; offsets count characters (code points).

    `probability` is how sure the engine was of it, 0..1; None where it does not say. It does not tell edits apart.
    """

    start: int
    end: int
    raw: str
    corrected: str
    probability: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard said of the correction of `raw_text[start:end]`: whole words that were changed together.

    `reason` is empty when accepted; otherwise one of the guard's rules or families of signals, or why the engine did not correct
    the passage. `score` is how likely the scorer holds the change to be wrong, 0..1; None without one.
    """

    start: int
    end: int
    accepted: bool
    reason: str = ""
    similarity: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class PhotoFields:
    """What a caption tells of a photograph, each on one line; None where it says nothing."""

    description: str | None = None
    title: str | None = None
    agency: str | None = None
    photographer: str | None = None
    date: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, str | None]) -> "PhotoFields":
        """The fields among the columns of `row`, white space collapsed; a blank one, or one that is not there, is None."""
        return cls(*(" ".join((row.get(name) or "").split()) or None for name in cls.__slots__))

    def to_row(self) -> dict[str, str | None]:
        """The fields as the dictionary that Arrow takes."""
        return {name: getattr(self, name) for name in self.__slots__}


def lines_to_rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Lines with their words as the dictionaries that Arrow takes, written out because `dataclasses.asdict` is slow."""
    return [
        {
            "text": line.text,
            "left": line.left,
            "top": line.top,
            "right": line.right,
            "bottom": line.bottom,
            "confidence": line.confidence,
            "words": [
                {
                    "text": word.text,
                    "left": word.left,
                    "top": word.top,
                    "right": word.right,
                    "bottom": word.bottom,
                    "confidence": word.confidence,
                }
                for word in line.words
            ],
        }
        for line in lines
    ]


def edits_to_rows(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Edits as the dictionaries that Arrow takes."""
    return [{name: getattr(edit, name) for name in Edit.__slots__} for edit in edits]


def verdicts_to_rows(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Verdicts as the dictionaries that Arrow takes."""
    return [{name: getattr(verdict, name) for name in Verdict.__slots__} for verdict in verdicts]


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
_FIELDS = pa.struct([(name, pa.string()) for name in PhotoFields.__slots__])

SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("status", pa.string()),
        ("raw_text", pa.string()),
        ("corrected_text", pa.string()),
        ("ground_truth", pa.string()),
        ("lines", pa.list_(_LINE)),
        ("edits", pa.list_(_EDIT)),  # from raw_text to corrected_text
        ("refused_edits", pa.list_(_EDIT)),  # proposed by the corrector, refused by the guard
        ("verdicts", pa.list_(_VERDICT)),
        ("guard_reason", pa.string()),  # set when status is kept_raw
        ("estimated_cer", pa.float32()),  # null where no tagger read the text
        ("tagger_edits", pa.list_(_EDIT)),  # what the tagger proposed before the record was sent on; null where it was not
        ("fields", _FIELDS),  # these two are null where nothing was extracted
        ("field_candidates", pa.list_(_FIELDS)),
        ("failed_stage", pa.string()),  # these three are set when status is failed
        ("error_kind", pa.string()),
        ("error", pa.string()),
        ("source_uri", pa.string()),
        ("source_kind", pa.string()),  # image, pdf, alto, page, hocr, text or table
        ("page", pa.int32()),  # 0-based index of the page, or of the row, inside source_uri
        ("image_uri", pa.string()),  # the scan behind the text, where one is known
        ("content_hash", pa.string()),  # sha256 of the source's bytes (of the text, for rows of a table)
        ("recognizer", pa.string()),
        ("corrector", pa.string()),
        ("model", pa.string()),
        ("model_revision", pa.string()),
        ("adapter", pa.string()),
        ("prompt_version", pa.string()),
        ("input_tokens", pa.int32()),
        ("output_tokens", pa.int32()),
        ("recognize_s", pa.float32()),
        ("correct_s", pa.float32()),
        ("ground_truth_chars", pa.int32()),  # these three are null without ground truth
        ("raw_distance", pa.int32()),
        ("corrected_distance", pa.int32()),
    ],
    metadata={"ocrray_schema_version": str(SCHEMA_VERSION)},
)

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
    ]
)
