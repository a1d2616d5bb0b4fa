"""Checks of a model's settings before it is loaded."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ocrray.training.settings import LoraMethod, RunSettings


def architecture_problems(run: RunSettings) -> list[str]:
    """Return errors in `model.architecture`, a line each; transformers would accept a misspelt key silently."""
    settings = run.model.architecture or {}
    if not settings or not run.from_scratch:
        return []
    return list(_unknown_keys("model.architecture", settings, str(settings.get("model_type"))))


def _unknown_keys(place: str, settings: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yield a line for each key that models of type `kind` do not have, those of their parts included."""
    from transformers import AutoConfig

    try:
        known = AutoConfig.for_model(kind).to_dict()
    except ValueError:
        yield f"{place}.model_type: transformers knows no {kind}"
        return
    for key, value in settings.items():
        if key not in known:
            yield f"{place}.{key}: {kind} models have no such setting"
        elif key.endswith("_config") and isinstance(value, Mapping) and isinstance(known[key], Mapping):
            yield from _unknown_keys(f"{place}.{key}", value, str(value.get("model_type", known[key].get("model_type"))))


def target_problems(run: RunSettings, model_class: Callable[[], Any]) -> list[str]:
    """Return errors in `method.target_modules`, as far as the names of the modules of a local model tell; nothing is loaded."""
    method = run.method
    if not isinstance(method, LoraMethod) or isinstance(method.target_modules, str):
        return []
    from ocrray.training.adapters import target_problem

    model = model_without_weights(run, model_class)
    names = [] if model is None else [name for name, _ in model.named_modules()]
    if not names or any("expert" in name for name in names):  # peft converts the names of experts
        return []
    problem = target_problem(method.target_modules, names, model)
    return [problem] if problem else []


def tower_problems(run: RunSettings, model_class: Callable[[], Any], *, reaches: bool) -> list[str]:
    """Return a line where adapters are to reach the vision tower of a local model, or must not, and none is left that they do."""
    method = run.method
    if not isinstance(method, LoraMethod) or isinstance(method.target_modules, str):
        return []
    model = model_without_weights(run, model_class)
    if model is None:
        return []
    from ocrray.training.adapters import tower_problem
    from ocrray.training.unused import outside_decoder

    problem = tower_problem(model, outside_decoder(model), method.target_modules, reaches=reaches)
    return [problem] if problem else []


def model_without_weights(run: RunSettings, model_class: Callable[[], Any]) -> Any:
    """Return the local model `model.name` on torch's meta device; None where it cannot be made, or is on the hub."""
    folder = Path(run.model.name or "")
    if run.model.trust_remote_code or not (folder / "config.json").is_file():
        return None
    import torch
    from transformers import AutoConfig

    try:
        with torch.device("meta"):
            return model_class().from_config(AutoConfig.from_pretrained(folder))
    except (ValueError, TypeError, KeyError, AttributeError):  # of a model that cannot be loaded either, which says more then
        return None


def known_settings(run: RunSettings) -> Mapping[str, Any]:
    """Return the model's settings where they can be read without a download, else none."""
    if run.model.architecture:
        return run.model.architecture
    try:
        settings = json.loads((Path(run.model.name or "") / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
