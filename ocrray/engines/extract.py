"""Extraction of fields, of the schema that the config states, from text: by a causal language model that was trained to."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field, PositiveInt, field_validator, model_validator

from ocrray.config import FolderOrName, StrictModel
from ocrray.decoding import Generation, Request, Sampling
from ocrray.engines.base import EngineConfig, EngineInfo, engine_errors
from ocrray.errors import ConfigError, EngineError, RecordError
from ocrray.models.folders import adapter_problems, model_problems, warn_of_another_base, weights_revision
from ocrray.models.loading import Device, Dtype, load_generator
from ocrray.prompts.extraction import ExtractionFormat
from ocrray.prompts.fields import Fields, leaves
from ocrray.records import RESERVED_NAMES
from ocrray.text.normalise import sanitise


class SideColumns(StrictModel):
    """Columns of a table with the OCR of two sides, such as those of a photographic print."""

    back: str | None = None
    """Null: the record's own text, recognized from its scan or read from `input.text_column`."""
    front: str | None = None
    """Null: there is no text of the front."""

    @field_validator("front")
    @classmethod
    def _is_the_tables_own(cls, name: str | None) -> str | None:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name}: the corpus has a column of that name itself; rename yours")
        return name


class ExtractConfig(ExtractionFormat, EngineConfig):
    """Extract fields: load a language model, show it the text, and draw its answers."""

    rows_per_block: ClassVar[int] = 32
    uses_gpu: ClassVar[bool] = True

    model: FolderOrName
    """Folder or hub id; safetensors only."""
    revision: str | None = None
    """Git revision on the hub; null: main."""
    adapter: FolderOrName | None = None
    """PEFT adapter: a folder or a hub id; safetensors only. Null: none."""
    dtype: Dtype = "auto"
    """Number format of the weights; auto: float32 on a CPU, the checkpoint's own on a GPU."""
    device: Device = "auto"
    """Where to compute; auto: the worker's GPU if it has one."""
    columns: SideColumns = SideColumns()
    """Columns of a table with the text; by default the record's own text."""
    language: str = Field(default="en", pattern=r"^\w+$")
    """Language of the answer, as the model was taught to name it; only with `answer: tags`."""
    temperature: float = Field(default=0.7, ge=0)
    """Temperature of drawing; 0 takes the most likely answer."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw only from the most likely tokens that together have this probability (0..1)."""
    num_return_sequences: PositiveInt = 3
    """Answers drawn per record; `fields` are those of the answer that agrees most with the others."""
    seed: int = 1
    """Seed of the answers, together with the record's id."""
    max_new_tokens: PositiveInt = 256
    """Longest answer, in tokens."""
    batch_size_tokens: PositiveInt | None = None
    """Prompt and output tokens held at once; null: as many as fit in memory."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""

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
            warn_of_another_base(self.adapter, self.model)
        if problems:
            raise ConfigError("\n".join(problems))
        return EngineInfo(
            engine="extract",
            model=self.model,
            revision=weights_revision(self.model, self.revision),
            adapter=f"{self.adapter}@{weights_revision(self.adapter)}" if self.adapter else "",
            prompt_version=self.open_prompt().prompt_version,
        )

    def open(self) -> "Extractor":
        """Return the extractor, loaded and ready; raises as `check` does, and EngineError when it cannot be loaded."""
        return Extractor(self)


@dataclass(frozen=True, slots=True)
class Source:
    """Text to extract from, line by line; the id seeds its answers."""

    record_id: str
    back: str
    front: str = ""


@dataclass(frozen=True, slots=True)
class ExtractionResult:
    """Well-formed answers for one source, in the order drawn; without any, `reason` is the most frequent problem.

    `answers` are all answers as the model wrote them, in the order drawn.
    """

    candidates: Sequence[Fields]
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    answers: Sequence[str] = ()

    @property
    def fields(self) -> Fields | None:
        """Candidate that shares most values with the others, the first drawn of equals; None without any."""
        flat = [dict(leaves(candidate)) for candidate in self.candidates]
        paths = {path for values in flat for path in values}
        votes = Counter((path, values.get(path)) for values in flat for path in paths)  # to leave a value out is a vote, too
        scores = [sum(votes[path, values.get(path)] for path in paths) for values in flat]
        return self.candidates[scores.index(max(scores))] if scores else None


class Extractor:
    """Draws `num_return_sequences` answers per source; they depend on its text, its id and the config's seed alone.

    In half precision the shape of a batch changes how a GPU rounds, and so, now and then, which of two near tokens is drawn.
    """

    def __init__(self, config: ExtractConfig) -> None:
        from ocrray.decoding.scheduler import open_scheduler

        self.info = config.check("extract")
        self._config = config
        self._prompt = config.open_prompt()
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
        if missing := [token for token in self._prompt.tokens if token not in vocabulary]:
            lacking = f"its tokenizer has no token {', '.join(missing)}"
            raise EngineError(f"{config.model}: not trained to extract these fields: {lacking}; see configs/train")
        self._tags = [vocabulary[token] for token in self._prompt.tokens]

    def extract(self, sources: Sequence[Source]) -> list[ExtractionResult]:
        """Return one result per source, in order; the reason is `too_long`, `unfinished` or `malformed_output: ...`."""
        language, repeats = self._config.language, self._config.num_return_sequences
        with engine_errors("extraction failed"):
            texts = [self._prompt.render(back=source.back, front=source.front, language=language) for source in sources]
            prompts = self._generator.encode_prompts(texts, self._prompt.template)
            requests = [
                self._request(prompt, source.record_id, number)
                for source, prompt in zip(sources, prompts, strict=True)
                for number in range(repeats)
            ]
            generations = self._scheduler.generate(requests)
        return [self._result(len(prompt), generations[row * repeats :][:repeats]) for row, prompt in enumerate(prompts)]

    def close(self) -> None:
        """Release the model's memory."""
        self._scheduler.close()
        del self._generator, self._scheduler

    def _request(self, prompt: list[int], record_id: str, number: int) -> Request:
        config = self._config
        if not config.temperature:
            return Request(prompt, config.max_new_tokens, source=prompt)
        sampling = Sampling(config.temperature, config.top_p, _seed(config.seed, record_id, number))
        return Request(prompt, config.max_new_tokens, sampling=sampling)

    def _result(self, prompt_tokens: int, generations: Sequence[Generation]) -> ExtractionResult:
        candidates: list[Fields] = []
        reasons: Counter[str] = Counter()
        answers: list[str] = []
        for generation in generations:
            if generation.refused:
                reasons["too_long"] += 1
                continue
            answer = sanitise(self._generator.decode(generation.tokens, keep=self._tags))
            answers.append(answer)
            if not generation.finished:
                reasons["unfinished"] += 1
                continue
            try:
                candidates.append(self._prompt.parse(answer))
            except RecordError as error:
                reasons[f"{error.kind}: {error}"] += 1
        reason = "" if candidates else reasons.most_common(1)[0][0]
        output_tokens = sum(len(generation.tokens) + generation.finished for generation in generations)
        return ExtractionResult(candidates, reason, prompt_tokens, output_tokens, answers)


def _seed(seed: int, record_id: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{record_id}\0{number}".encode()).digest()[:8], "big") >> 1
