"""Checks of model and adapter folders by their files alone: nothing is loaded and nothing is fetched."""

import hashlib
import json
import logging
import re
from pathlib import Path

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_log = logging.getLogger(__name__)
_PROMPT_LEARNING = {
    "PROMPT_TUNING": "prompt tuning",
    "MULTITASK_PROMPT_TUNING": "multitask prompt tuning",
    "P_TUNING": "p-tuning",
    "PREFIX_TUNING": "prefix tuning",
    "ADAPTION_PROMPT": "adaption prompt (LLaMA-Adapter)",
    "CPT": "context-aware prompt tuning",
    "CARTRIDGE": "cartridge",
}
"""Kinds of adapters that put trained vectors in front of the text, by peft's names; what they write depends on padding."""
_WITHOUT_TEMPLATE = ("bytes", "characters")  # tokenizers of this project
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
    problems = [f"{adapter}: holds no {name}" for name in ADAPTER_FILES if not (folder / name).is_file()]
    if kind := _PROMPT_LEARNING.get(adapter_setting(folder, "peft_type")):
        problems.append(f"{adapter}: {kind} is not supported; train a LoRA, or another adapter that changes the model's weights")
    return problems


def adapter_setting(folder: Path, key: str) -> str:
    """Return a value of an adapter's settings as a string; empty where it is null, missing or cannot be read."""
    try:
        return str(json.loads((folder / ADAPTER_FILES[0]).read_text(encoding="utf-8")).get(key) or "")
    except (OSError, ValueError, AttributeError):
        return ""  # reported by loading


def adapter_base_note(adapter: str, model: str) -> str:
    """Describe a difference between `model` and the base model that an adapter folder names; empty where there is none.

    Folders are the same where they are one, or where one of them is not here and both have the same name.
    """
    named = adapter_setting(Path(adapter), "base_model_name_or_path")
    if not named or named == model:
        return ""
    paths = Path(named), Path(model)
    if all(path.is_dir() for path in paths):
        same = paths[0].resolve() == paths[1].resolve()
    else:
        hub_ids = not any(path.is_absolute() or path.is_dir() for path in paths)
        names = (named, model) if hub_ids else (path.name for path in paths)
        same = len({name.casefold() for name in names}) == 1
    return "" if same else f"{adapter} was trained on {named}, and is applied to {model}"


def warn_of_another_base(adapter: str, model: str) -> None:
    """Log a difference between `model` and the base model that an adapter folder names."""
    if note := adapter_base_note(adapter, model):
        _log.warning("%s", note)


def has_encoder(model: str) -> bool:
    """Return True if the folder `model` declares a sequence-to-sequence model; always False for a hub id."""
    try:
        return bool(json.loads((Path(model) / "config.json").read_text(encoding="utf-8")).get("is_encoder_decoder"))
    except (OSError, ValueError, AttributeError):
        return False  # reported by `model_problems` and by loading


def lacks_chat_template(*folders: str | None) -> bool:
    """Return True if none of these model or adapter folders holds a chat template; False where one is a hub id."""
    named = [folder for folder in folders if folder]
    return all(
        folder in _WITHOUT_TEMPLATE or (Path(folder).is_dir() and not _has_chat_template(Path(folder))) for folder in named
    )


def _has_chat_template(folder: Path) -> bool:
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False


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
