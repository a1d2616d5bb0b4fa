"""Checks of a model's settings before it is loaded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocrray.training.settings import LoraMethod, RunSettings


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


def target_problems(run: RunSettings) -> list[str]:
    """Return errors in `method.target_modules`, as far as the names of the modules of a local model tell; nothing is loaded."""
    method, folder = run.method, Path(run.model.name or "")
    targets = method.target_modules if isinstance(method, LoraMethod) else []
    if isinstance(targets, str) or run.model.trust_remote_code or not (targets and (folder / "config.json").is_file()):
        return []
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from ocrray.training.adapters import target_problem

    try:
        with torch.device("meta"):
            config = AutoConfig.from_pretrained(folder)
            model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # transformers has no type here
    except (ValueError, TypeError, KeyError, AttributeError):  # of a model that cannot be loaded either, which says more then
        return []
    names = [name for name, _ in model.named_modules()]
    if any("expert" in name for name in names):  # peft converts the names of experts
        return []
    problem = target_problem(targets, names, model)
    return [problem] if problem else []


def known_settings(run: RunSettings) -> Mapping[str, Any]:
    """Return the model's settings where they can be read without a download, else none."""
    if run.model.architecture:
        return run.model.architecture
    try:
        settings = json.loads((Path(run.model.name or "") / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
