"""Which recognizers there are: the one `recognize:` section of a config, and what opens it."""

from ocrray.engines import tesseract
from ocrray.engines.base import EngineInfo, Recognizer
from ocrray.engines.tesseract import Tesseract, TesseractConfig

# With a second engine this becomes a union discriminated by `engine`, as in correctors.py.
RecognizeConfig = TesseractConfig


def check(config: RecognizeConfig) -> EngineInfo:
    """Who would recognize, told without loading anything; raises ConfigError with one line for every problem."""
    return tesseract.check(config)


def open_recognizer(config: RecognizeConfig) -> Recognizer:
    """The recognizer, loaded and ready; raises ConfigError or EngineError."""
    return Tesseract(config)
