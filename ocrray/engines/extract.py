"""Photo metadata from the OCR of a print's back and front: a causal language model trained on `prompts.PHOTO_METADATA`."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field, PositiveInt, field_validator, model_validator

from ocrray.config import StrictModel
from ocrray.decoding import Generation, Request, Sampling
from ocrray.engines.base import EngineConfig, EngineInfo, engine_errors
from ocrray.errors import ConfigError, EngineError, RecordError
from ocrray.models.folders import adapter_problems, model_problems, weights_revision
from ocrray.models.loading import Device, Dtype, load_generator
from ocrray.prompts import PHOTO_METADATA
from ocrray.records import SCHEMA, WORK_LIST_SCHEMA, PhotoFields
from ocrray.text.normalise import sanitise


class SideColumns(StrictModel):
    """Which columns of a table hold the OCR of the two sides."""

    back: str | None = None
    """Null: the record's own text, recognized from its scan or read from `input.text_column`."""
    front: str | None = None
    """Null: there is no text of the front."""

    @field_validator("front")
    @classmethod
    def _is_the_tables_own(cls, name: str | None) -> str | None:
        if name in {*SCHEMA.names, *WORK_LIST_SCHEMA.names}:
            raise ValueError(f"{name}: the corpus has a column of that name itself; rename yours")
        return name


class ExtractConfig(EngineConfig):
    """How to load the model, what to show it, and how to draw its answers."""

    rows_per_block: ClassVar[int] = 32
    uses_gpu: ClassVar[bool] = True

    model: str
    """A folder or a hub id; safetensors only."""
    revision: str | None = None
    adapter: str | None = None
    """A PEFT adapter: a folder or a hub id; safetensors only."""
    dtype: Dtype = "auto"
    device: Device = "auto"
    columns: SideColumns = SideColumns()
    language: str = Field(default="en", pattern=r"^\w+$")
    """The language of the answer, as the model was taught to name it."""
    temperature: float = Field(default=0.7, ge=0)
    """0 takes the most likely answer and draws nothing."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Only the most likely tokens that together have this probability are drawn from."""
    num_return_sequences: PositiveInt = 3
    """Answers drawn a record."""
    seed: int = 1
    """Together with the record's id, the seed of its answers."""
    max_new_tokens: PositiveInt = 256
    batch_size_tokens: PositiveInt | None = None
    """Prompt and output tokens held at once; null: what the memory takes."""
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _draws_several(self) -> "ExtractConfig":
        if not self.temperature and self.num_return_sequences > 1:
            raise ValueError("at temperature 0 all answers are the same: set num_return_sequences to 1")
        return self

    @property
    def max_concurrent_batches(self) -> int:
        return 4  # a text that ends makes room for one of another batch: no batch's tail is decoded alone

    @property
    def input_columns(self) -> tuple[str, ...]:
        return (self.columns.front,) if self.columns.front else ()

    def check(self, section: str) -> EngineInfo:
        problems = [f"{section}.model: {problem}" for problem in model_problems(self.model)]
        if self.adapter is not None:
            problems += [f"{section}.adapter: {problem}" for problem in adapter_problems(self.adapter)]
        if problems:
            raise ConfigError("\n".join(problems))
        return EngineInfo(
            engine="extract",
            model=self.model,
            revision=weights_revision(self.model, self.revision),
            adapter=f"{self.adapter}@{weights_revision(self.adapter)}" if self.adapter else "",
            prompt_version=PHOTO_METADATA.prompt_version,
        )

    def open(self) -> "Extractor":
        """Return the extractor, loaded and ready; raises as `check` does, and EngineError when it cannot be loaded."""
        return Extractor(self)


@dataclass(frozen=True, slots=True)
class Photo:
    """The OCR of a print's two sides, line by line; the id seeds its answers."""

    record_id: str
    back: str
    front: str = ""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The well-formed answers for one photo, in the order drawn; without any, `reason` says what was wrong with the most."""

    candidates: Sequence[PhotoFields]
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def fields(self) -> PhotoFields | None:
        """The candidate that has most fields in common with the others, the first drawn of equals; None without any."""

        def agreement(candidate: PhotoFields) -> int:
            said = candidate.to_row().items()
            return sum(other.to_row()[name] == value for other in self.candidates for name, value in said)

        return max(self.candidates, key=agreement, default=None)


class Extractor:
    """Draws `num_return_sequences` answers for each photo; they depend on its text, its id and the config's seed alone.

    In half precision the shape of a batch changes how a GPU rounds, and so, now and then, which of two near tokens is drawn.
    """

    def __init__(self, config: ExtractConfig) -> None:
        from ocrray.decoding.scheduler import open_scheduler

        self.info = config.check("extract")
        self._config = config
        with engine_errors(f"{config.model} cannot be loaded"):
            self._generator = load_generator(
                config.model,
                revision=config.revision,
                adapter=config.adapter,
                merge_adapter=True,
                dtype=config.dtype,
                device=config.device,
                trust_remote_code=config.trust_remote_code,
            )
            self._scheduler = open_scheduler(self._generator, batch_size_tokens=config.batch_size_tokens)
        vocabulary = self._generator.tokenizer.get_added_vocab()
        if missing := [token for token in PHOTO_METADATA.tokens if token not in vocabulary]:
            lacking = f"its tokenizer has no token {', '.join(missing)}"
            raise EngineError(f"{config.model}: not trained to extract photo metadata: {lacking}; see configs/train")
        self._tags = [vocabulary[token] for token in PHOTO_METADATA.tokens]

    def extract(self, photos: Sequence[Photo]) -> list[Extraction]:
        """One Extraction a photo, in order; the reason is `too_long`, `unfinished` or `malformed_output: ...`."""
        language, repeats = self._config.language, self._config.num_return_sequences
        with engine_errors("extraction failed"):
            texts = [PHOTO_METADATA.render(back=photo.back, front=photo.front, language=language) for photo in photos]
            prompts = self._generator.encode_prompts(texts, PHOTO_METADATA.template)
            asked = [
                self._request(prompt, photo.record_id, number)
                for photo, prompt in zip(photos, prompts, strict=True)
                for number in range(repeats)
            ]
            answers = self._scheduler.generate(asked)
        return [self._extraction(len(prompt), answers[row * repeats : (row + 1) * repeats]) for row, prompt in enumerate(prompts)]

    def close(self) -> None:
        """Let the model's memory go."""
        self._scheduler.close()
        del self._generator, self._scheduler

    def _request(self, prompt: list[int], record_id: str, number: int) -> Request:
        config = self._config
        if not config.temperature:
            return Request(prompt, config.max_new_tokens, source=prompt)
        sampling = Sampling(config.temperature, config.top_p, _seed(config.seed, record_id, number))
        return Request(prompt, config.max_new_tokens, sampling=sampling)

    def _extraction(self, prompt_tokens: int, answers: Sequence[Generation]) -> Extraction:
        read = [self._read(answer) for answer in answers]
        candidates = [one for one in read if isinstance(one, PhotoFields)]
        reasons = Counter(one for one in read if isinstance(one, str))
        output_tokens = sum(len(answer.tokens) + answer.finished for answer in answers)
        return Extraction(candidates, "" if candidates else reasons.most_common(1)[0][0], prompt_tokens, output_tokens)

    def _read(self, answer: Generation) -> PhotoFields | str:
        """The fields of one answer, or why there are none."""
        if answer.refused:
            return "too_long"
        if not answer.finished:
            return "unfinished"
        try:
            return PHOTO_METADATA.parse(sanitise(self._generator.decode(answer.tokens, keep=self._tags)))
        except RecordError as error:
            return f"{error.kind}: {error}"


def _seed(seed: int, record_id: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{record_id}\0{number}".encode()).digest()[:8], "big") >> 1
