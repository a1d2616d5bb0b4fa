"""All engines by kind: the `recognize:` and `correct:` sections of a config, as unions discriminated by their key `engine`."""

from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from ocrray.engines.base import CorrectorConfig
from ocrray.engines.fake import FakeConfig, FakeRecognizerConfig
from ocrray.engines.given import GivenConfig
from ocrray.engines.hf import HfConfig
from ocrray.engines.http import HttpConfig
from ocrray.engines.http_batch import HttpBatchConfig
from ocrray.engines.http_reader import HttpReaderConfig
from ocrray.engines.tagger import TaggerConfig
from ocrray.engines.tesseract import TesseractConfig
from ocrray.engines.vlm import VlmConfig

_Recognizers = TesseractConfig | VlmConfig | HttpReaderConfig | FakeRecognizerConfig
_Correctors = TaggerConfig | HfConfig | HttpConfig | HttpBatchConfig | GivenConfig | FakeConfig


def _with_default_engine(section: Any) -> Any:
    return {"engine": "tesseract", **section} if isinstance(section, dict) else section


RecognizeConfig = Annotated[_Recognizers, Field(discriminator="engine"), BeforeValidator(_with_default_engine)]
CorrectConfig = Annotated[_Correctors, Field(discriminator="engine")]

CORRECTORS: dict[str, type[CorrectorConfig]] = {
    name: config for config in get_args(_Correctors) for name in get_args(config.model_fields["engine"].annotation)
}
"""Config classes by the engine names that rows hold in their column `corrector`."""


def tags_characters(corrector: str | None) -> bool:
    """Return whether the engine of this name (a row's `corrector`) is an edit tagger; False for None and unknown names."""
    config = CORRECTORS.get(corrector or "")
    return config is not None and config.tags_characters
