"""The two narrow interfaces every engine has: a recognizer reads an image, a corrector rewrites short texts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from ocrray.errors import EngineError, OcrrayError
from ocrray.records import Line


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Who made a text: written into every row, and part of the fingerprint. Empty strings where a field has no meaning."""

    engine: str
    model: str = ""
    revision: str = ""
    adapter: str = ""
    prompt_version: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a corrector made of one text.

    `text` is None when the engine did not correct it, and `reason` says why in a word or two (`too_long`, `unfinished`, ...);
    the source then stands. Token counts are the engine's own tokens, 0 where it has none. `expected_errors` is how many
    characters the engine holds to be still wrong, None where it cannot say. `probabilities` are of the characters of the source
    that it changed, by their offset, 0..1; empty where it does not say.
    """

    text: str | None
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    expected_errors: float | None = None
    probabilities: Mapping[int, float] = field(default_factory=dict, compare=False)  # rounding does not make it another text


class Recognizer(Protocol):
    """Reads one page image."""

    info: EngineInfo

    def recognize(self, image: Image.Image) -> list[Line]:
        """Lines in reading order, an empty list for a blank page; raises RecordError when the page defeats the engine."""

    def close(self) -> None: ...


class Corrector(Protocol):
    """Rewrites texts, each independently of the others: the result of one does not depend on its batch."""

    info: EngineInfo

    def fits(self, text: str) -> bool:
        """Whether `text` can be corrected in one piece; `text/passages.py` splits longer texts until every piece fits."""

    def correct(self, texts: Sequence[str]) -> list[Correction]:
        """One Correction a text, in order; raises EngineError when the engine itself is broken."""

    def close(self) -> None: ...


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """The one boundary where what transformers, tokenizers, peft and torch raise becomes an EngineError, one line long."""
    try:
        yield
    except OcrrayError:
        raise
    except Exception as err:  # a model folder is read by four libraries that raise whatever they like
        reason = " ".join(str(err).split())[:300]
        raise EngineError(f"{what}: {reason} ({type(err).__name__})") from err
