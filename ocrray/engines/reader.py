"""Recognizers that are vision-language models, loaded or behind a server: keys, blank pages, and what becomes of an answer.

Such a model may write what is not on the page. `readings` decides whether an answer counts; a page that is not read goes to the
fallback, where the config names one.
"""

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from PIL import Image
from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from ocrray.engines.base import EngineInfo, Recognition, RecognizerConfig
from ocrray.engines.blank import is_blank
from ocrray.engines.readings import read_answer
from ocrray.engines.server.answers import Answer
from ocrray.engines.tesseract import Tesseract, TesseractConfig
from ocrray.errors import Problems, RecordError
from ocrray.prompts.fields import FieldSchema

SCHEMA_MARK = "{schema}"


def _named(engine: Any) -> Any:
    return {"engine": engine} if isinstance(engine, str) else engine


SecondEngine = Annotated[TesseractConfig, BeforeValidator(_named)]
"""Config of another engine that reads the same pages; its name alone stands for its defaults."""


class ReaderConfig(RecognizerConfig):
    """Keys of a vision-language model that reads pages."""

    output: Literal["text", "markdown", "json"] = "text"
    """What the model writes: the lines of the page; its text with layout as Markdown (raw_text keeps blank lines); or one JSON
    object, which becomes the column `fields`, with the answer as written in `raw_text`."""
    fields: FieldSchema | None = None
    """JSON Schema of the fields (`type: object`) for `output: json`, the type of the column `fields`. Null: pages become text."""
    close_json: bool = False
    """Keep the whole values of a JSON object that was cut off; its row gets the warning `json_closed`. false: the page fails."""
    instruction: str | None = None
    """What the model is asked; `{schema}` stands for the JSON Schema of `fields`. Null: a request that its kind knows."""
    max_new_tokens: PositiveInt = 2_048
    """Longest answer, in tokens; a page whose answer reaches it is not read."""
    fallback: SecondEngine | None = None
    """Engine that reads a page again where the model's answer does not count: `tesseract`, or its mapping with `languages` and so
    on. Such rows have the warning `read_by_fallback`. Null: the page fails with its reason."""
    blank_below_ink_frac: float = Field(default=1e-6, ge=0, lt=1)
    """Share of ink (0..1) below which a page is blank and not read: on white paper, models invent. 0 reads every page."""

    pages_at_once: ClassVar[int] = 8

    @model_validator(mode="after")
    def _fields_are_of_json(self) -> Self:
        if (self.output == "json") != (self.fields is not None):
            raise ValueError("fields: output: json needs the JSON Schema of its fields, and no other output has any")
        if self.fields and self.fields.properties is None:
            raise ValueError("fields: the type of the whole is object")
        if self.close_json and self.output != "json":
            raise ValueError("close_json: only with output: json")
        if self.fallback and self.output == "json":
            raise ValueError("fallback: it reads text, and output: json wants fields; leave it out")
        if self.instruction and SCHEMA_MARK in self.instruction and self.fields is None:
            raise ValueError(f"instruction: {SCHEMA_MARK} stands for the schema of fields, which are missing")
        return self

    @property
    def page_fields(self) -> FieldSchema | None:
        return self.fields

    @property
    def prompt_name(self) -> str:
        """Name of the prompt's format, for rows."""
        return "chat"

    def prompt_version(self) -> str:
        """Return the name of the prompt's format and a hash of all that is asked."""
        asked = repr((self.instruction, self.output, self.fields and self.fields.as_json()))
        return f"{self.prompt_name}/{hashlib.sha256(asked.encode()).hexdigest()[:12]}"

    @property
    def second_engines(self) -> dict[str, TesseractConfig]:
        """Engines that read pages besides the model, by their keys."""
        return {"fallback": self.fallback} if self.fallback else {}

    def problems_of_second_engines(self, section: str) -> Problems:
        """Return a line for each problem of the engines besides the model."""
        problems = Problems()
        for key, engine in self.second_engines.items():
            problems.checked(engine.check, f"{section}.{key}")
        return problems

    def asked(self, default: str) -> str:
        """Return the instruction, or `default`, with the schema in its place."""
        text = default if self.instruction is None else self.instruction
        return text.replace(SCHEMA_MARK, self.fields.as_json()) if self.fields else text


class Reader(ABC):
    """Part of a recognizer that is a vision-language model; several threads may call `recognize_pages` at once."""

    info: EngineInfo

    def __init__(self, config: ReaderConfig) -> None:
        self._settings = config
        self._fallback = PerThread(config.fallback) if config.fallback else None

    @abstractmethod
    def answers(self, images: Sequence[Image.Image]) -> list[Answer | RecordError]:
        """Return what the model writes for each image, in order, or the error of its page.

        Raises:
            EngineError: when the model itself is broken or out of reach.
        """

    def recognize_pages(self, images: Sequence[Image.Image]) -> list[Recognition | RecordError]:
        """Return the reading of each image; blank pages are not shown to the model."""
        below = self._settings.blank_below_ink_frac
        inked = [number for number, image in enumerate(images) if not (below and is_blank(image, below))]
        answers = self.answers([images[number] for number in inked]) if inked else []
        read: list[Recognition | RecordError] = [Recognition("", []) for _ in images]
        for number, answer in zip(inked, answers, strict=True):
            found = answer if isinstance(answer, RecordError) else read_answer(answer, self._settings)
            read[number] = self._again(images[number], found)
        return read

    def close(self) -> None:
        """End the processes of the fallback."""
        if self._fallback:
            self._fallback.close()

    def _again(self, image: Image.Image, read: Recognition | RecordError) -> Recognition | RecordError:
        """Return the reading, or that of the fallback where it does not count."""
        problem = read if isinstance(read, RecordError) else read.problem
        doubt = "" if isinstance(read, RecordError) else read.doubt
        if not self._fallback or not (problem or doubt):
            return read
        reason = f"{problem.kind}: {problem}" if problem else doubt
        engine = self._fallback.engine()
        try:
            lines = engine.recognize(image)
        except RecordError as error:
            return RecordError(f"{reason}; and the fallback: {error}", kind=problem.kind if problem else error.kind)
        text = "\n".join(line.text for line in lines)
        return Recognition(text, lines, note=reason, warnings=["read_by_fallback"], read_by=engine.info)


class PerThread:
    """A Tesseract for each thread that asks for one, started when it does."""

    def __init__(self, config: TesseractConfig) -> None:
        self._config = config
        self._own = threading.local()
        self._opened: list[Tesseract] = []  # appending is atomic

    def engine(self) -> Tesseract:
        """Return the engine of the calling thread."""
        if not hasattr(self._own, "engine"):
            self._own.engine = self._config.open()
            self._opened.append(self._own.engine)
        engine: Tesseract = self._own.engine
        return engine

    def close(self) -> None:
        """End all their processes."""
        for engine in self._opened:
            engine.close()
