"""Conversion of text to token ids: one rule for training and inference."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase", prompts: Sequence[str], template: str, end_ids: Collection[int] = ()
) -> list[list[int]]:
    """Return the token ids of each prompt, without its last one where that is in `end_ids` (a causal model goes on from there).

    A special token (`</s>`) spelled out in a prompt is encoded as characters unless `template` itself contains one. Tokens
    (`<s>`) that the tokenizer puts around every text and that the template spells there too are put once.
    """
    literal = not any(token in template for token in special_tokens(tokenizer).values())
    encoded = _encode(tokenizer, prompts, literal, add_special_tokens=True)
    if not literal:
        before, after = _automatic_tokens(tokenizer)
        encoded = [_without_doubles(ids, before, after) for ids in encoded]
    return [ids[:-1] if ids and ids[-1] in end_ids else ids for ids in encoded]


def text_ids(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text without special tokens; those it spells out are encoded as characters."""
    return _encode(tokenizer, texts, literal=True, add_special_tokens=False)


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """Return the special tokens by their ids."""
    return {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def _automatic_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[int]]:
    """Return the special tokens that the tokenizer puts before and after a text."""
    [bare], [whole] = (_encode(tokenizer, ["a"], literal=True, add_special_tokens=added) for added in (False, True))
    start = next((start for start in range(len(whole)) if whole[start : start + len(bare)] == bare), None)
    return ([], []) if start is None else (whole[:start], whole[start + len(bare) :])


def _without_doubles(ids: list[int], before: list[int], after: list[int]) -> list[int]:
    if before and ids[len(before) : 2 * len(before)] == before:
        ids = ids[len(before) :]
    if after and ids[-2 * len(after) : -len(after)] == after:
        ids = ids[: -len(after)]
    return ids


def _encode(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], literal: bool, add_special_tokens: bool
) -> list[list[int]]:
    if not texts:
        return []
    encoded: list[list[int]] = tokenizer(list(texts), add_special_tokens=add_special_tokens, split_special_tokens=literal)[
        "input_ids"
    ]
    return encoded
