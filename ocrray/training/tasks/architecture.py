"""What can be said against a model before it is loaded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocrray.training.config import TrainConfig


def architecture_problems(config: TrainConfig) -> list[str]:
    """Why `model.architecture` is none, a line each; transformers would take a misspelt key without a word."""
    settings = config.model.architecture or {}
    if not settings or config.method.kind != "from_scratch":
        return []
    from transformers import AutoConfig

    kind = settings.get("model_type")
    try:
        known = AutoConfig.for_model(kind).to_dict()
    except ValueError:
        return [f"model.architecture.model_type: transformers knows no {kind}"]
    return [f"model.architecture.{key}: {kind} models have no such setting" for key in settings if key not in known]


def known_settings(config: TrainConfig) -> Mapping[str, Any]:
    """The model's own settings, where they can be told without a download; else none."""
    if config.model.architecture:
        return config.model.architecture
    try:
        settings = json.loads((Path(config.model.name or "") / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
