"""Manifest and card of a folder of pairs."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import ocrray
from ocrray.corpus.card import NAME as CARD_NAME
from ocrray.corpus.card import card_environment, front_matter
from ocrray.corpus.manifest import NAME, DataFileEntry, library_versions
from ocrray.corpus.pairs import MEANINGS, SCHEMA, SCHEMA_VERSION, PairsSummary
from ocrray.corpus.summary import BIN_ENDS
from ocrray.corpus.templates import percent
from ocrray.errors import OcrrayError
from ocrray.folder import Folder


class KindEntry(BaseModel):
    """The pairs of one kind; `cer` is that of all of them together."""

    pairs: int
    chars: int
    cer: float | None


class PairsManifest(BaseModel):
    """What a folder of pairs holds and how it came about; `asked` = pairs of all kinds + `dropped`."""

    model_config = ConfigDict(frozen=True)

    ocrray_version: str
    schema_version: int
    fingerprint: str
    started: datetime
    finished: datetime
    asked: dict[str, int]
    kinds: dict[str, KindEntry]
    dropped: dict[str, int]
    drop_examples: dict[str, str]
    data_files: list[DataFileEntry]
    config: dict[str, Any]
    libraries: dict[str, str]


def write_manifest(
    output: Folder,
    *,
    summary: PairsSummary,
    asked: Mapping[str, int],
    fingerprint: str,
    config: Mapping[str, Any],
    started: datetime,
) -> PairsManifest:
    """Write `manifest.json` into the output folder and return it.

    Raises OcrrayError, and writes nothing, unless pairs and dropped ones add up to what was asked for.
    """
    if summary.pairs + summary.dropped.total() != sum(asked.values()):
        raise OcrrayError(
            f"no manifest: {sum(asked.values())} pairs were asked for, but {summary.pairs} were made and "
            f"{summary.dropped.total()} dropped; run again to resume"
        )
    manifest = PairsManifest(
        ocrray_version=ocrray.__version__,
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint,
        started=started,
        finished=datetime.now(UTC),
        asked=dict(asked),
        kinds={kind: KindEntry(pairs=part.pairs, chars=part.chars, cer=part.cer) for kind, part in summary.kinds.items()},
        dropped=dict(summary.dropped.most_common()),
        drop_examples=summary.drop_examples,
        data_files=[
            DataFileEntry(path=f"data/{file.name}", rows=file.rows, size_bytes=file.size_bytes) for file in summary.files
        ],
        config=dict(config),
        libraries=library_versions(),
    )
    output.write_text(NAME, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def read_manifest(output: Folder) -> PairsManifest | None:
    """The manifest of an output folder, None where there is none yet; raises OcrrayError for one that cannot be read."""
    try:
        return PairsManifest.model_validate_json(output.read_text(NAME))
    except FileNotFoundError:
        return None
    except (ValidationError, OSError, UnicodeDecodeError) as err:
        raise OcrrayError(f"{output.path}/{NAME}: cannot be read as a manifest of pairs: {' '.join(str(err).split())}") from None


@dataclass(frozen=True)
class Origin:
    """What the card says of how pairs were made, beside the config; `noise_origin` says what the noise model was fitted on."""

    passages: int
    files: int
    unusable: Counter[str]
    recognizer: str
    noise_origin: str
    asked: Mapping[str, int]


def write_card(output: Folder, *, summary: PairsSummary, config: Mapping[str, Any], origin: Origin) -> None:
    """Write README.md into the output folder; `config` is the resolved config of the run as JSON holds it."""
    about = config["output"]
    text = (
        card_environment()
        .get_template("pairs_card.md.jinja")
        .render(
            front_matter=front_matter(about["title"], about["license"], about["languages"]),
            title=about["title"],
            description=about["description"],
            version=ocrray.__version__,
            schema_version=SCHEMA_VERSION,
            summary=summary,
            config=config,
            origin=origin,
            cer_bins=_cer_bins(summary),
            columns=[(field.name, str(field.type), MEANINGS[field.name]) for field in SCHEMA],
        )
    )
    output.write_text(CARD_NAME, re.sub(r"\n{3,}", "\n\n", text))


def _cer_bins(summary: PairsSummary) -> list[tuple[str, list[int]]]:
    """Each bin of CERs by its name, and how many pairs of each kind it holds."""
    ends = [percent(end, 0) for end in BIN_ENDS]
    names = ["none", *(f"up to {end}" for end in ends[1:]), f"above {ends[-1]}"]
    return [(name, [int(part.cer_bins[index]) for part in summary.kinds.values()]) for index, name in enumerate(names)]
