"""Manifest and dataset card of a folder of training pairs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

import ocrray
from ocrray.corpus.about import About
from ocrray.corpus.card import NAME as CARD_NAME
from ocrray.corpus.card import card_environment, dataset_metadata, without_blank_runs
from ocrray.corpus.columns import type_name
from ocrray.corpus.manifest import MANIFEST_NAME, DataFileEntry, data_file_entries, library_versions
from ocrray.corpus.pairs import COLUMNS, SCHEMA_VERSION, PairsSummary
from ocrray.corpus.summary import BIN_ENDS
from ocrray.corpus.templates import percent
from ocrray.errors import OcrrayError
from ocrray.storage import Location


class KindEntry(BaseModel):
    """Totals of the pairs of one kind."""

    pairs: int
    chars: int
    cer: float | None


class PairsManifest(BaseModel):
    """Contents of a folder of pairs and the settings that produced it; `requested` = pairs of all kinds + `dropped`."""

    model_config = ConfigDict(frozen=True)

    ocrray_version: str
    schema_version: int
    fingerprint: str
    started: datetime
    finished: datetime
    requested: dict[str, int] = Field(validation_alias=AliasChoices("requested", "asked"))  # `asked` until version 0.1
    kinds: dict[str, KindEntry]
    dropped: dict[str, int]
    drop_examples: dict[str, str]
    tokens: dict[str, int] = {}
    """Tokens that a language model read and wrote (`input_tokens`, `output_tokens`)."""
    data_files: list[DataFileEntry]
    config: dict[str, Any]
    libraries: dict[str, str]


def write_manifest(
    output: Location,
    *,
    summary: PairsSummary,
    requested: Mapping[str, int],
    fingerprint: str,
    config: Mapping[str, Any],
    started: datetime,
) -> PairsManifest:
    """Write `manifest.json` into the output folder and return it.

    Raises: OcrrayError: when pairs and dropped ones do not add up to the requested number; nothing is written then.
    """
    if summary.pairs + summary.dropped.total() != sum(requested.values()):
        raise OcrrayError(
            f"no manifest: {sum(requested.values())} pairs were requested, but {summary.pairs} were made and "
            f"{summary.dropped.total()} dropped; run again to resume"
        )
    manifest = PairsManifest(
        ocrray_version=ocrray.__version__,
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint,
        started=started,
        finished=datetime.now(UTC),
        requested=dict(requested),
        kinds={kind: KindEntry(pairs=part.pairs, chars=part.chars, cer=part.cer) for kind, part in summary.kinds.items()},
        dropped=dict(summary.dropped.most_common()),
        drop_examples=summary.drop_examples,
        tokens=dict(summary.tokens),
        data_files=data_file_entries(summary.files),
        config=dict(config),
        libraries=library_versions(),
    )
    output.write_text(MANIFEST_NAME, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def read_manifest(output: Location) -> PairsManifest | None:
    """Read the manifest of an output folder; None if there is none.

    Raises: OcrrayError: when it cannot be read.
    """
    try:
        return PairsManifest.model_validate_json(output.read_text(MANIFEST_NAME))
    except FileNotFoundError:
        return None
    except (ValidationError, OSError, UnicodeDecodeError) as err:
        path = f"{output.path}/{MANIFEST_NAME}"
        raise OcrrayError(f"{path}: cannot be read as a manifest of pairs: {' '.join(str(err).split())}") from None


@dataclass(frozen=True)
class Origin:
    """Facts for the card that are not in the config.

    `noise_origin` names the data that the noise model was fitted on, `language_model` the model that corrupted texts.
    """

    passages: int
    files: int
    unusable: Counter[str]
    recognizer: str
    noise_origin: str
    requested: Mapping[str, int]
    language_model: str = ""


def write_card(output: Location, *, summary: PairsSummary, about: About, config: Mapping[str, Any], origin: Origin) -> None:
    """Write README.md into the output folder; `config` is the resolved config of the run as a JSON object."""
    text = (
        card_environment()
        .get_template("pairs_card.md.jinja")
        .render(
            metadata=dataset_metadata(about, summary.pairs),
            title=about.title,
            description=about.description,
            version=ocrray.__version__,
            schema_version=SCHEMA_VERSION,
            summary=summary,
            config=config,
            origin=origin,
            cer_bins=_cer_bins(summary),
            columns=[(column.name, type_name(column.type), column.meaning) for column in COLUMNS],
        )
    )
    output.write_text(CARD_NAME, without_blank_runs(text))


def _cer_bins(summary: PairsSummary) -> list[tuple[str, list[int]]]:
    """Return the label of each CER bin and its number of pairs of each kind."""
    ends = [percent(end, 0) for end in BIN_ENDS]
    names = ["none", *(f"up to {end}" for end in ends[1:]), f"above {ends[-1]}"]
    return [(name, [int(part.cer_bins[index]) for part in summary.kinds.values()]) for index, name in enumerate(names)]
