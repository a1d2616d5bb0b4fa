"""`engine: given`: corrections made elsewhere, read from a column of the input and judged like any other."""

from typing import Literal

from ocrray.config import StrictModel
from ocrray.engines.base import EngineInfo


class GivenConfig(StrictModel):
    """Which column holds the corrections; the correct stage reads it itself, so there is no corrector to open."""

    engine: Literal["given"]
    column: str


def check(config: GivenConfig) -> EngineInfo:
    """The column stands for the model; whether the input has it is known only when the input is read."""
    return EngineInfo(engine="given", model=config.column)
