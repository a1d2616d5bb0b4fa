"""The `correct:` section of a config, and the engines that need no model."""

import subprocess
import sys

import pytest
import tiny_models
from pydantic import TypeAdapter, ValidationError

from ocrray.engines import correctors
from ocrray.engines.base import EngineInfo
from ocrray.errors import EngineError

_SECTION = TypeAdapter(correctors.CorrectConfig)


def test_open_corrector_each_engine_corrects_by_its_section(tmp_path):
    """The section's engine decides what is opened, and its identity is what checking it said."""
    folder = tiny_models.save_writing(tmp_path, after="\x1e", answer="Hi yo")

    for section, expected in (
        ({"engine": "fake", "replace": {"v": "u"}}, "quick"),
        ({"engine": "hf", "model": str(folder), "prompt": "plain"}, "Hi yo"),
    ):
        config = _SECTION.validate_python(section)
        corrector = correctors.open_corrector(config)
        assert corrector.info == correctors.check(config)
        assert [correction.text for correction in corrector.correct(["qvick"])] == [expected]
        corrector.close()


def test_check_given_names_its_column():
    """Corrections made elsewhere are known by the column that they came in."""
    assert correctors.check(_SECTION.validate_python({"engine": "given", "column": "llm"})) == EngineInfo("given", model="llm")


@pytest.mark.parametrize("section", [{"engine": "magic"}, {"column": "llm"}, {"engine": "given", "column": "llm", "model": "x"}])
def test_section_unknown_engine_or_key_is_refused(section):
    """A misspelt engine or a key of another engine never passes."""
    with pytest.raises(ValidationError):
        _SECTION.validate_python(section)


def test_fake_without_settings_is_the_identity_and_fails_only_on_request():
    """It can stand for a corrector that changes nothing, and for one that breaks."""
    fake = correctors.open_corrector(_SECTION.validate_python({"engine": "fake", "fail_on": "boom"}))

    assert [correction.text for correction in fake.correct(["a", "", "b\n"])] == ["a", "", "b\n"]
    with pytest.raises(EngineError):
        fake.correct(["a", "ka-boom"])


def test_import_correctors_loads_no_heavy_library():
    """Reading and checking a config stays quick: models and clients are imported when a corrector is opened."""
    code = (
        "import sys; import ocrray.engines.correctors;"
        "print([name for name in ('torch', 'transformers', 'peft', 'openai') if name in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
