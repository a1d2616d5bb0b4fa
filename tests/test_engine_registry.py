"""The sections `recognize:` and `correct:` of a config, and the engines that need no model."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from ocrray.engines import registry
from ocrray.engines.base import CorrectorConfig, EngineInfo, RecognizerConfig
from ocrray.errors import ConfigError, EngineError

_CORRECT: TypeAdapter[CorrectorConfig] = TypeAdapter(registry.CorrectConfig)
_RECOGNIZE: TypeAdapter[RecognizerConfig] = TypeAdapter(registry.RecognizeConfig)
SECTIONS = {
    "tagger": {},
    "hf": {},
    "padded": {},
    "http": {"base_url": "http://localhost/v1", "model": "m"},
    "http_batch": {"folder": "batch", "model": "m"},
    "given": {"column": "llm"},
    "fake": {},
}


def test_correct_section_each_engine_opens_its_corrector(tmp_path: Path):
    """The section's engine decides which corrector is opened; its identity is that of the check."""
    folder = tiny_models.save_writing(tmp_path, after="\x1e", answer="Hi yo")

    for section, expected in (
        ({"engine": "fake", "replace": {"v": "u"}}, "quick"),
        ({"engine": "hf", "model": str(folder), "prompt": "plain"}, "Hi yo"),
    ):
        config = _CORRECT.validate_python(section)
        corrector = config.open()
        assert corrector.info == config.check("correct")
        assert [result.text for result in corrector.correct(["qvick"])] == [expected]
        corrector.close()


def test_correctors_by_name_are_those_of_the_section():
    """The registry answers for every name that a row's `corrector` can hold."""
    assert set(registry.CORRECTORS) == set(SECTIONS)
    for name, settings in SECTIONS.items():
        assert type(_CORRECT.validate_python({"engine": name, **settings})) is registry.CORRECTORS[name]


@pytest.mark.parametrize("name", [*SECTIONS, "extract", None])
def test_tags_characters_is_true_of_the_tagger_alone(name: str | None):
    """The guard weighs the tagger's probabilities differently from those of a language model."""
    assert registry.tags_characters(name) == (name == "tagger")


@pytest.mark.parametrize("name", SECTIONS)
def test_engine_facts_are_stated_by_each_config(name: str):
    """Every engine says how large its blocks are; a corrector that loads nothing needs no pool."""
    config = _CORRECT.validate_python({"engine": name, **SECTIONS[name]})

    assert config.rows_per_block >= 16
    assert config.max_concurrent_batches == (4 if name == "hf" else 1)
    assert config.needs_pool == (name not in ("given", "fake"))
    assert config.uses_gpu == (name in ("tagger", "hf", "padded"))


def test_given_reads_its_column_and_names_it():
    """Corrections made elsewhere are known by the column that they came in, which travels with the records."""
    config = _CORRECT.validate_python({"engine": "given", "column": "llm"})

    assert config.check("correct") == EngineInfo("given", model="llm")
    assert (config.given_column, config.input_columns) == ("llm", ("llm",))


@pytest.mark.parametrize("section", [{"engine": "magic"}, {"column": "llm"}, {"engine": "given", "column": "llm", "model": "x"}])
def test_correct_section_unknown_engine_or_key_is_refused(section: dict[str, str]):
    """A misspelt engine, or a key of another engine, never passes."""
    with pytest.raises(ValidationError):
        _CORRECT.validate_python(section)


@pytest.mark.parametrize(
    ("engine", "section", "settings", "problem"),
    [
        ("tagger", "route", {"model": "./none"}, "route.model: ./none"),
        ("hf", "a.b", {"model": "./none", "prompt": "plain"}, "a.b.model: ./none"),
        ("hf", "a.b", {"prompt": "nobody"}, "a.b.prompt: no prompt is called"),
        ("http", "a.b", {"base_url": "x"}, "a.b.base_url: x"),
    ],
)
def test_check_problem_names_the_section_that_it_stands_in(engine: str, section: str, settings: dict[str, Any], problem: str):
    """One engine is configured in several places; the user is told the key to change."""
    config = _CORRECT.validate_python({"engine": engine, **SECTIONS[engine], **settings})

    with pytest.raises(ConfigError) as caught:
        config.check(section)

    assert str(caught.value).startswith(problem)


def test_check_tesseract_names_the_section_that_it_stands_in(tmp_path: Path):
    """The recognizer of `synthesize` is configured under pages."""
    config = _RECOGNIZE.validate_python({"languages": ["xx_none"], "tessdata": str(tmp_path)})

    with pytest.raises(ConfigError, match=r"^pages\.tessdata: "):
        config.check("pages")


def test_recognize_section_without_engine_is_tesseract_and_others_are_chosen_by_name():
    """`recognize: {languages: [deu]}` means Tesseract; a fake recognizer returns its lines for any page."""
    assert _RECOGNIZE.validate_python({"languages": ["deu"]}) == _RECOGNIZE.validate_python(
        {"engine": "tesseract", "languages": ["deu"]}
    )
    fake = _RECOGNIZE.validate_python({"engine": "fake", "lines": ["A", "B"]}).open()
    assert [line.text for line in fake.recognize(Image.new("L", (1, 1)))] == ["A", "B"]
    for section in ({"engine": "magic"}, {"engine": "fake", "languages": ["deu"]}):
        with pytest.raises(ValidationError):
            _RECOGNIZE.validate_python(section)


@pytest.mark.parametrize(
    ("section", "pages_at_once", "batches", "uses_gpu"),
    [
        ({"engine": "tesseract"}, 1, 1, False),
        ({"engine": "vlm", "model": "m"}, 8, 4, True),
        ({"engine": "vlm_padded", "model": "m"}, 8, 1, True),
        ({"engine": "http", "base_url": "http://localhost/v1", "model": "m"}, 16, 2, False),
        ({"engine": "fake"}, 1, 1, False),
    ],
)
def test_recognizer_facts_are_stated_by_each_config(section: dict[str, str], pages_at_once: int, batches: int, uses_gpu: bool):
    """How many pages go to it in one call, from how many threads, and whether it needs a GPU; all make text unless asked."""
    config = _RECOGNIZE.validate_python(section)

    assert (config.pages_at_once, config.max_concurrent_batches, config.uses_gpu) == (pages_at_once, batches, uses_gpu)
    assert config.rows_per_block >= config.pages_at_once
    assert config.page_fields is None


def test_fake_without_settings_is_the_identity_and_fails_only_on_request():
    """It can stand for a corrector that changes nothing, and for one that breaks."""
    fake = _CORRECT.validate_python({"engine": "fake", "fail_on": "boom"}).open()

    assert [result.text for result in fake.correct(["a", "", "b\n"])] == ["a", "", "b\n"]
    with pytest.raises(EngineError):
        fake.correct(["a", "ka-boom"])


def test_import_registry_loads_no_heavy_library():
    """Reading and checking a config stays quick: models and clients are imported when an engine is opened."""
    code = (
        "import sys; import ocrray.engines.registry;"
        "print([name for name in ('torch', 'transformers', 'peft', 'httpx2', 'scipy') if name in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
