"""Low-rank adapters: added to a model, or loaded from a checkpoint to be trained further."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrray.training.settings import LoraMethod, RunSettings
from ocrray.training.tokenizers import published_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def with_adapter(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    config: RunSettings,
    weights: Path | None = None,
    *,
    task_type: str = "CAUSAL_LM",
) -> Any:
    """Freeze the model and add a new adapter, or the one in `weights`; return the model unchanged when the method is no adapter.

    Rows of tokens that were added to the tokenizer are trained beside the adapter, and saved with it. `task_type` is peft's.
    """
    method = config.method
    if not isinstance(method, LoraMethod):
        return model
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

    if method.kind == "qlora":
        # The loop enables gradient checkpointing itself. peft has no type here.
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # type: ignore[no-untyped-call]
    if weights:
        return PeftModel.from_pretrained(model, str(weights), is_trainable=True)
    settings = LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,  # type: ignore[arg-type]  # peft says int, and multiplies by it
        lora_dropout=method.dropout,
        target_modules=method.target_modules,
        task_type=task_type,
        **_new_rows(model, _added_ids(tokenizer, config)),
    )
    return get_peft_model(model, settings)


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
