"""Starter configs: a short one for each verb, and the published recipes; `ocrray init` copies them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ocrray.errors import ConfigError
from ocrray.verbs import VERBS

_HERE = Path(__file__).parent
_RECIPES = _HERE.parent / "recipes"  # a link to configs/, so that the wheel holds them

_TO_CHANGE = (
    *("input.paths", "input.run", "input.id_column", "input.text_column", "input.raw_column", "input.corrected_column"),
    *("input.ground_truth_column", "recognize.languages", "correct.base_url", "correct.model", "correct.column", "extract.model"),
    *("data.train", "data.validation", "data.source_column", "data.target_column", "labelled.paths"),
    *("labelled.corrected_column", "synthetic.texts", "output.path"),
)


def names() -> dict[str, str]:
    """Return the name of every starter, and its first line of comment: verbs first, then recipes."""
    files = {verb: [_HERE / f"{verb}.yaml"] for verb in VERBS} | _recipe_files()
    return {name: paths[0].read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for name, paths in files.items()}


def write(name: str, folder: Path) -> list[tuple[Path, list[str]]]:
    """Copy the starter `name` into `folder`; return each file with the settings to change in it, as `key: value`.

    A verb has one file, NAME.yaml; a recipe one for each verb that it is for, NAME.VERB.yaml.

    Raises: ConfigError: when there is no such starter, or a file of that name exists.
    """
    if name in VERBS:
        copies = {folder / f"{name}.yaml": _HERE / f"{name}.yaml"}
    else:
        copies = {folder / f"{name}.{path.parent.name}.yaml": path for path in _recipe_files().get(name, [])}
    if not copies:
        raise ConfigError(f"init: there is no {name}; there are {', '.join(names())}")
    if existing := [str(path) for path in copies if path.exists()]:
        raise ConfigError(f"init: {', '.join(existing)}: a file of this name exists; rename it, or work in another folder")
    for target, source in copies.items():
        try:
            target.write_text(_installed(source.read_text(encoding="utf-8")), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"init: {target} cannot be written: {error.strerror}") from None
    return [(path, _settings_to_change(path)) for path in copies]


def _installed(text: str) -> str:
    """Return `text` with the place of the models that ship, which is another outside a checkout."""
    return text.replace("ocrray/models/", f"{_HERE.parent}/models/")


def _recipe_files() -> dict[str, list[Path]]:
    recipes: dict[str, list[Path]] = {}
    for path in sorted(_RECIPES.glob("*/*.yaml")):
        if path.parent.name in VERBS:
            recipes.setdefault(path.stem, []).append(path)
    return recipes


def _settings_to_change(path: Path) -> list[str]:
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = ((key, _value(tree, key)) for key in _TO_CHANGE)
    return [f"{key}: {yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}" for key, value in found if value]


def _value(tree: Mapping[str, Any], key: str) -> Any:
    node: Any = tree
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node
