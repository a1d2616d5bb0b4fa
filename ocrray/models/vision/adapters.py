"""Adapters of vision-language models whose tensors older code named otherwise."""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrray.errors import EngineError
from ocrray.models.folders import ADAPTER_FILES

if TYPE_CHECKING:
    from ocrray.models.types import LanguageModel

_PREFIX = "base_model.model."
_TENSOR = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector)(\.weight)?$")
_RENAMED = (
    # The original GOT-OCR2 code, which ms-swift trains too.
    (re.compile(r"^model\.layers\."), "model.language_model.layers."),
    (re.compile(r"^model\.vision_tower_high\.blocks\."), "model.vision_tower.layers."),
    (re.compile(r"^model\.mm_projector_vary$"), "model.multi_modal_projector.multimodal_projector"),
    # transformers before 4.52.
    (re.compile(r"^language_model\.model\."), "model.language_model."),
    (re.compile(r"^language_model\.lm_head$"), "lm_head"),
    (re.compile(r"^(vision_tower|multi_modal_projector)\."), r"model.\1."),
    # transformers before 5.
    (re.compile(r"^model\.vision_tower\.vision_model\."), "model.vision_tower."),
)


@contextmanager
def in_present_names(folder: Path, network: "LanguageModel") -> Iterator[Path]:
    """Yield `folder`, or a copy of its LoRA with the names that `network` has for the modules that it changes.

    The copy lists these modules, too: published settings name them by patterns, which fit the old names only.
    """
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / ADAPTER_FILES[1])
    modules = {name for name, _ in network.named_modules()}
    names = {key: _present(key, modules) for key in tensors}
    settings: dict[str, Any] = json.loads((folder / ADAPTER_FILES[0]).read_text(encoding="utf-8"))
    has_pattern = isinstance(settings.get("target_modules"), str) and settings["target_modules"] != "all-linear"
    if all(key == name for key, name in names.items()) and not has_pattern:
        yield folder
        return
    targets = {_module(name) for name in names.values()} & modules
    with tempfile.TemporaryDirectory(prefix="ocrray-adapter-") as copy:
        written = settings | ({"target_modules": sorted(targets)} if targets else {})
        (Path(copy) / ADAPTER_FILES[0]).write_text(json.dumps(written), encoding="utf-8")
        save_file({names[key]: tensor for key, tensor in tensors.items()}, Path(copy) / ADAPTER_FILES[1])
        try:
            yield Path(copy)
        except EngineError as error:
            raise EngineError(str(error).replace(copy, str(folder))) from error


def _present(key: str, modules: set[str]) -> str:
    """Return the name of a tensor in the model that has `modules`; `key` itself where there is none."""
    module = _module(key)
    if module in modules:
        return key
    for pattern, replacement in _RENAMED:
        module = pattern.sub(replacement, module)
    return f"{_PREFIX}{module}{key.removeprefix(_PREFIX + _module(key))}" if module in modules else key


def _module(key: str) -> str:
    """Return the module that a LoRA's tensor changes."""
    return _TENSOR.sub("", key.removeprefix(_PREFIX))
