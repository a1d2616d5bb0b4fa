"""The edit tagger as an engine, on a tiny random model and on the one that ships; and its training, for a few steps."""

import json
import shutil
import string
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForTokenClassification, AutoTokenizer, ModernBertConfig, ModernBertForTokenClassification

from ocrray.engines.tagger import DEFAULT_FOLDER, Tagger, TaggerConfig, check
from ocrray.errors import ConfigError, EngineError
from ocrray.training import tagger as training

LABELS = ["keep", "delete", "write:e", "write:rn", "append: "]
TEXTS = [
    "",
    "\n",
    "tbe",
    "The qvick brown fox,\njumps ovcr 12 dogs. " * 5,
    "[PAD] [UNK] 😀 क्षि \x00 \ud800",
    "x" * 512,
    "a",
    "b" * 33,
]


def _tiny_model(vocabulary_size: int, initializer_range: float) -> ModernBertForTokenClassification:
    torch.manual_seed(0)
    ends = {"bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None, "pad_token_id": 0}
    config = ModernBertConfig(
        vocab_size=vocabulary_size,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=initializer_range,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
        **ends,
    )
    return ModernBertForTokenClassification(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger with random weights, wide enough that every label comes up."""
    path = tmp_path_factory.mktemp("tagger")
    tokenizer = training.make_tokenizer()
    training.save_folder(_tiny_model(len(tokenizer), initializer_range=0.5), tokenizer, path)
    return path


def _tagger(folder: Path | str, **options: object) -> Tagger:
    return Tagger(TaggerConfig(engine="tagger", model=str(folder), **options))


@pytest.fixture(scope="module")
def bold(folder: Path) -> Tagger:
    """The random tagger, which makes every edit that it likes best."""
    return _tagger(folder, threshold=0.0)


@pytest.fixture(scope="module")
def shy(folder: Path) -> Tagger:
    """The random tagger, which makes no edit."""
    return _tagger(folder, threshold=1.0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_correct_gives_the_same_text_alone_and_in_any_batch(folder: Path, dtype: str) -> None:
    """Neither the neighbours, their order nor the batch size may change what becomes of a text."""
    bold = _tagger(folder, threshold=0.0, dtype=dtype)
    alone = [bold.correct([text])[0] for text in TEXTS]
    assert any(one.text != text for one, text in zip(alone, TEXTS, strict=True))
    assert bold.correct(TEXTS) == alone
    assert bold.correct(TEXTS[::-1]) == alone[::-1]
    assert _tagger(folder, threshold=0.0, dtype=dtype, batch_size_chars=1).correct(TEXTS) == alone


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=5))
def test_correct_with_a_threshold_that_nothing_reaches_changes_nothing(shy: Tagger, texts: list[str]) -> None:
    """Any text at all passes through whole: unknown characters, controls and surrogates stay as they are."""
    assert [one.text for one in shy.correct(texts)] == texts


def test_correct_writes_the_most_probable_label_of_each_character(folder: Path, bold: Tagger) -> None:
    """The engine says what transformers itself says of the folder, loaded as any token-classification model."""
    text = "tbe quick brown"
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    best = model(**inputs).logits.argmax(-1)[0].tolist()
    assert len(best) == len(text)
    written = {"keep": lambda char: char, "delete": lambda _: "", "write:e": lambda _: "e", "write:rn": lambda _: "rn"}
    written["append: "] = lambda char: char + " "
    assert bold.correct([text])[0].text == "".join(written[LABELS[label]](char) for label, char in zip(best, text, strict=True))


def test_correct_counts_characters_and_refuses_what_does_not_fit(bold: Tagger) -> None:
    """Nothing is cut short: a text beyond the model's window comes back uncorrected, with the reason."""
    assert bold.fits("x" * 512)
    assert not bold.fits("x" * 513)
    short, long = bold.correct(["tbe", "x" * 513])
    assert (short.input_tokens, short.output_tokens) == (3, len(short.text))
    assert (long.text, long.reason, long.input_tokens) == (None, "too_long", 513)


def test_correct_in_two_passes_is_correcting_twice(folder: Path, bold: Tagger) -> None:
    """A second pass reads what the first made."""
    once = [one.text for one in bold.correct(["tbe man", "ln"])]
    twice = [one.text for one in bold.correct(once)]
    assert [one.text for one in _tagger(folder, threshold=0.0, passes=2).correct(["tbe man", "ln"])] == twice


def test_correct_whose_first_pass_outgrows_the_window_stops_there(folder: Path, bold: Tagger) -> None:
    """The second pass would not fit, so the first one's result stands."""
    growing = max((char * 512 for char in string.ascii_letters), key=lambda text: len(bold.correct([text])[0].text))
    once = bold.correct([growing])
    assert len(once[0].text) > 512
    assert _tagger(folder, threshold=0.0, passes=2).correct([growing]) == once


def test_threshold_of_the_folder_is_used_until_a_config_sets_another(folder: Path, tmp_path: Path) -> None:
    """`edit_threshold` in config.json is the maker's choice; the user's goes before it."""
    careful = tmp_path / "careful"
    shutil.copytree(folder, careful)
    settings_ = json.loads((careful / "config.json").read_text(encoding="utf-8"))
    (careful / "config.json").write_text(json.dumps({**settings_, "edit_threshold": 1.0}), encoding="utf-8")
    text = TEXTS[3]
    assert _tagger(careful).correct([text])[0].text == text
    assert _tagger(careful, threshold=0.0).correct([text])[0].text != text


def test_check_names_the_model_by_its_weights_without_loading_torch(folder: Path) -> None:
    """A dry run stays light, and another training gives another revision."""
    code = (
        "import sys; from ocrray.engines.tagger import *\n"
        f"info = check(TaggerConfig(engine='tagger', model={str(folder)!r}))\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules; print(info.revision)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == _tagger(folder).info.revision
    assert len(run.stdout.strip()) == 64


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no such model folder"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text('{"id2label": {"0": "B-PER"}}'), "no edit tagger"),
        (lambda folder: (folder / "config.json").write_text('{"id2label": {"0": "keep", "1": "B-PER"}}'), "B-PER"),
    ],
)
def test_check_of_a_folder_that_is_no_tagger_is_one_readable_line(folder: Path, tmp_path: Path, damage, message: str) -> None:
    """The user hears before the run what is wrong with the model."""
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    damage(broken)
    with pytest.raises(ConfigError, match=message) as caught:
        check(TaggerConfig(engine="tagger", model=str(broken)))
    assert "\n" not in str(caught.value)


def test_open_of_damaged_weights_is_an_engine_error(folder: Path, tmp_path: Path) -> None:
    """What only shows on loading becomes one readable line too, not a traceback from a library."""
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(EngineError, match="cannot be loaded"):
        _tagger(broken)


def test_default_tagger_is_small_and_corrects_common_misreadings() -> None:
    """What ships in the package loads as it stands, and mends what any reader would."""
    assert sum(file.stat().st_size for file in DEFAULT_FOLDER.iterdir()) < 12e6
    tagger = _tagger("default", threshold=0.5)
    outputs = [one.text for one in tagger.correct(["He said that tbe house was in tbe middle of the town, aud tbat it was old."])]
    assert outputs == ["He said that the house was in the middle of the town, and that it was old."]


def test_default_tagger_leaves_clean_text_alone() -> None:
    """Over-correction is the worst that a corrector can do."""
    clean = (
        "The magistrates read the charge, and the prisoner, a labourer\nof 34, declined to say anything further in the matter."
    )
    assert _tagger("default").correct([clean])[0].text == clean


def test_training_for_a_few_steps_learns_and_writes_a_folder_that_opens(tmp_path: Path) -> None:
    """The same code that trained the default, on toy data: the loss falls and the result is a tagger."""
    passages = ["It was the best of times, it was the worst of times, and the wind was in the east. " * 20]
    documents = training.Documents(passages, [(passages[0], passages[0].replace("wind", "wlnd"))], seed=0)
    tokenizer = training.make_tokenizer()
    model = _tiny_model(len(tokenizer), initializer_range=0.02)
    supply = training.batches(documents, tokenizer.get_vocab(), model.config.label2id, batch_chars=384)
    first = next(supply)
    before = model(**first).loss.item()
    save = partial(training.save_folder, model, tokenizer, tmp_path)
    training.train(model, supply, lr=1e-2, progress=lambda steps: steps / 20, save=save)
    assert model(**first).loss.item() < before / 2
    assert _tagger(tmp_path).fits("It was")


def test_crops_of_documents_carry_one_label_a_character() -> None:
    """Pieces of noised and of recognized pages alike stay aligned with their labels."""
    documents = training.Documents(["The wind was in the east that day. " * 60], [("the wind", "tbe wlnd")], seed=1)
    crops = documents.crops(64)
    drawn = [next(crops) for _ in range(50)]
    assert all(len(crop.text) == len(crop.labels) <= 64 for crop in drawn)
    assert {len(crop.text) for crop in drawn} >= {8, 64}
    labels = np.concatenate([crop.labels for crop in drawn])
    assert 0.5 < np.mean(labels == "keep") < 1
