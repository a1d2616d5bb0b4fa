"""Checks of a model's settings before it is loaded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocrray.training.settings import RunSettings


def architecture_problems(run: RunSettings) -> list[str]:
    """Return errors in `model.architecture`, a line each; transformers would accept a misspelt key silently."""
    settings = run.model.architecture or {}
    if not settings or not run.from_scratch:
        return []
    from transformers import AutoConfig

    kind = str(settings.get("model_type"))
    try:
        known = AutoConfig.for_model(kind).to_dict()
    except ValueError:
        return [f"model.architecture.model_type: transformers knows no {kind}"]
    return [f"model.architecture.{key}: {kind} models have no such setting" for key in settings if key not in known]


def known_settings(run: RunSettings) -> Mapping[str, Any]:
    """Return the model's settings where they can be read without a download, else none."""
    if run.model.architecture:
        return run.model.architecture
    try:
        settings = json.loads((Path(run.model.name or "") / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
