"""From text to token ids and back: one rule for training and for use."""

from collections.abc import Collection, Sequence
from typing import Any


def prompt_ids(tokenizer: Any, prompts: Sequence[str], template: str, end_ids: Collection[int] = ()) -> list[list[int]]:
    """Token ids of what a model reads, without a last one that is among `end_ids`: a causal model's answer is to come.

    A source that spells out a special token (`</s>`) is read as characters, unless the prompts' own template spells one.
    """
    literal = not any(token in template for token in special_tokens(tokenizer).values())
    encoded = _encode(tokenizer, prompts, literal, add_special_tokens=True)
    return [ids[:-1] if ids and ids[-1] in end_ids else ids for ids in encoded]


def text_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text by itself, nothing put before or after it, special tokens in it read as characters."""
    return _encode(tokenizer, texts, literal=True, add_special_tokens=False)


def special_tokens(tokenizer: Any) -> dict[int, str]:
    """The tokens that stand for no text, by their ids."""
    return {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def _encode(tokenizer: Any, texts: Sequence[str], literal: bool, add_special_tokens: bool) -> list[list[int]]:
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=add_special_tokens, split_special_tokens=literal)["input_ids"]
