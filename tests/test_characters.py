"""Encoding of texts as one token per character, and their padding."""

import json
from pathlib import Path

import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, CanineTokenizer

from ocrray.errors import EngineError
from ocrray.models.characters import character_encoder, max_text_chars, padded_length, tokenizer_problem

CANINE = CanineTokenizer()  # takes a second


@given(st.text(st.characters(exclude_categories=[])))
def test_encoder_of_canine_gives_code_points(text: str) -> None:
    """Astral characters, the private ones that CANINE uses as [CLS] and [SEP], and surrogates map to their code points."""
    assert character_encoder(CANINE, "m")(text).tolist() == [ord(char) for char in text]


def test_encoder_of_a_vocabulary_gives_its_numbers_and_unknown_for_the_rest(tmp_path: Path) -> None:
    """Ids equal the tokenizer's, except that special tokens spelled out in a text are encoded as characters."""
    tiny_models.save_tagger(tmp_path, "modernbert", ["keep"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    encode = character_encoder(tokenizer, "m")
    text = "tbe 😀\n\ud800é"
    vocabulary = tokenizer.get_vocab()
    assert encode(text).tolist() == [vocabulary.get(char, tokenizer.unk_token_id) for char in text]
    assert encode("[PAD]").tolist() == [vocabulary[char] for char in "[PAD]"]
    assert encode("").tolist() == []


def test_encoder_of_a_tokenizer_of_longer_pieces_is_refused() -> None:
    """A tokenizer with tokens of several characters raises EngineError."""
    with pytest.raises(EngineError, match="not one of characters"):
        character_encoder(tiny_models.tokenizer(), "m")


@given(st.integers(0, 5000), st.integers(16, 5000))
def test_padding_leaves_a_margin_and_never_passes_the_longest_text(chars: int, positions: int) -> None:
    """CANINE downsamples by four and drops the last position: every text that fits has a margin of four."""
    width = padded_length(chars)
    assert width % 4 == 0
    assert width - chars >= 4
    assert (width <= positions) == (chars <= max_text_chars(positions))


@pytest.mark.parametrize(
    ("files", "holds"),
    [
        ({"tokenizer.json": {}}, True),
        ({"tokenizer_config.json": {"tokenizer_class": "CanineTokenizer"}}, True),
        ({"tokenizer_config.json": {"tokenizer_class": "ByT5Tokenizer"}}, False),
        ({"tokenizer_config.json": ["CanineTokenizer"]}, False),
        ({}, False),
    ],
)
def test_folder_without_a_tokenizer_of_characters_is_told_from_its_files(tmp_path: Path, files: dict, holds: bool) -> None:
    """CANINE's tokenizer has no tokenizer.json; a folder that lost its own must not be mistaken for it."""
    for name, values in files.items():
        (tmp_path / name).write_text(json.dumps(values), encoding="utf-8")
    assert (tokenizer_problem(tmp_path) == "") == holds
