"""Low-rank adapters: added to a model, or loaded from a checkpoint to be trained further."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrray.errors import ConfigError
from ocrray.training.settings import LoraMethod, RunSettings
from ocrray.training.text_only import freeze, unused_modules
from ocrray.training.tokenizers import published_tokenizer

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
) -> Any:
    """Freeze the model and add a new adapter, or the one in `weights`; a model trained whole loses what text does not reach.

    Rows of tokens that were added to the tokenizer are trained beside the adapter, and saved with it. Parts for images or sound
    get no adapter. `task_type` is peft's.

    Raises: ConfigError: when a name in `method.target_modules` is no layer of the model.
    """
    method = config.method
    if not isinstance(method, LoraMethod):
        freeze(model, unused_modules(model))
        return model
    from peft import LoraConfig, PeftModel, prepare_model_for_kbit_training

    if method.kind == "qlora":
        # The loop enables gradient checkpointing itself. peft has no type here.
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # type: ignore[no-untyped-call]
    if weights:
        return PeftModel.from_pretrained(model, str(weights), is_trainable=True)
    excluded = _pattern(unused_modules(model))
    settings = LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,  # type: ignore[arg-type]  # peft says int, and multiplies by it
        lora_dropout=method.dropout,
        target_modules=method.target_modules,
        exclude_modules=excluded,
        task_type=task_type,
        **_new_rows(model, _added_ids(tokenizer, config)),
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
    return adapted


def target_problem(targets: Sequence[str], names: Sequence[str], model: Any) -> str:
    """Describe which of `targets`, ends of the names of modules, fit none of `names`; empty where each fits one."""
    missing = [target for target in targets if not any(f".{name}".endswith(f".{target}") for name in names)]
    if not missing:
        return ""
    known = sorted({name.rpartition(".")[2] for name in _layers(model)})
    what = ", ".join(missing)
    return f"method.target_modules: no layer that reads text is named {what}; the model has {', '.join(known)}"


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
