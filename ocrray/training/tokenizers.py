"""The tokenizer that a model is trained with."""

from typing import Any

from ocrray.training.config import ModelConfig


def published_tokenizer(model: ModelConfig) -> Any:
    """The tokenizer that `model.tokenizer` names, or the model's own; `model.revision` says nothing of another repository's."""
    from transformers import AutoTokenizer

    revision = None if model.tokenizer else model.revision
    return AutoTokenizer.from_pretrained(
        model.tokenizer or model.name, revision=revision or "main", trust_remote_code=model.trust_remote_code
    )
