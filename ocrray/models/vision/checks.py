"""Checks of vision-language model folders by their files alone: nothing is loaded and nothing is fetched."""

import json
from pathlib import Path
from typing import Any

from ocrray.models.folders import model_problems

_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "qwen.tiktoken")
_ORIGINAL_GOT = "GOT"


def vision_problems(location: str | Path) -> list[str]:
    """List what keeps `location`, a folder or a hub id, from loading as a vision-language model, one line each.

    Nothing is checked of a hub id.
    """
    folder = Path(location)
    problems = model_problems(str(location))
    if not folder.is_dir() or not (folder / "config.json").is_file():
        return problems
    config = _read(folder / "config.json")
    if config.get("model_type") == _ORIGINAL_GOT:
        return [f"{location}: weights of the original GOT code; use those in transformers' form (stepfun-ai/GOT-OCR-2.0-hf)"]
    if "vision_config" not in config and "auto_map" not in config:
        kind = config.get("model_type") or "unknown type"
        return [*problems, f"{location}: no vision-language model ({kind}); give a model that reads images"]
    if not has_processor(folder):
        problems.append(f"{location}: holds no {_PROCESSOR_FILES[0]}, which says how images are prepared; copy the base model's")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        problems.append(f"{location}: holds no {_TOKENIZER_FILES[0]}; copy the base model's")
    return problems


def has_processor(folder: Path) -> bool:
    """Return True if `folder` holds the settings of a processor."""
    return any((folder / name).is_file() for name in _PROCESSOR_FILES)


def _read(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # reported by loading
    return settings if isinstance(settings, dict) else {}
