"""Models of characters: one token a character, by code point (CANINE's) or by a vocabulary, and one padding rule."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ocrray.errors import EngineError

PAD_STEP = 16
PAD_MARGIN = 4  # CANINE drops the last of its downsampled positions: let it be padding


def padded_length(chars: int) -> int:
    """The width to which a text of so many characters is padded, in training and in use, whatever stands beside it."""
    return -(-(chars + PAD_MARGIN) // PAD_STEP) * PAD_STEP


def longest_text(positions: int) -> int:
    """How many characters a text may have so that its padded length is at most `positions`."""
    return positions // PAD_STEP * PAD_STEP - PAD_MARGIN


def tokenizer_problem(folder: Path) -> str:
    """Why `folder` holds no tokenizer of characters, as far as its files tell without loading it, or nothing.

    CANINE's tokenizer has no vocabulary: the name of its class in tokenizer_config.json is all of it.
    """
    if (folder / "tokenizer.json").is_file():
        return ""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        name = settings["tokenizer_class"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    return "" if name == "CanineTokenizer" else "holds no tokenizer.json, nor a tokenizer_config.json that names CanineTokenizer"


def character_encoder(tokenizer: Any, model: str) -> Callable[[str], np.ndarray]:
    """The function from a text to the token ids (int64) of its characters, one each and no special tokens.

    Raises EngineError when the tokenizer is not one of characters. A special token that a text spells out stays characters.
    """
    from transformers import CanineTokenizer

    if isinstance(tokenizer, CanineTokenizer):
        return _code_points
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    longer = [token for token in vocabulary if len(token) != 1 and token not in special]
    if longer or tokenizer.unk_token_id is None:
        raise EngineError(f"{model}: no edit tagger: its tokenizer is not one of characters with an unknown token")
    table = np.full(0x110000, tokenizer.unk_token_id, dtype=np.int64)
    for token, number in vocabulary.items():
        if token not in special:
            table[ord(token)] = number
    return lambda text: table[_code_points(text)]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
