"""Adding tokens to a tokenizer and the matching rows to a model's embedding and output layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ocrray.errors import EngineError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ocrray.models.types import LanguageModel


def extend_tokenizer(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[str]) -> list[int]:
    """Add each of `tokens` as a single token unless it is one already, and return their ids.

    They are not special tokens: decoding keeps them, and a tokenizer that splits special tokens in its input
    (`split_special_tokens`) still encodes them as one.
    """
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    return [ids] if isinstance(ids, int) else ids


def extend_vocabulary(model: "LanguageModel", tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[str]) -> list[int]:
    """Add `tokens` to the tokenizer and rows for them to the model, initialised to the mean of the existing rows.

    Call it before an adapter is attached. Returns the ids of the tokens.

    Raises:
        EngineError: when DeepSpeed ZeRO-3 has partitioned the model.
    """
    known = len(tokenizer)
    ids = extend_tokenizer(tokenizer, tokens)
    add_rows(model, known, len(tokenizer))
    return ids


def add_rows(model: "LanguageModel", start: int, end: int) -> None:
    """Set rows `start` to `end` of embedding and output layer to the mean of the rows before them, adding rows if needed.

    A model whose vocabulary is padded beyond its tokens (GPT-J) has the rows already, and keeps its size.

    Raises:
        EngineError: when DeepSpeed ZeRO-3 has partitioned the model.
    """
    import torch

    embedding = model.get_input_embeddings().weight
    if hasattr(embedding, "ds_id"):
        raise EngineError("tokens cannot be added to a model that ZeRO-3 spread over its workers; set deepspeed.zero_stage to 2")
    start = min(start, len(embedding))
    if start >= end:
        return
    if end > len(embedding):
        model.resize_token_embeddings(end, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            for rows in filter(torch.is_tensor, (layer.weight, getattr(layer, "bias", None))):
                rows[start:end] = rows[:start].mean(0, dtype=torch.float32).to(rows.dtype)
