"""The dataset card: README.md of an output folder, with the front matter that Hugging Face's tools read."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from jinja2 import Environment

import ocrray
from ocrray.corpus.columns import described_columns
from ocrray.corpus.summary import Summary
from ocrray.corpus.templates import environment
from ocrray.folder import Folder
from ocrray.records import SCHEMA_VERSION, Status
from ocrray.text.normalise import sanitise

NAME = "README.md"

STATUS_MEANINGS: dict[Status, str] = {
    "corrected": "at least one edit stands",
    "unchanged": "nothing to correct",
    "kept_raw": "the correction was refused, or none could be made",
    "failed": "no corrected text, with the reason",
}


def write_card(
    output: str | Path | Folder,
    *,
    summary: Summary,
    title: str,
    description: str = "",
    license_id: str | None = None,
    languages: Sequence[str] = (),
) -> None:
    """Write README.md into the output folder.

    `license_id` is one of Hugging Face's identifiers (`cc-by-4.0`, ...; None says `unknown`), `languages` are ISO 639 codes.
    """
    text = (
        card_environment()
        .get_template("card.md.jinja")
        .render(
            front_matter=front_matter(title, license_id, languages),
            title=title,
            description=description,
            version=ocrray.__version__,
            schema_version=SCHEMA_VERSION,
            statuses=STATUS_MEANINGS,
            summary=summary,
            columns=described_columns(summary.passthrough),
        )
    )
    # Parts that do not apply leave runs of empty lines behind, which Markdown reads as one.
    Folder.at(output).write_text(NAME, re.sub(r"\n{3,}", "\n\n", text))


def card_environment() -> Environment:
    """Templates of cards, with the filters `line` and `code` for text from outside."""
    env = environment(autoescape=False)
    env.filters |= {"line": _line, "code": _code}
    return env


def front_matter(title: str, license_id: str | None, languages: Sequence[str]) -> str:
    """The YAML at the head of a card whose folder holds `data/*.parquet`."""
    fields = {
        "pretty_name": " ".join(sanitise(title).split()),
        "license": license_id or "unknown",
        "language": list(languages),
        "tags": ["ocr", "post-ocr-correction", "ocrray"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}],
    }
    present = {name: value for name, value in fields.items() if value}
    return yaml.safe_dump(present, sort_keys=False, allow_unicode=True)


def _line(text: str) -> str:
    """Text from outside as it may stand in a heading or a table cell: one line, in which nothing is mark-up."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(sanitise(text).split()))


def _code(name: str) -> str:
    return "`" + re.sub(r"[`|\s]", "\ufffd", sanitise(name)) + "`"
