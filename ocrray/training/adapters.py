"""Low-rank adapters: added to a model, or loaded from a checkpoint to be trained further."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrray.errors import ConfigError, EngineError
from ocrray.models.adapters import attach_adapter, find_adapter
from ocrray.models.folders import ADAPTER_FILES
from ocrray.models.vision.adapters import in_present_names
from ocrray.training.settings import LoraMethod, RunSettings
from ocrray.training.tokenizers import published_tokenizer
from ocrray.training.unused import freeze, unused_modules

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def with_adapter(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    config: RunSettings,
    weights: Path | None = None,
    *,
    task_type: str = "CAUSAL_LM",
    frozen: Sequence[str] | None = None,
    whole: Sequence[str] = (),
) -> Any:
    """Freeze the model and add a new adapter, that of `model.adapter`, or the one of a checkpoint in `weights`.

    A model that is trained whole is returned without the modules `frozen` being trained. These get no adapter either; None:
    those that text does not reach. Modules in `whole` are trained beside the adapter and saved with it, as are the rows of
    tokens that were added to the tokenizer. `task_type` is peft's.

    Raises: ConfigError: when a name in `method.target_modules` is no layer of the model, or `model.adapter` does not fit.
    """
    method = config.method
    if frozen is None:
        frozen = unused_modules(model)
    if not isinstance(method, LoraMethod):
        freeze(model, frozen)
        return model
    from peft import LoraConfig, PeftModel, prepare_model_for_kbit_training

    if method.kind == "qlora":
        # The loop enables gradient checkpointing itself. peft has no type here.
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # type: ignore[no-untyped-call]
    if weights:
        return PeftModel.from_pretrained(model, str(weights), is_trainable=True)
    if config.model.adapter:
        return _continued(model, config.model.adapter, method)
    excluded = _pattern([*frozen, *whole])
    more = _new_rows(model, _added_ids(tokenizer, config))
    settings = LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,  # type: ignore[arg-type]  # peft says int, and multiplies by it
        lora_dropout=method.dropout,
        target_modules=method.target_modules,
        exclude_modules=excluded,
        task_type=task_type,
        **more | {"modules_to_save": [*more.get("modules_to_save", ()), *whole] or None},
    )
    return _with_new_adapter(model, settings, method, excluded)


def _with_new_adapter(model: Any, settings: "LoraConfig", method: LoraMethod, excluded: str | None) -> Any:
    """Add the adapter, after all names of `method.target_modules` were found among the modules that are not `excluded`."""
    from peft import get_peft_model

    targets = method.target_modules if isinstance(method.target_modules, list) else []
    try:
        adapted = get_peft_model(model, settings)
    except ValueError as error:
        names = [name for name in _layers(model) if not (excluded and re.fullmatch(excluded, name))]
        reason = f"method.target_modules: {' '.join(str(error).split())[:300]}"
        raise ConfigError(target_problem(targets, names, model) or reason) from error
    # peft overlooks a name that it does not find among others; it may have replaced those of experts.
    left = [target for target in targets if target in (settings.target_modules or ())]
    targeted: list[str] = adapted.base_model.targeted_module_names  # type: ignore[assignment]  # torch says module or tensor
    if problem := target_problem(left, targeted, model):
        raise ConfigError(problem)
    for weight in adapted.parameters():  # of modules trained whole; the adapter's are in float32, and ZeRO-3 has its own types
        if weight.requires_grad and not hasattr(weight, "ds_id"):
            weight.data = weight.data.float()
    return adapted


def continuation_problem(settings: Mapping[str, Any], method: LoraMethod) -> str:
    """Describe where `method` differs from the settings of an adapter (of its adapter_config.json); empty where it does not.

    Its rank, alpha and layers cannot change; its dropout can.
    """
    kind = settings.get("peft_type", "LORA")
    if kind != "LORA":
        return f"it is a {kind} adapter, and method.kind {method.kind} trains LoRA adapters"
    targets = settings.get("target_modules")
    pairs: list[tuple[str, Any, Any]] = [("r", method.r, settings.get("r")), ("alpha", method.alpha, settings.get("lora_alpha"))]
    if isinstance(method.target_modules, list):
        pairs.append(
            ("target_modules", sorted(method.target_modules), targets if isinstance(targets, str) else sorted(targets or ()))
        )
    different = [(f"method.{name} is {wanted}", f"method.{name}: {own}") for name, wanted, own in pairs if wanted != own]
    if not different:
        return ""
    return f"{', '.join(one for one, _ in different)}, which is not the adapter's; set {', '.join(one for _, one in different)}"


def _continued(model: Any, adapter: str, method: LoraMethod) -> Any:
    """Return the model with the adapter at `adapter`, to be trained further with the dropout of `method`."""
    from peft.tuners.lora import LoraLayer
    from torch.nn import Dropout, Identity

    try:
        folder = find_adapter(adapter)
        settings = json.loads((folder / ADAPTER_FILES[0]).read_text(encoding="utf-8"))
        if problem := continuation_problem(settings, method):
            raise ConfigError(f"model.adapter: {adapter}: {problem}")
        with in_present_names(folder, model) as renamed:
            adapted: Any = attach_adapter(model, renamed, is_trainable=True)
    except (EngineError, OSError, ValueError) as error:
        raise ConfigError(f"model.adapter: {' '.join(str(error).split())}") from error
    for name, settings in adapted.peft_config.items():
        settings.lora_dropout = method.dropout
        for layer in adapted.modules():
            if isinstance(layer, LoraLayer) and name in layer.lora_dropout:
                layer.lora_dropout[name] = Dropout(method.dropout) if method.dropout else Identity()
    return adapted


def target_problem(targets: Sequence[str], names: Sequence[str], model: Any) -> str:
    """Describe which of `targets`, ends of the names of modules, fit none of `names`; empty where each fits one."""
    missing = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name in names)]
    if not missing:
        return ""
    known = sorted({name.rpartition(".")[2] for name in _layers(model)})
    what = ", ".join(missing)
    return f"method.target_modules: no layer that reads text is named {what}; the model has {', '.join(known)}"


def tower_problem(model: Any, towers: Sequence[str], targets: Sequence[str], *, reaches: bool) -> str:
    """Describe `targets` that fit no layer of `towers` (with `reaches`), or of what is outside of them; empty where one does."""
    inside = [name for name in _layers(model) if any(name.startswith(f"{tower}.") for tower in towers)]
    names = inside if reaches else sorted(set(_layers(model)) - set(inside))
    if any(f".{name}".endswith(f".{target}") for name in names for target in targets):
        return ""
    known = ", ".join(sorted({name.rpartition(".")[2] for name in names}))
    if reaches:
        return f"task.vision: adapter, but method.target_modules names no layer of the vision tower; it has {known}"
    return f"method.target_modules: names layers of the vision tower alone, which task.vision keeps frozen; others are {known}"


def _layers(model: Any) -> list[str]:
    """Return the names of the layers that can have an adapter, without the head."""
    from torch.nn import Embedding, Linear
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return [name for name, layer in model.named_modules() if isinstance(layer, Linear | Conv1D | Embedding) and layer is not head]


def _pattern(modules: Sequence[str]) -> str | None:
    """Return a regular expression for the names of `modules` and all modules within."""
    return rf"({'|'.join(map(re.escape, modules))})(\..*)?" if modules else None


def _added_ids(tokenizer: "PreTrainedTokenizerBase", config: RunSettings) -> list[int]:
    if config.model.tokenizer == "bytes":
        return []
    return list(range(len(published_tokenizer(config.model)), len(tokenizer)))


def _new_rows(model: Any, ids: list[int]) -> dict[str, Any]:
    """Return arguments of LoraConfig that train the rows of `ids` in the embedding and in the head.

    A head with a bias (GPT-J) is trained whole: peft drops the bias of one of which only some rows are trained.
    """
    if not ids:
        return {}
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    names = {module: name for name, module in model.named_modules() if module in (embedding, head)}
    if head.weight is embedding.weight:
        return {"trainable_token_indices": {names[embedding]: ids}}
    if head.bias is None:
        return {"trainable_token_indices": {names[embedding]: ids, names[head]: ids}}
    return {"trainable_token_indices": {names[embedding]: ids}, "modules_to_save": [names[head]]}
