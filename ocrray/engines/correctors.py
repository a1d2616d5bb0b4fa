"""Which correctors there are: the one `correct:` section of a config, and what opens it."""

from typing import Annotated, Literal

from pydantic import Field

from ocrray.engines import fake, given, hf, http, tagger
from ocrray.engines.base import Corrector, EngineInfo
from ocrray.engines.fake import FakeConfig
from ocrray.engines.given import GivenConfig
from ocrray.engines.hf import HfConfig
from ocrray.engines.http import HttpConfig
from ocrray.engines.tagger import TaggerConfig
from ocrray.models.loading import Device

CorrectConfig = Annotated[TaggerConfig | HfConfig | HttpConfig | GivenConfig | FakeConfig, Field(discriminator="engine")]


class RouteConfig(TaggerConfig):
    """The tagger that reads every record first, and how bad one must be to be sent on to `correct`, the language model."""

    engine: Literal["tagger"] = "tagger"
    above: float = Field(0.012, ge=0, le=1)
    """Least estimated CER, after the tagger's own edits, of a record that is sent on; 0 sends all but those without any doubt."""
    threshold: float | None = Field(0.4, ge=0, le=1)
    """Lower than that of a tagger by itself: the guard judges what it changes, and with it more errors go (docs/routing.md)."""
    device: Device = "cpu"
    """Taggers run beside the language model, whose GPU is not theirs."""


def check(config: CorrectConfig) -> EngineInfo:
    """Who would correct, told without loading anything; raises ConfigError with one line for every problem that already shows."""
    match config:
        case TaggerConfig():
            return tagger.check(config)
        case HfConfig():
            return hf.check(config)
        case HttpConfig():
            return http.check(config)
        case GivenConfig():
            return given.check(config)
        case FakeConfig():
            return fake.check(config)


def has_model(config: CorrectConfig) -> bool:
    """Whether the corrector holds something large, or a connection, that is worth a process kept for it."""
    return not isinstance(config, GivenConfig | FakeConfig)


def decodes_together(config: CorrectConfig) -> bool:
    """Whether the corrector takes texts from several threads and is the faster for it."""
    return isinstance(config, HfConfig) and config.engine == "hf"


def open_corrector(config: CorrectConfig) -> Corrector:
    """The corrector, loaded and ready; raises ConfigError or EngineError. `given` has none (its stage reads a column)."""
    match config:
        case TaggerConfig():
            return tagger.Tagger(config)
        case HfConfig():
            return hf.HfCorrector(config)
        case HttpConfig():
            return http.HttpCorrector(config)
        case FakeConfig():
            return fake.FakeCorrector(config)
        case GivenConfig():
            raise TypeError("corrections that are given have no corrector")
