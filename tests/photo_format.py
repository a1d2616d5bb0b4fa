"""The schema and prompt of photo metadata, as the GPT-J recipes state them."""

from typing import Any

from ocrray.prompts.extraction import ExtractionFormat

NAMES = ("description", "title", "agency", "photographer", "date")
KEYS: dict[str, Any] = {
    "answer": "tags",
    "text_field": "description",
    "fields": {"type": "object", "properties": {name: {"type": "string"} for name in NAMES}},
}
"""Keys of `extract:` and of the training task."""
FORMAT = ExtractionFormat(**KEYS)
PROMPT = FORMAT.open_prompt()


def photo(*values: str | None, **named: str | None) -> dict[str, str | None]:
    """Fields of a photograph, positional in the order of the schema; null where nothing is given."""
    return {**dict.fromkeys(NAMES), **dict(zip(NAMES, values, strict=False)), **named}
