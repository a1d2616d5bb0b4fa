"""Encoding for models that read characters: one token per character, and one rule for padding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ocrray.errors import EngineError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAD_STEP = 16
PAD_MARGIN = 4  # CANINE drops the last of its downsampled positions, so it must be padding
_CODE_POINTS = 0x110000


def padded_length(chars: int) -> int:
    """Return the length to which a text of `chars` characters is padded, in training and inference, in any batch."""
    return -(-(chars + PAD_MARGIN) // PAD_STEP) * PAD_STEP


def max_text_chars(positions: int) -> int:
    """Return the largest number of characters whose padded length is at most `positions`."""
    return positions // PAD_STEP * PAD_STEP - PAD_MARGIN


def tokenizer_problem(folder: Path) -> str:
    """Describe why `folder` holds no character tokenizer, judged by its files without loading it; empty if it does.

    CANINE's tokenizer has no vocabulary, only its class name in tokenizer_config.json.
    """
    if (folder / "tokenizer.json").is_file():
        return ""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        name = settings["tokenizer_class"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    return "" if name == "CanineTokenizer" else "holds no tokenizer.json, nor a tokenizer_config.json that names CanineTokenizer"


def character_encoder(tokenizer: "PreTrainedTokenizerBase", model: str) -> Callable[[str], np.ndarray]:
    """Return a function from a text to the token ids (int64) of its characters, one each, without special tokens.

    A special token spelled out in a text is encoded as characters. `model` names the model in errors.

    Raises:
        EngineError: when the tokenizer has tokens of several characters or no unknown token.
    """
    from transformers import CanineTokenizer

    if isinstance(tokenizer, CanineTokenizer):
        return _code_points
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    longer = [token for token in vocabulary if len(token) != 1 and token not in special]
    if longer or tokenizer.unk_token_id is None:
        raise EngineError(f"{model}: no edit tagger: its tokenizer is not one of characters with an unknown token")
    table = np.full(_CODE_POINTS, tokenizer.unk_token_id, dtype=np.int64)
    for token, number in vocabulary.items():
        if token not in special:
            table[ord(token)] = number
    return lambda text: table[_code_points(text)]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
