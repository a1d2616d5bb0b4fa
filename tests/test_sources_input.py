"""Input settings that cannot work are refused when a config is read."""

from typing import Any

import pytest
from pydantic import ValidationError

from ocrray.sources.input import InputConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"paths": []},
        {"passthrough": ["title", "title"]},
        {"passthrough": ["raw_text"]},
        {"passthrough": ["uri"]},
        {"encoding": "no-such-encoding"},
        {"encoding": "utf-16"},
        {"encoding": "rot13"},
        {"text_column": "a", "image_column": "b"},
        {"kind": "docx"},
        {"unknown": 1},
    ],
)
def test_input_config_refuses_what_cannot_work(settings: dict[str, Any]) -> None:
    """Each mistake is found when the config is read."""
    with pytest.raises(ValidationError):
        InputConfig(**{"paths": ["x"]} | settings)
