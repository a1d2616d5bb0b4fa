"""Limits of a model that its config and its embedding tell: the context, and the ids that have a row."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

_POSITIONS = ("max_position_embeddings", "max_seq_len", "max_sequence_length", "seq_length", "n_positions", "n_ctx")
_UNKNOWN_CONTEXT_TOKENS = 10**9  # a tokenizer without a limit reports 10**30
_TEXT_PARTS = ("text", "language", "llm", "decoder", "thinker", "generator")


def max_positions(config: "PreTrainedConfig") -> int | None:
    """Return the tokens that the text model of `config` takes; None: not limited, or not said.

    A model of several parts (text and images) keeps the limit in the config of the part that writes.
    """
    for part in (_text_config(config), config):
        for name in _POSITIONS:
            limit = getattr(part, name, None)
            if isinstance(limit, int) and limit > 0:
                return limit
    parts = {name: part for name, part in vars(config).items() if hasattr(part, "to_dict") and hasattr(part, "model_type")}
    texts = [part for name, part in parts.items() if any(word in name for word in _TEXT_PARTS)]
    return min((limit for part in texts if (limit := max_positions(part))), default=None)


def context_tokens(config: "PreTrainedConfig", tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """Return the tokens that model and tokenizer take; None: not limited, or not said."""
    limits = (max_positions(config), tokenizer.model_max_length)
    return min((limit for limit in limits if limit and limit < _UNKNOWN_CONTEXT_TOKENS), default=None)


def token_rows(model: Any) -> int | None:
    """Return the number of ids that the model has embeddings for; None for a model without a table of them (CANINE)."""
    try:
        weight = model.get_input_embeddings().weight
    except (AttributeError, NotImplementedError):
        return None
    return int(getattr(weight, "ds_shape", weight.shape)[0])  # ZeRO-3 leaves a tensor without elements


def padding_id(tokenizer: "PreTrainedTokenizerBase", rows: int | None, other: int = 0) -> int:
    """Return the id to pad with: the tokenizer's own if the model has a row for it, else `other`.

    A padding token is often added to a tokenizer and not to its model. Padding is masked, so any row will do.
    """
    own = tokenizer.pad_token_id
    return other if own is None or own < 0 or (rows is not None and own >= rows) else int(own)


def unknown_token(tokenizer: "PreTrainedTokenizerBase", rows: int | None) -> str:
    """Describe a token of every text for which the model has no row; empty where there is none."""
    written = [*tokenizer("a")["input_ids"], *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])]
    if rows is None or max(written) < rows:
        return ""
    token = tokenizer.convert_ids_to_tokens(max(written))
    return (
        f"the tokenizer's {token} has the id {max(written)}, but the model has {rows} embeddings; a tokenizer of another model?"
    )


def without_impossible_padding(config: "PreTrainedConfig") -> "PreTrainedConfig":
    """Return `config` without a padding id that has no embedding row: torch refuses to make such an embedding."""
    for part in {id(one): one for one in (config, _text_config(config))}.values():
        rows, pad = getattr(part, "vocab_size", None), getattr(part, "pad_token_id", None)
        if isinstance(rows, int) and isinstance(pad, int) and pad >= rows:
            part.pad_token_id = None
    return config


def _text_config(config: "PreTrainedConfig") -> "PreTrainedConfig":
    try:
        text: PreTrainedConfig = config.get_text_config()
    except ValueError:  # several parts have text
        return config
    return text
