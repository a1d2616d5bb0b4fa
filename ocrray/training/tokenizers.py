"""Tokenizers to train with."""

from typing import TYPE_CHECKING

from ocrray.errors import ConfigError
from ocrray.training.settings import ModelConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def published_tokenizer(model: ModelConfig) -> "PreTrainedTokenizerBase":
    """Load the tokenizer that `model.tokenizer` names, or the model's own; `model.revision` applies to the latter only."""
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    revision = None if model.tokenizer else model.revision
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        model.tokenizer or model.pretrained, revision=revision or "main", trust_remote_code=model.trust_remote_code
    )
    return tokenizer


def load_tokenizer(model: ModelConfig) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a causal language model, `bytes` included.

    Raises:
        ConfigError: when it has no end-of-text token, or not the padding token of the config.
    """
    from transformers import ByT5Tokenizer

    if model.tokenizer == "bytes":
        return ByT5Tokenizer(extra_ids=0)
    tokenizer = published_tokenizer(model)
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"model: the tokenizer of {model.tokenizer or model.name} has no end-of-text token, so no answer could end"
        )
    if model.pad_token is not None:
        if model.pad_token not in tokenizer.get_vocab():
            raise ConfigError(f"model.pad_token: the tokenizer of {model.tokenizer or model.name} has no token {model.pad_token}")
        tokenizer.pad_token = model.pad_token
    return tokenizer
