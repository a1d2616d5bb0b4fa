"""Config section `input`: which files to read, and how."""

import codecs
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from ocrray.config import StrictModel
from ocrray.records import RESERVED_NAMES
from ocrray.sources.kinds import IMAGE_KINDS, KINDS, TEXT_LAYER_KINDS
from ocrray.sources.rows import MAX_TEXT_CHARS
from ocrray.sources.streams import TextEncoding

AUTO = "auto"
_KIND_NAMES = (AUTO, *KINDS)


def _known_kind(name: str) -> str:
    if name not in _KIND_NAMES:
        raise ValueError(f"{name} is none of {', '.join(_KIND_NAMES)}")
    return name


Kind = Annotated[str, AfterValidator(_known_kind), Field(json_schema_extra={"enum": list(_KIND_NAMES)})]
"""A name in `sources.kinds.KINDS`, or `auto`: every kind that is found."""


def _known_encoding(name: str) -> str:
    try:
        codec = codecs.lookup(name)
        ascii_based = "a\n".encode(name) == b"a\n"
    except (LookupError, TypeError):
        raise ValueError(f"{name} is not an encoding that Python knows") from None
    if not ascii_based:
        raise ValueError(f"{name} is not based on ASCII; convert the files to UTF-8")
    return codec.name


Encoding = Annotated[str, AfterValidator(_known_encoding)]
"""Name of an encoding that encodes line ends and ASCII as UTF-8 does."""


class InputConfig(StrictModel):
    """Files, tables and scans to read."""

    KEYS: ClassVar[dict[str, str] | None] = None
    """Config keys of these fields where another section than `input` sets them, for messages; the others cannot be set there."""
    _answers: frozenset[str] = PrivateAttr(frozenset())

    paths: list[str] = Field(min_length=1)
    """Files, folders, globs, and `@list` files with one path a line; local, `s3://` or `gs://`."""
    kind: Kind = AUTO
    """Only files of this kind; `auto`: of every kind. Also says what a named file without a known extension is."""
    id_column: str | None = None
    """Column of tables with unique record ids; null: ids are made of file name and row number."""
    text_column: str | None = None
    """Column of tables with the texts; null: `text` or `ocr`, if a table has one of the two."""
    ground_truth_column: str | None = None
    """Column of tables with the true texts."""
    image_column: str | None = None
    """Column of tables with file names of scans, relative to the table's folder: each row is then a scan to recognize."""
    passthrough: list[str] = Field(default_factory=list)
    """Columns of tables that are copied into the corpus."""
    pdf: Literal["recognize", "text", "auto"] = "recognize"
    """Text of PDF pages: `recognize` renders and recognizes them, `text` reads the text layer that the file holds, and needs no
    recognizer; `auto` reads the layer of each page where it seems sound, and recognizes the others."""
    text_unit: Literal["line", "paragraph", "file"] = "line"
    """Part of a plain text file that is one record; paragraphs are separated by blank lines."""
    encoding: Encoding = "utf-8"
    """Encoding of plain text, CSV and JSON; one based on ASCII. A byte order mark in a file says that it is UTF-8, 16 or 32."""
    max_pixels: int = Field(default=200_000_000, gt=0)
    """Largest width x height of a scan; larger ones are failed records, PDF pages are rendered at a lower resolution."""
    max_file_bytes: int = Field(default=1 << 30, gt=0)
    """Largest size in bytes of files that are read whole: scans, OCR files, and text with `text_unit: file`."""
    max_text_chars: int = Field(default=MAX_TEXT_CHARS, gt=0)
    """Most characters of one line, paragraph or table cell; longer ones are failed records."""

    @property
    def recognized_kinds(self) -> tuple[str, ...]:
        """Return the kinds of which a page may need a recognizer."""
        return tuple(kind for kind in IMAGE_KINDS if self.pdf != "text" or kind not in TEXT_LAYER_KINDS)

    @property
    def text_layer_kinds(self) -> tuple[str, ...]:
        """Return the kinds of which pages are read as images only where their text layer is of no use."""
        return () if self.pdf == "recognize" else TEXT_LAYER_KINDS

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if self.image_column and self.text_column:
            raise ValueError("a table holds either texts (text_column) or scans (image_column)")
        if reserved := sorted(RESERVED_NAMES & set(self.passthrough)):
            raise ValueError(f"passthrough: {', '.join(reserved)}: the corpus has a column of that name itself; rename yours")
        if len(set(self.passthrough)) < len(self.passthrough):
            raise ValueError("passthrough names a column twice")
        return self

    def key(self, field: str) -> str:
        """Return the config key that sets a field, empty where users cannot."""
        return f"input.{field}" if self.KEYS is None else self.KEYS.get(field, "")

    @property
    def text_encoding(self) -> TextEncoding:
        """Return `encoding`, with its key."""
        return TextEncoding(self.encoding, self.key("encoding"))

    @property
    def answers(self) -> frozenset[str]:
        """Return the columns of `passthrough` that hold corrections, in which an empty cell of CSV or TSV is a missing one."""
        return self._answers

    def with_answers(self, columns: Iterable[str]) -> Self:
        """Return the same settings with these `answers`."""
        copy = self.model_copy()
        copy._answers = frozenset(columns)
        return copy
