"""Settings by which an earlier result is recognised as that of the same run; `config.fingerprint` hashes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ocrray import __version__
from ocrray.models.folders import weights_revision
from ocrray.sources.walk import Found
from ocrray.storage.files import FileStat
from ocrray.training.config import TrainConfig
from ocrray.training.samples import SAMPLES

_LATER = (
    ("model", "pad_token"),
    ("model", "adapter"),
    ("data", "image_root"),
    ("data", "messages_column"),
    ("task", "chat"),
    ("task", "system"),
    ("evaluation", "per_epoch"),
    ("evaluation", "early_stopping"),
)
_READ_WITH = ("*token*", "config.json", "*processor*.json", "chat_template*")
_FREE = {"workers", "output"}
"""Keys that may change when a run is resumed."""
_AFTER_SAMPLES = _FREE | {
    "optimizer",
    "batch",
    "epochs",
    "max_steps",
    "step_limit",
    "precision",
    "gradient_checkpointing",
    "deepspeed",
    "evaluation",
    "checkpoint",
    "method",  # but whether the model is a new one
}
"""Keys that the prepared samples do not depend on."""


def run_settings(config: TrainConfig, files: Mapping[str, Sequence[Found]], limit: int | None) -> dict[str, Any]:
    """Return everything that determines the trained model."""
    model = config.model
    return {
        **_without_later(config.model_dump(mode="json", exclude=_FREE)),
        "model_revision": model.name and weights_revision(model.name, model.revision),
        **({"adapter_revision": weights_revision(model.adapter)} if model.adapter else {}),
        **_data(files, limit),
    }


def sample_settings(config: TrainConfig, files: Mapping[str, Sequence[Found]], limit: int | None) -> dict[str, Any]:
    """Return everything that determines the prepared samples."""
    settings = _without_later(config.model_dump(mode="json", exclude=_AFTER_SAMPLES))
    settings["data"].pop("grouping")
    return {
        **settings,
        "from_scratch": config.from_scratch,
        "model_files": _model_files(config),
        "schema": {field.name: str(field.type) for field in SAMPLES},
        "ocrray": __version__,
        **_data(files, limit),
    }


def _without_later(settings: dict[str, Any]) -> dict[str, Any]:
    """Remove keys that earlier versions did not have, where they are null: their runs can still be resumed."""
    if settings.get("step_limit") is None:
        settings.pop("step_limit", None)
    for section, key in _LATER:
        if section in settings and settings[section].get(key) is None:
            settings[section].pop(key, None)
    return settings


def _data(files: Mapping[str, Sequence[Found]], limit: int | None) -> dict[str, Any]:
    listing = {part: [_file(file) for file in found] for part, found in files.items()}
    return {"files": listing, "limit": limit}


def _file(file: Found) -> list[str | int]:
    size, etag = (file.stat.size, file.stat.etag) if isinstance(file.stat, FileStat) else (0, file.stat.kind)
    return [file.name, size, etag]


def _model_files(config: TrainConfig) -> list[str]:
    """Return local files that decide on tokens and labels: their content may change under the same name."""
    folders = [Path(name) for name in (config.model.tokenizer, config.model.name) if name]
    found = sorted(file for folder in folders for pattern in _READ_WITH for file in folder.glob(pattern))
    return [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in found]
