"""Vocabulary of training data: the columns that a task reads, and the samples that it makes of them."""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

NO_LOSS = -100
"""Label of a position that adds nothing to the loss; torch's own `ignore_index`."""

ColumnKind = Literal["text", "scalar", "json", "image"]
"""Type of a column in the data files and of what `data.Reader` delivers for it.

text:   a string; any other value is an error of its row (`wrong_type`).
scalar: a string, or any other value, delivered as a string (numbers as JSON writes them).
json:   any JSON value, or a string that holds one (`bad_json` where it does not); delivered as JSON text.
image:  the path or URI of an image, or its bytes (alone, or as Hugging Face's `{bytes, path}`); delivered as IMAGE, not decoded.
"""

IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""A reference to an encoded image: its bytes where the data file holds them, else its URI. The storage of `datasets.Image`."""

ARROW_TYPES: dict[ColumnKind, pa.DataType] = {"text": pa.string(), "scalar": pa.string(), "json": pa.string(), "image": IMAGE}

SAMPLES = pa.schema(
    [
        pa.field("input_ids", pa.list_(pa.int32())),
        pa.field("labels", pa.list_(pa.int32())),  # NO_LOSS where nothing is learned
        pa.field("length", pa.int32()),  # tokens
        pa.field("source", pa.string()),
        pa.field("target", pa.string()),
        pa.field("images", pa.list_(IMAGE)),  # decoded by the collator (`images.open_image`), never before; null without images
        pa.field("dropped", pa.string()),  # reason why a row, or a part of it, gave no sample; null for a sample
        pa.field("row", pa.int64()),  # position of the row that the sample was made of
    ]
)
"""Schema of the samples of all tasks."""

Facts = dict[str, Any]
"""Values that a task derives from the whole training set before any row is encoded (the labels of a tagger); JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a task reads."""

    name: str
    """Name in the tables that `Task.encode` gets."""
    source: str
    """Name in the data files."""
    kind: ColumnKind = "text"
