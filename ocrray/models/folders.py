"""Checks of model and adapter folders by their files alone: nothing is loaded and nothing is fetched."""

import hashlib
import json
import re
from pathlib import Path

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
_HASH_BLOCK_BYTES = 1 << 20


def model_problems(model: str) -> list[str]:
    """List what keeps `model`, a folder or a hub id, from loading, one line each; nothing is checked of a hub id."""
    folder = Path(model)
    if not folder.is_dir():
        return [] if _may_be_hub_id(model) else [f"{model}: no such model folder"]
    problems = [] if (folder / "config.json").is_file() else [f"{model}: holds no config.json"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        missing = sorted(name for name in _shards(index) if not (folder / name).is_file())
        problems += [f"{model}: holds no {name}, which {index.name} names" for name in missing]
    elif not (folder / "model.safetensors").is_file():
        is_adapter = (folder / ADAPTER_FILES[0]).is_file()
        hint = "this is an adapter: give its base model here and this folder as adapter" if is_adapter else "no other is loaded"
        problems.append(f"{model}: holds no weights in model.safetensors ({hint})")
    return problems


def adapter_problems(adapter: str) -> list[str]:
    """List what keeps `adapter`, a folder or a hub id, from loading, one line each; nothing is checked of a hub id."""
    folder = Path(adapter)
    if not folder.is_dir():
        return [] if _may_be_hub_id(adapter) else [f"{adapter}: no such adapter folder"]
    return [f"{adapter}: holds no {name}" for name in ADAPTER_FILES if not (folder / name).is_file()]


def has_encoder(model: str) -> bool:
    """Return True if the folder `model` declares a sequence-to-sequence model; always False for a hub id."""
    try:
        return bool(json.loads((Path(model) / "config.json").read_text(encoding="utf-8")).get("is_encoder_decoder"))
    except (OSError, ValueError, AttributeError):
        return False  # reported by `model_problems` and by loading


def weights_revision(model: str, revision: str | None = None) -> str:
    """Return an identifier of the weights: SHA-256 (hex) over a folder's safetensors files, or a hub id's `revision`."""
    folder = Path(model)
    if not folder.is_dir():
        return revision or "main"
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _may_be_hub_id(name: str) -> bool:
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).exists()


def _shards(index: Path) -> set[str]:
    """Return the names of the weight files in a safetensors index, or a placeholder for the problem list if unreadable."""
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {f"readable {index.name}"}
