"""How texts become token ids, one a character, and how wide they are padded."""

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
    """Astral characters, the private ones that CANINE names [CLS] and [SEP], and surrogates: each is its own number."""
    assert character_encoder(CANINE, "m")(text).tolist() == [ord(char) for char in text]


def test_encoder_of_a_vocabulary_gives_its_numbers_and_unknown_for_the_rest(tmp_path: Path) -> None:
    """What the tokenizer itself says, but for special tokens that a text spells out: they are characters like any."""
    tiny_models.save_tagger(tmp_path, "modernbert", ["keep"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    encode = character_encoder(tokenizer, "m")
    text = "tbe 😀\n\ud800é"
    vocabulary = tokenizer.get_vocab()
    assert encode(text).tolist() == [vocabulary.get(char, tokenizer.unk_token_id) for char in text]
    assert encode("[PAD]").tolist() == [vocabulary[char] for char in "[PAD]"]
    assert encode("").tolist() == []


def test_encoder_of_a_tokenizer_of_longer_pieces_is_refused() -> None:
    """A label stands for one character, so a token must."""
    with pytest.raises(EngineError, match="not one of characters"):
        character_encoder(tiny_models.tokenizer(), "m")


@given(st.integers(0, 5000), st.integers(16, 5000))
def test_padding_leaves_a_margin_and_never_passes_the_longest_text(chars: int, positions: int) -> None:
    """CANINE reads four characters at a time and drops the last four; whatever counts as fitting has room for that."""
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
    """CANINE's has no tokenizer.json; a folder that lost its own must not pass for one."""
    for name, values in files.items():
        (tmp_path / name).write_text(json.dumps(values), encoding="utf-8")
    assert (tokenizer_problem(tmp_path) == "") == holds
