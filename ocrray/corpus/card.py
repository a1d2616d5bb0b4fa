"""Dataset card: README.md of an output folder, with the metadata that the Hugging Face hub reads."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment

import ocrray
from ocrray.corpus.about import About
from ocrray.corpus.columns import described_columns, type_name
from ocrray.corpus.fields import field_types
from ocrray.corpus.provenance import Provenance
from ocrray.corpus.summary import Summary
from ocrray.corpus.templates import environment
from ocrray.records import SCHEMA, SCHEMA_VERSION, STATUS_MEANINGS, WARNING_MEANINGS
from ocrray.storage import Location
from ocrray.text.normalise import sanitise

NAME = "README.md"

_SIZES = (
    "n<1K",
    "1K<n<10K",
    "10K<n<100K",
    "100K<n<1M",
    "1M<n<10M",
    "10M<n<100M",
    "100M<n<1B",
    "1B<n<10B",
    "10B<n<100B",
    "100B<n<1T",
)
"""The hub's `size_categories`, each ten times the one before."""

_ALL_DATA = {"train": "data/*.parquet"}


def write_card(output: str | Path | Location, *, summary: Summary, about: About) -> None:
    """Write README.md into the output folder of a corpus."""
    types = summary.columns or {field.name: field.type for field in SCHEMA}
    fields = field_types(types["fields"]) if summary.fields.total() else {}
    text = (
        card_environment()
        .get_template("card.md.jinja")
        .render(
            metadata=dataset_metadata(about, summary.records),
            title=about.title,
            description=about.description,
            version=ocrray.__version__,
            schema_version=SCHEMA_VERSION,
            statuses=STATUS_MEANINGS,
            warnings=WARNING_MEANINGS,
            summary=summary,
            provenance_columns=list(Provenance.model_fields),
            fields=[(path, type_name(data_type), summary.fields[path]) for path, data_type in fields.items()],
            columns=described_columns(types),
        )
    )
    Location.at(output).write_text(NAME, without_blank_runs(text))


def card_environment() -> Environment:
    """Return the environment of cards' templates, with the filters `line` and `code` for text from outside."""
    env = environment(autoescape=False)
    env.filters |= {"line": _line, "code": _code}
    return env


def dataset_metadata(
    about: About, rows: int, splits: Mapping[str, str] = _ALL_DATA, tags: Sequence[str] = ("ocr", "post-ocr-correction")
) -> str:
    """Return the YAML metadata of a data set with `rows` rows; `splits` are the names and files of its parts."""
    from huggingface_hub import DatasetCardData  # late: it imports an HTTP client, which takes 0.3 s

    data = DatasetCardData(
        pretty_name=" ".join(sanitise(about.title).split()) or None,
        license=about.license or "unknown",
        language=list(about.languages) or None,
        size_categories=next((name for power, name in enumerate(_SIZES, 3) if rows < 10**power), "n>1T"),
        tags=[*tags, "ocrray"],
        configs=[{"config_name": "default", "data_files": [{"split": name, "path": path} for name, path in splits.items()]}],
    )
    return data.to_yaml()


def without_blank_runs(text: str) -> str:
    """Replace runs of empty lines, which omitted parts of a template leave behind, by one."""
    return re.sub(r"\n{3,}", "\n\n", text)


def _line(text: str) -> str:
    """Return text from outside as one line in which Markdown and HTML are escaped."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(sanitise(text).split()))


def _code(name: str) -> str:
    return "`" + re.sub(r"[`|\s]", "\ufffd", sanitise(name)) + "`"
