"""Configs are strict, overridable, and name every problem; fingerprints are exact."""

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.config import StrictModel, fingerprint, load
from ocrray.engines.tesseract import TesseractConfig
from ocrray.errors import ConfigError
from ocrray.guard.judge import GuardConfig
from ocrray.synth.config import NoiseConfig


class Inner(StrictModel):
    size: int = 1


class Outer(StrictModel):
    name: str
    inner: Inner = Inner()


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_load_override_replaces_nested_key(tmp_path: Path):
    """`--set a.b=value` reaches a key that the file leaves out, with the value read as YAML."""
    assert load(written(tmp_path, "name: x"), Outer, ["inner.size=7"]) == Outer(name="x", inner=Inner(size=7))


def test_load_several_problems_are_all_named(tmp_path: Path):
    """One message lists the unknown key, the wrong type and the missing key."""
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, "inner: {size: many, colour: red}"), Outer)

    assert {"inner.size", "inner.colour", "name"} <= {line.split(": ")[1] for line in str(caught.value).splitlines()}


@pytest.mark.parametrize("text", ["", "- a\n- b", "name: [", "name: x\ninner: 3"])
def test_load_no_mapping_or_broken_yaml_is_a_config_error(tmp_path: Path, text: str):
    """Whatever the file holds, the user reads a ConfigError and no traceback."""
    with pytest.raises(ConfigError):
        load(written(tmp_path, text), Outer)


@pytest.mark.parametrize("override", ["inner.size", "=3", "name.size=3", "inner.size=[1"])
def test_load_malformed_override_is_a_config_error(tmp_path: Path, override: str):
    """An override that is no assignment, or climbs into a value, is refused."""
    with pytest.raises(ConfigError):
        load(written(tmp_path, "name: x"), Outer, [override])


def test_load_missing_file_is_a_config_error(tmp_path: Path):
    """A config that is not there is named."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load(tmp_path / "nowhere.yaml", Outer)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans(), min_size=2))
def test_fingerprint_key_order_does_not_matter(settings: dict[str, object]):
    """The same settings in another order have the same fingerprint."""
    assert fingerprint(settings) == fingerprint(dict(reversed(settings.items())))


def test_fingerprint_one_field_moved_is_another():
    """Settings that differ in one leaf differ in their fingerprint, in type too."""
    assert len({fingerprint({"a": {"b": value}}) for value in (1, 2, "1", None, True)}) == 5


@pytest.mark.parametrize("value", [lambda: 1, datetime(2026, 1, 1), {1, 2}, float("nan"), object(), b"x"])
def test_fingerprint_what_json_cannot_hold_is_refused(value: object):
    """Nothing is hashed by its memory address or by a lossy text of it."""
    with pytest.raises((TypeError, ValueError)):
        fingerprint({"a": value})


def test_load_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In every field that takes a local path, alone or besides other names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "guard.yaml").write_text("scorer: ~/scorer")
    (tmp_path / "tesseract.yaml").write_text("{engine: tesseract, tessdata: ~/data}")
    (tmp_path / "noise.yaml").write_text("{count: 1, model: ~/noise.json}")

    assert load(tmp_path / "guard.yaml", GuardConfig).scorer == f"{tmp_path}/scorer"
    assert load(tmp_path / "tesseract.yaml", TesseractConfig).tessdata == f"{tmp_path}/data"
    assert load(tmp_path / "noise.yaml", NoiseConfig).model == tmp_path / "noise.json"
