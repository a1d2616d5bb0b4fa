"""Config files: reading YAML into frozen models, and the fingerprint that is equal for equal settings."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from ocrray.errors import ConfigError

LocalPath = Annotated[Path, AfterValidator(Path.expanduser)]
"""Field type: a path of this machine; `~` is the home folder."""

FolderOrName = Annotated[str, AfterValidator(os.path.expanduser)]
"""Field type: a local folder, where `~` is the home folder, or another name, such as a hub id."""


class StrictModel(BaseModel):
    """Base of every config: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


ModelT = TypeVar("ModelT", bound=StrictModel)


def load(path: str | Path, model: type[ModelT], overrides: Sequence[str] = ()) -> ModelT:
    """Read one YAML file as `model`, after setting each `a.b=value` of `overrides` (values are YAML).

    Raises: ConfigError: with one line for each problem in the file.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(err).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: a config is a mapping of keys to values")
    for override in overrides:
        _set(tree, override)
    try:
        return model.model_validate(tree)
    except ValidationError as err:
        raise ConfigError("\n".join(f"{path}: {_describe(problem)}" for problem in err.errors())) from None


def fingerprint(settings: Any) -> str:
    """Return the SHA-256 (64 hex digits) of `settings` as canonical JSON.

    Raises: TypeError: when JSON cannot represent a value exactly.
    """
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: write it as key.path=value")
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        if node.get(parent) is None:
            node[parent] = {}
        node = node[parent]
        if not isinstance(node, dict):
            raise ConfigError(f"--set {override}: {parent} holds a value, not keys")
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: {value} is not YAML") from None


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if problem["type"] == "missing":
        return f"{key}: this key is required"
    return f"{key or 'config'}: {problem['msg'].removeprefix('Value error, ')}"
