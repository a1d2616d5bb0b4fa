"""The edit tagger as an engine, on tiny random models of both kinds and on the one that ships."""

import json
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForTokenClassification, AutoTokenizer

from ocrray.engines.tagger import DEFAULT_FOLDER, Tagger, TaggerConfig
from ocrray.errors import ConfigError, EngineError
from ocrray.models.characters import max_text_chars, padded_length

ARCHITECTURES = ["canine", "modernbert"]
LABELS = ["keep", "delete", "write:e", "write:rn", "append: "]
TEXTS = [
    "",
    "\n",
    "tbe",
    "The qvick brown fox,\njumps ovcr 12 dogs. " * 5,
    "[PAD] [UNK] 😀 क्षि \ue000\ue001 \U0010ffff \x00 \ud800",
    "x" * max_text_chars(512),
    "a",
    "b" * 33,
]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger with random weights, wide enough that every label comes up."""
    return tiny_models.save_tagger(tmp_path_factory.mktemp("tagger"), request.param, LABELS)


def _tagger(folder: Path | str, **options: object) -> Tagger:
    return Tagger(TaggerConfig(engine="tagger", model=str(folder), **{"dtype": "float32", **options}))


@pytest.fixture(scope="module")
def bold(folder: Path) -> Tagger:
    """The random tagger, which makes every edit that it likes best."""
    return _tagger(folder, threshold=0.0)


@pytest.fixture(scope="module")
def shy(folder: Path) -> Tagger:
    """The random tagger, which makes no edit."""
    return _tagger(folder, threshold=1.0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tag_gives_a_text_the_same_edits_alone_and_in_any_batch(folder: Path, dtype: str) -> None:
    """Neither the neighbours, their order nor the batch size may change an edit or the last digit of its probability."""
    tagger = _tagger(folder, dtype=dtype)
    texts = [*TEXTS, "ovcr", "tbat", "a cat"]  # several of one padded length
    alone = [tagger.tag([text])[0] for text in texts]
    assert any(tags.positions for tags in alone)
    assert tagger.tag(texts) == alone
    assert tagger.tag(texts[::-1]) == alone[::-1]
    assert _tagger(folder, dtype=dtype, batch_size_chars=1).tag(texts) == alone


def test_tag_says_how_probable_each_edit_is(folder: Path, bold: Tagger) -> None:
    """What is made at a threshold is what `tag` found at least so probable; one forward pass serves every threshold."""
    text = TEXTS[3]
    tags = bold.tag([text])[0]
    assert list(tags.positions) == sorted(set(tags.positions))
    threshold = sorted(tags.probabilities)[len(tags.probabilities) // 2]
    assert tags.apply(text, threshold) == _tagger(folder, threshold=threshold, dtype="float32").correct([text])[0].text
    assert len({tags.apply(text, level) for level in (0.0, threshold, 1.1)}) == 3
    assert tags.apply(text, 1.1) == text
    assert tags.apply(text, max(tags.probabilities)) != text


@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.0])
def test_expected_errors_is_what_the_softmax_of_every_character_leaves(folder: Path, threshold: float) -> None:
    """A character that is edited is wrong unless its label is right, any other unless keeping it is; in texts of any length."""
    tagger = _tagger(folder, threshold=threshold, device="cpu")  # a GPU rounds CANINE's convolutions to TF32
    texts = [*TEXTS[1:4], "x" * max_text_chars(512), "a", "b" * 33, "ovcr"]
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text, correction in zip(texts, tagger.correct(texts), strict=True):
        padding = {"padding": "max_length", "max_length": padded_length(len(text))}
        logits = model(**tokenizer(text, add_special_tokens=False, return_tensors="pt", **padding)).logits[0, : len(text)]
        best, label = logits.softmax(dim=-1).max(dim=-1)
        edited = (label != 0) & (best.clamp(max=1 - 1e-7) >= threshold)
        right = best.where(edited, logits.softmax(dim=-1)[:, 0])
        assert correction.expected_errors == pytest.approx((1 - right).sum().item(), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=5))
def test_correct_with_a_threshold_that_nothing_reaches_changes_nothing(shy: Tagger, texts: list[str]) -> None:
    """Any text at all passes through whole: unknown characters, controls and surrogates stay as they are."""
    assert [one.text for one in shy.correct(texts)] == texts


def test_correct_at_a_threshold_of_one_changes_nothing_however_sure_the_model(tmp_path: Path) -> None:
    """A probability that rounds to one is still below it: this is how a tagger that only does harm is switched off."""
    certain = tiny_models.save_tagger(tmp_path, "canine", LABELS, initializer_range=50.0)
    tagger = _tagger(certain, threshold=1.0)
    assert max(tagger.tag([TEXTS[3]])[0].probabilities) > 0.999999
    assert tagger.correct([TEXTS[3]])[0].text == TEXTS[3]


def test_correct_writes_the_most_probable_label_of_each_character(folder: Path, bold: Tagger) -> None:
    """The engine says what transformers itself says of the folder, loaded as any token-classification model and padded alike."""
    text = "tbe quick 😀 brown"
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    padding = {"padding": "max_length", "max_length": padded_length(len(text))}
    inputs = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False, return_tensors="pt", **padding)
    best = model(**inputs).logits.argmax(-1)[0, : len(text)].tolist()
    written = {"keep": lambda char: char, "delete": lambda _: "", "write:e": lambda _: "e", "write:rn": lambda _: "rn"}
    written["append: "] = lambda char: char + " "
    assert bold.correct([text])[0].text == "".join(written[LABELS[label]](char) for label, char in zip(best, text, strict=True))


def test_correct_says_how_sure_it_was_of_each_character_it_changed(folder: Path) -> None:
    """The probabilities are those of the tags above the threshold; after a second pass offsets mean nothing, and none is told."""
    text = "tbe quick brown"
    tagger = _tagger(folder, threshold=0.25)
    (tags,), (found,) = tagger.tag([text]), tagger.correct([text])
    assert found.probabilities
    assert found.probabilities == {
        at: share for at, share in zip(tags.positions, tags.probabilities, strict=True) if share >= 0.25
    }
    assert _tagger(folder, threshold=0.25, passes=2).correct([text])[0].probabilities == {}


def test_correct_counts_characters_and_refuses_what_does_not_fit(bold: Tagger) -> None:
    """Nothing is cut short: a text beyond the model's window comes back uncorrected, with the reason."""
    assert bold.fits("x" * 508)
    assert not bold.fits("x" * 509)
    short, long = bold.correct(["tbe", "x" * 509])
    assert (short.input_tokens, short.output_tokens) == (3, len(short.text))
    assert (long.text, long.reason, long.input_tokens) == (None, "too_long", 509)


def test_correct_in_two_passes_is_correcting_twice(folder: Path, bold: Tagger) -> None:
    """A second pass reads what the first made."""
    once = [one.text for one in bold.correct(["tbe man", "ln"])]
    twice = [one.text for one in bold.correct(once)]
    assert [one.text for one in _tagger(folder, threshold=0.0, passes=2).correct(["tbe man", "ln"])] == twice


def test_correct_whose_first_pass_outgrows_the_window_stops_there(folder: Path, bold: Tagger) -> None:
    """The second pass would not fit, so the first one's result stands."""
    growing = max((char * 508 for char in string.ascii_letters), key=lambda text: len(bold.correct([text])[0].text))
    once = bold.correct([growing])
    assert not bold.fits(once[0].text)
    assert [one.text for one in _tagger(folder, threshold=0.0, passes=2).correct([growing])] == [one.text for one in once]


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
        f"info = TaggerConfig(engine='tagger', model={str(folder)!r}).check('correct')\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules; print(info.revision)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(run.stdout.strip()) == 64
    assert f"{run.stdout.strip()}+float32" == _tagger(folder).info.revision


@pytest.mark.parametrize(
    ("able", "dtype"), [({"avx512_bf16": True}, "bfloat16"), ({"avx512_bf16": False, "avx2": True}, "float32")]
)
def test_dtype_auto_is_bfloat16_where_the_processor_has_it_and_is_told(folder: Path, monkeypatch, able: dict, dtype: str) -> None:
    """Two machines may round differently: what each row says of its maker must show which it was."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    tagger = _tagger(folder, dtype="auto", device="cpu")
    assert tagger.info.revision.endswith(f"+{dtype}")
    assert tagger.correct(TEXTS) == _tagger(folder, dtype=dtype, device="cpu").correct(TEXTS)


def test_revision_changes_with_the_labels_and_with_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    """The same weights with another label, threshold or longest text are another tagger."""
    revisions = {TaggerConfig(engine="tagger", model=str(folder)).check("correct").revision}
    for name, key in (("config.json", "edit_threshold"), ("tokenizer_config.json", "model_max_length")):
        other = tmp_path / key
        shutil.copytree(folder, other)
        values = json.loads((other / name).read_text(encoding="utf-8"))
        (other / name).write_text(json.dumps({**values, key: 1}), encoding="utf-8")
        revisions.add(TaggerConfig(engine="tagger", model=str(other)).check("correct").revision)
    assert len(revisions) == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no such model folder"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: [file.unlink() for file in folder.glob("tokenizer*")], "no tokenizer.json"),
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
        TaggerConfig(engine="tagger", model=str(broken)).check("correct")
    assert "\n" not in str(caught.value)


def test_open_of_a_tokenizer_of_words_is_an_engine_error(folder: Path, tmp_path: Path) -> None:
    """Labels would fall on other characters than their own."""
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    tiny_models.tokenizer().save_pretrained(broken)
    with pytest.raises(EngineError, match="not one of characters"):
        _tagger(broken)


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
