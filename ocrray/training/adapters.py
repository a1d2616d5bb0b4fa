"""Low-rank adapters: put on a model that is to be trained, or taken up again from a checkpoint."""

from pathlib import Path
from typing import Any

from ocrray.training.config import TrainConfig
from ocrray.training.tokenizers import published_tokenizer


def with_adapter(model: Any, tokenizer: Any, config: TrainConfig, weights: Path | None = None) -> Any:
    """The model, frozen, with a new adapter or with that in `weights`; the model itself where the method trains it whole.

    What the tokenizer was extended by is trained beside the adapter, and saved with it.
    """
    method = config.method
    if method.kind not in ("lora", "qlora"):
        return model
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

    if method.kind == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # the loop switches it on
    if weights:
        return PeftModel.from_pretrained(model, str(weights), is_trainable=True)
    settings = LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.target_modules,
        task_type="CAUSAL_LM",
        **_new_rows(model, _added_ids(tokenizer, config)),
    )
    return get_peft_model(model, settings)


def _added_ids(tokenizer: Any, config: TrainConfig) -> list[int]:
    if config.model.tokenizer == "bytes":
        return []
    return list(range(len(published_tokenizer(config.model)), len(tokenizer)))


def _new_rows(model: Any, ids: list[int]) -> dict[str, Any]:
    """LoraConfig's words for training the rows of `ids`, in the embedding and in the head.

    Of a head with a bias (GPT-J) peft would lose it while only some rows are trained, so all of them are.
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
