"""Manifest and dataset card of a set of labelled images."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import ocrray
from ocrray.corpus.about import About
from ocrray.corpus.card import NAME as CARD_NAME
from ocrray.corpus.card import card_environment, dataset_metadata, without_blank_runs
from ocrray.corpus.columns import type_name
from ocrray.corpus.image_sets import COLUMNS, SCHEMA_VERSION, ImageSetSummary
from ocrray.corpus.manifest import MANIFEST_NAME, DataFileEntry, data_file_entries, library_versions
from ocrray.errors import OcrrayError
from ocrray.storage import Location


class ImageSetManifest(BaseModel):
    """Contents of a folder with a set and the settings that produced it; `requested` = images of all parts + `dropped`."""

    model_config = ConfigDict(frozen=True)

    ocrray_version: str
    schema_version: int
    fingerprint: str
    started: datetime
    finished: datetime
    requested: int
    images: dict[str, int]
    """Images by part."""
    chars: dict[str, int]
    """Characters of their texts by part."""
    kinds: dict[str, int]
    dropped: dict[str, int]
    drop_examples: dict[str, str]
    data_files: list[DataFileEntry]
    """Parquet files; empty for a set of image files."""
    config: dict[str, Any]
    libraries: dict[str, str]


def write_manifest(
    output: Location,
    *,
    summary: ImageSetSummary,
    requested: int,
    fingerprint: str,
    config: Mapping[str, Any],
    started: datetime,
) -> ImageSetManifest:
    """Write `manifest.json` into the output folder and return it.

    Raises: OcrrayError: when images and dropped ones do not add up to the requested number; nothing is written then.
    """
    made = summary.images.total()
    if made + summary.dropped.total() != requested:
        raise OcrrayError(
            f"no manifest: {requested} images were requested, but {made} were made and {summary.dropped.total()} dropped; "
            "run again to resume"
        )
    manifest = ImageSetManifest(
        ocrray_version=ocrray.__version__,
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint,
        started=started,
        finished=datetime.now(UTC),
        requested=requested,
        images=dict(summary.images),
        chars=dict(summary.chars),
        kinds=dict(summary.kinds),
        dropped=dict(summary.dropped.most_common()),
        drop_examples=summary.drop_examples,
        data_files=data_file_entries(summary.files),
        config=dict(config),
        libraries=library_versions(),
    )
    output.write_text(MANIFEST_NAME, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def read_manifest(output: Location) -> ImageSetManifest:
    """Read the manifest of a finished set.

    Raises: OcrrayError: when it cannot be read.
    """
    try:
        return ImageSetManifest.model_validate_json(output.read_text(MANIFEST_NAME))
    except (ValidationError, OSError, UnicodeDecodeError) as err:
        path = f"{output.path}/{MANIFEST_NAME}"
        raise OcrrayError(f"{path}: cannot be read as a manifest of a set of images: {' '.join(str(err).split())}") from None


@dataclass(frozen=True, slots=True)
class Origin:
    """Passages, input files and records without usable text that the texts come from."""

    passages: int
    files: int
    unusable: Counter[str]


def write_card(
    output: Location, *, name: str, summary: ImageSetSummary, about: About, config: Mapping[str, Any], origin: Origin
) -> None:
    """Write README.md into the output folder; `name` is that of the set (`lines`, `documents`), `config` that of the run."""
    form = config[name]["format"]
    parts = list(summary.images)
    splits = {part: f"data/{part}-*.parquet" if form == "parquet" else f"{part}/{name}.{form}" for part in parts}
    text = (
        card_environment()
        .get_template("image_set_card.md.jinja")
        .render(
            metadata=dataset_metadata(about, summary.images.total(), splits, ("ocr", "image-to-text")),
            title=about.title,
            description=about.description,
            version=ocrray.__version__,
            schema_version=SCHEMA_VERSION,
            name=name,
            set=config[name],
            summary=summary,
            config=config,
            origin=origin,
            columns=[(column.name, type_name(column.type), column.meaning) for column in COLUMNS],
        )
    )
    output.write_text(CARD_NAME, without_blank_runs(text))
