"""Conversion of text to token ids: one rule for training and inference."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], template: str, end_ids: Collection[int] = ()
) -> list[list[int]]:
    """Return the token ids of each prompt, without its last one where that is in `end_ids` (a causal model goes on from there).

    A special token (`</s>`) spelled out in a prompt is encoded as characters unless `template` itself contains one.
    """
    literal = not any(token in template for token in special_tokens(tokenizer).values())
    encoded = _encode(tokenizer, prompts, literal, add_special_tokens=True)
    return [ids[:-1] if ids and ids[-1] in end_ids else ids for ids in encoded]


def text_ids(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text without special tokens; those it spells out are encoded as characters."""
    return _encode(tokenizer, texts, literal=True, add_special_tokens=False)


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """Return the special tokens by their ids."""
    return {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def _encode(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], literal: bool, add_special_tokens: bool
) -> list[list[int]]:
    if not texts:
        return []
    encoded: list[list[int]] = tokenizer(list(texts), add_special_tokens=add_special_tokens, split_special_tokens=literal)[
        "input_ids"
    ]
    return encoded
