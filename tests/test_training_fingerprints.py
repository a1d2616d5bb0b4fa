"""Which settings make another run, and which other samples."""

from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from ocrray.config import fingerprint
from ocrray.sources.walk import Found
from ocrray.storage import Location
from ocrray.storage.files import FileStat
from ocrray.training.fingerprints import run_settings, sample_settings


def found(etag: str = "1") -> dict[str, list[Found]]:
    """One training file."""
    return {"train": [Found("a.jsonl", Location("", "/a.jsonl"), FileStat(1, etag), "file")], "validation": []}


def both(etag: str = "1", limit: int | None = None, **changes: Any) -> tuple[str, str]:
    """Fingerprints of a run and of its samples."""
    config = tiny_runs.tagging(Path("out"), **changes)
    return fingerprint(run_settings(config, found(etag), limit)), fingerprint(sample_settings(config, found(etag), limit))


@pytest.mark.parametrize(
    ("changes", "same_run", "same_samples"),
    [
        ({"workers": {"num": 2}}, True, True),
        ({"output": {"zip": True}}, True, True),
        ({"optimizer": {"learning_rate": 0.5}}, False, True),
        ({"evaluation": {"every_steps": 7}}, False, True),
        ({"data": {"train": ["pairs.parquet"], "grouping": "none"}}, False, True),
        ({"data": {"train": ["pairs.parquet"], "max_length_tokens": 7}}, False, False),
        ({"task": {"kind": "edit_tagging", "window_chars": [48]}}, False, False),
        ({"seed": 4}, False, False),
        ({"limit": 5}, False, False),
        ({"etag": "2"}, False, False),
    ],
)
def test_fingerprints_change_with_what_they_stand_for(changes: dict[str, Any], same_run: bool, same_samples: bool):
    """A change of the optimizer makes another run on the same samples; a change of the data makes other samples."""
    run, samples = both()
    other_run, other_samples = both(**changes)

    assert (run == other_run, samples == other_samples) == (same_run, same_samples)


def test_samples_of_another_adapter_are_the_same(tmp_path: Path):
    """The rank of an adapter does not change the encoding of a row."""
    configs = [tiny_runs.lora(tmp_path, tmp_path, method={"kind": "lora", "r": rank}) for rank in (2, 4)]
    small, large = (fingerprint(sample_settings(config, found(), None)) for config in configs)

    assert small == large
