"""Interfaces of engines: a recognizer reads images, a corrector rewrites short texts; their configs state all other facts."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from PIL import Image

from ocrray.config import StrictModel
from ocrray.errors import EngineError, OcrrayError, RecordError
from ocrray.prompts.fields import Fields, FieldSchema
from ocrray.records import Line


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Identity of an engine: written into every row, and part of the fingerprint. Empty strings where a field has no meaning."""

    engine: str
    model: str = ""
    revision: str = ""
    adapter: str = ""
    prompt_version: str = ""


@dataclass(frozen=True, slots=True)
class CorrectionResult:
    """Correction of one text.

    `text` is None when the engine did not correct it, and `reason` says why in a word or two (`too_long`, `unfinished`, ...);
    the source text then stays. Token counts are the engine's own tokens, 0 where it has none. `expected_errors` is the expected
    number of characters that are still wrong, None where the engine does not estimate it. `probabilities` (0..1) belong to the
    changed characters of the source, by their offset; empty where the engine reports none. `message` is the sentence in which a
    server says why it did not answer.
    """

    text: str | None
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    expected_errors: float | None = None
    probabilities: Mapping[int, float] = field(default_factory=dict, compare=False)  # equal texts may differ by rounding here
    message: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Recognition:
    """Text of one page, or what its recognizer wrote instead of it.

    Without `problem` the text is the page's. With one, `text` and `lines` show what was written, and nobody should use them.
    """

    text: str
    """The text of `lines`, joined by line feeds; of a page that became fields, the answer as written."""
    lines: Sequence[Line] | None = None
    """Lines in reading order, an empty list for a blank page; None where the page became fields."""
    fields: Fields | None = None
    """Values in the types of the config's schema."""
    problem: RecordError | None = None
    """Reason why the page counts as not read; its kind is a word or two (`loop`, `unfinished`, `malformed_output`)."""
    doubt: str = ""
    """Reason, in a word or two, why the text is kept as it is and not corrected."""
    note: str = ""
    """What a person should know of it, in one line."""
    warnings: Sequence[str] = ()
    """Keys of `records.WARNING_MEANINGS`."""
    read_by: EngineInfo | None = None
    """The engine that read it; None: the recognizer itself."""

    @classmethod
    def of_lines(cls, lines: Sequence[Line]) -> Self:
        """Return the text of these lines."""
        return cls("\n".join(line.text for line in lines), lines)


class Recognizer(Protocol):
    """Reads page images, each independently of the others."""

    info: EngineInfo

    def recognize_pages(self, images: Sequence[Image.Image]) -> list[Recognition | RecordError]:
        """Return for each image, in order, its text, or the error with which its page fails.

        Raises:
            EngineError: when the engine itself is broken or out of reach.
        """

    def close(self) -> None:
        """Release memory, processes and connections."""


class LineRecognizer(ABC):
    """Part of a recognizer that reads one page after the other, into lines."""

    @abstractmethod
    def recognize(self, image: Image.Image) -> list[Line]:
        """Return lines in reading order, an empty list for a blank page.

        Raises:
            RecordError: when this page cannot be recognized.
        """

    def recognize_pages(self, images: Sequence[Image.Image]) -> list[Recognition | RecordError]:
        """Return the lines of each image, or the error of its page."""
        return [self._recognition(image) for image in images]

    def _recognition(self, image: Image.Image) -> Recognition | RecordError:
        try:
            return Recognition.of_lines(self.recognize(image))
        except RecordError as error:
            return error


class Corrector(Protocol):
    """Rewrites texts, each independently of the others: the result of one does not depend on its batch."""

    info: EngineInfo

    def fits(self, text: str) -> bool:
        """Return whether `text` can be corrected in one piece; `text/passages.py` splits longer texts until every piece fits."""

    def correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        """Return one result per text, in order.

        Raises:
            EngineError: when the engine itself is broken or out of reach.
        """

    def close(self) -> None:
        """Release memory, processes and connections."""


class EngineConfig(StrictModel):
    """Config of one engine: the keys a user may set, and the facts that the pipeline needs to know about it."""

    rows_per_block: ClassVar[int]
    """Records that one worker processes in seconds to a minute."""
    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Keys that change no result, so that a run may be resumed with others."""
    uses_gpu: ClassVar[bool] = False
    """True: the engine computes on a GPU if its worker has one."""

    @property
    def max_concurrent_batches(self) -> int:
        """Batches that one opened engine accepts from as many threads, because they finish sooner together."""
        return 1

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns of the user's table that the engine reads beside the text."""
        return ()

    @abstractmethod
    def check(self, section: str) -> EngineInfo:
        """Return the engine's identity without loading a model.

        Raises:
            ConfigError: with one line per problem, each beginning with a key of `section`, the config section it was read from.
        """


class RecognizerConfig(EngineConfig):
    """Config of a recognizer."""

    pages_at_once: ClassVar[int] = 1
    """Pages that are opened, and then read in one call: more where the engine reads several at once."""

    @property
    def page_fields(self) -> FieldSchema | None:
        """Schema of the fields that pages become; None where they become text."""
        return None

    @property
    def reads_english(self) -> bool:
        """Return whether the pages are known to be in English."""
        return False

    @abstractmethod
    def open(self) -> Recognizer:
        """Return the recognizer, loaded and ready.

        Raises:
            ConfigError: as `check` does.
            EngineError: when it cannot be loaded.
        """


class CorrectorConfig(EngineConfig):
    """Config of a corrector."""

    needs_pool: ClassVar[bool] = True
    """True: loading takes time, so a pool of actors keeps the engine open. False: it is opened anew in each Ray task."""
    tags_characters: ClassVar[bool] = False
    """True: an edit tagger, whose probabilities the guard weighs differently from a language model's."""

    def finish(self) -> str:
        """Do what is left when all records have passed, in the process that runs the verb; return a line to show, or ""."""
        return ""

    @property
    def given_column(self) -> str | None:
        """Column that already holds the corrections; the engine then is never opened."""
        return None

    @abstractmethod
    def open(self) -> Corrector:
        """Return the corrector, loaded and ready.

        Raises:
            ConfigError: as `check` does.
            EngineError: when it cannot be loaded.
        """


@contextmanager
def engine_errors(failure: str) -> Iterator[None]:
    """Convert all that transformers, tokenizers, peft and torch raise into an EngineError of one line: `failure: reason`."""
    try:
        yield
    except OcrrayError:
        raise
    except Exception as err:  # four libraries read a model folder, and raise exceptions of any class
        reason = " ".join(str(err).split())[:300]
        raise EngineError(f"{failure}: {reason} ({type(err).__name__})") from err
